"""What all flow estimators share: encoders, the map f whose iteration estimates flow, decoding to pixels."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sevenfold.flow.attention import ContextAttention
from sevenfold.flow.correlation import Correlation, Kind, correlate
from sevenfold.flow.encoder import Encoder, Recompute
from sevenfold.flow.losses import LARGEST_LOG_SCALE, Scale
from sevenfold.flow.update import PreparedUpdate, UpdateBlock, memory_format
from sevenfold.flow.upsample import (
    MaskPredictor,
    ScalePredictor,
    bilinear_upsample,
    convex_upsample,
    pixel_grid,
)
from sevenfold.flow.variants import Widths
from sevenfold.rebuilt import Rebuilt

# Hidden map (B, hidden, H/s, W/s) and flow (B, 2, H/s, W/s) in cells of s pixels, both at least float32.
State = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Estimate:
    """What a network returns.

    ``flows``: full-resolution flow (B, 2, H, W) in px of each supervised state, in order; only the last one
    in evaluation. ``state``: the final state. ``last_step``: mean length in px of the flow's change in the
    last evaluation of f, a scalar with gradient in training. ``solution``: the solver's record, where there
    is a solver. ``scale``: the law of the last flow's error, where the network predicts it
    (``Design.scale``), in evaluation and in training where it is wanted. ``change``: the flow's change in the
    last evaluation of f, (B, 2, H/s, W/s) in cells.
    """

    flows: list[Tensor]
    state: State
    last_step: Tensor
    solution: Any | None = None
    scale: Scale | None = None
    change: Tensor | None = None


# So that an estimate may leave an exported program.
torch.export.register_dataclass(Estimate, serialized_type_name="sevenfold.flow.Estimate")


class Recurrence:
    """The map f of one batch of pairs: (hidden, flow) -> (hidden', flow + d).

    It holds all that stays constant while f is iterated. ``index`` restricts a call to some samples of the
    batch. With ``detach_flow`` no gradient passes through the flow on entry (RAFT's rule). ``change`` is the
    d of each sample's most recent call, in cells; :meth:`pure` leaves it alone.
    """

    def __init__(self, correlation: Correlation, update: PreparedUpdate, *, start: State, detach_flow: bool):
        self.correlation = correlation
        self.update = update
        self.start = start
        self.detach_flow = detach_flow
        self.change: Tensor | None = None
        self._grid = pixel_grid(start[1])
        self._subset: tuple[Tensor, Correlation, PreparedUpdate] | None = None

    def __call__(self, state: Sequence[Tensor], index: Tensor | None = None) -> State:
        """Evaluate f once."""
        after, change = self._step(state, index)
        if index is not None:  # the samples that have ended keep their last change
            before = torch.zeros_like(self.start[1]) if self.change is None else self.change
            change = before.to(change.dtype).index_copy(0, index, change)
        self.change = change
        return after

    def pure(self, state: Sequence[Tensor]) -> State:
        """Evaluate f once without a side effect, as the body of a loop in a compiled graph must be."""
        return self._step(state, None)[0]

    def _step(self, state: Sequence[Tensor], index: Tensor | None) -> tuple[State, Tensor]:
        hidden, flow = state
        correlation, update = self._parts(index)
        if self.detach_flow:
            flow = flow.detach()
        # (h', u') = f((h, u), x): one step of the update, whose fixed point is the estimate (Bai et al.
        # 2022).
        hidden, change = update(hidden, correlation(self._grid + flow), flow)
        # Under autocast the update answers in half precision; the state must not.
        change = change.to(flow.dtype)
        return (hidden.to(flow.dtype), flow + change), change

    def _parts(self, index: Tensor | None) -> tuple[Correlation, PreparedUpdate]:
        """Select samples, again only when ``index`` is another tensor than last time."""
        if index is None:
            return self.correlation, self.update
        if self._subset is None or self._subset[0] is not index:
            self._subset = (index, self.correlation.select(index), self.update.select(index))
        return self._subset[1:]


@dataclass(frozen=True)
class Design:
    """What an estimator is made of, beside its widths.

    Args:
        h_init: whether the hidden state starts at zeros, or at tanh of a part of the context encoder's
            output.
        norm: on every convolution of the update.
        gma: whether motion is aggregated over the whole picture (Jiang et al., ICCV 2021).
        correlation: how lookups are computed; the numbers are the same.
        freeze_batch_norm: whether the context encoder's statistics stay, as in all training stages after the
            first.
        recompute: what the encoders compute again in the backward pass: "norms" costs next to nothing,
            "blocks" keeps much less for the time of another forward pass of the encoders.
        scale: whether two more maps predict the law of the error at every pixel (SEA-RAFT, eq. 4 to 6). They
            are trained in the last fifth of a training, beside the flow, which they do not touch.
    """

    h_init: Literal["zeros", "context"] = "zeros"
    norm: Literal["weight", "spectral", "none"] = "weight"
    gma: bool = False
    correlation: Kind = "auto"
    freeze_batch_norm: bool = False
    recompute: Recompute = "norms"
    scale: bool = False


class FlowNetwork(Rebuilt, ABC):
    """Base of the estimators: a subclass says how f is iterated (``run``).

    Images are (B, 3, H, W) in [0, 1] with sides that are multiples of ``stride``. ``gamma`` is the factor by
    which the loss of each supervised state exceeds that of the one before.
    """

    gamma: float

    def __init__(self, widths: Widths, design: Design, *, detach_flow: bool = True):
        super().__init__()
        self.widths, self.design, self.detach_flow = widths, design, detach_flow
        self.stride = widths.stride
        outputs = widths.context + (widths.hidden if design.h_init == "context" else 0)
        encoder = partial(Encoder, widths, recompute=design.recompute)
        self.feature_encoder = encoder(outputs=widths.features, norm="instance")
        self.context_encoder = encoder(outputs=outputs, norm=widths.context_norm)
        self.update_block = UpdateBlock(widths, norm=design.norm, gma=design.gma)
        self.mask_predictor = MaskPredictor(widths.hidden, widths.mask, self.stride) if widths.mask else None
        self.attention = ContextAttention(widths.context) if design.gma else None
        self.scale_predictor = ScalePredictor(widths.hidden, widths.hidden) if design.scale else None

    def train(self, mode: bool = True) -> "FlowNetwork":
        """Set training mode; frozen batch norm (all stages after the first) stays in evaluation mode."""
        super().train(mode)
        if self.design.freeze_batch_norm:
            for part in self.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.eval()
        return self

    def encode(self, image: Tensor) -> Tensor:
        """Return the features of a batch of images, which are compared to find the flow."""
        return self.feature_encoder(_scaled(image))

    def recurrence(
        self, image1: Tensor, image2: Tensor, *, features: tuple[Tensor, Tensor] | None = None
    ) -> Recurrence:
        """Encode a batch of pairs and return its map f, with the starting state.

        ``features`` of both images, if they are known already, are not computed again.
        """
        self._check(image1, image2)
        if features is None:
            first, second = self.encode(torch.cat([image1, image2])).split([image1.shape[0]] * 2)
        else:
            first, second = features
        correlation = correlate(
            self.design.correlation, first, second, levels=self.widths.levels, radius=self.widths.radius
        )
        context = self.context_encoder(_scaled(image1))
        flow = torch.zeros_like(context[:, :2], dtype=torch.promote_types(image1.dtype, torch.float32))
        if self.design.h_init == "context":
            hidden, context = context.split([self.widths.hidden, self.widths.context], dim=1)
            hidden = hidden.tanh().to(flow.dtype)
        else:
            hidden = flow.new_zeros(flow.shape[0], self.widths.hidden, *flow.shape[-2:])
        context = context.relu()
        attention = None if self.attention is None else self.attention(context)
        update = self.update_block.prepare(context, attention)
        return Recurrence(correlation, update, start=(hidden, flow), detach_flow=self.detach_flow)

    def decode(self, state: State) -> Tensor:
        """Bring the flow of a state to full resolution, (B, 2, H, W) in px."""
        hidden, flow = state
        return self._upsample(flow, hidden)

    def scale(self, state: State) -> Scale | None:
        """Return the law of the error of a state's flow, without gradient to the state; None without maps."""
        if self.scale_predictor is None:
            return None
        hidden, flow = state[0].detach(), state[1].detach()
        maps = self.scale_predictor(hidden).to(flow.dtype)
        # Upsampling turns cells into pixels; these maps are no lengths.
        logit, log_scale = self._upsample(maps / self.stride, hidden, learned=False).unbind(1)
        return Scale(logit, log_scale.clamp(0, LARGEST_LOG_SCALE))

    def _upsample(self, field: Tensor, hidden: Tensor, *, learned: bool = True) -> Tensor:
        """Upsample a field as flow is; ``learned``: whether gradients reach what weighs the cells."""
        if self.mask_predictor is None:
            return bilinear_upsample(field, self.stride)
        with torch.set_grad_enabled(learned and torch.is_grad_enabled()):
            mask = self.mask_predictor(hidden).to(field.dtype)
        return convex_upsample(field, mask, self.stride)

    def check_iterations(self, iterations: int) -> None:
        """Raise ValueError where this network cannot train with so many steps."""
        if iterations < 1:
            raise ValueError(f"a network takes at least one step, not {iterations}")

    def backward_measures(self) -> dict[str, Tensor]:
        """Return what the last backward pass shows of itself, scalars by name."""
        return {}

    @abstractmethod
    def run(self, f: Recurrence, start: State, iterations: int) -> tuple[list[State], Any | None]:
        """Iterate ``f``; return the states to supervise (in evaluation the last) and the solver's record."""

    @abstractmethod
    def states_at(self, f: Recurrence, steps: Sequence[int]) -> list[State]:
        """Iterate ``f`` once; return what the estimate is after each of ``steps`` (increasing)."""

    def flows_at(self, f: Recurrence, steps: Sequence[int]) -> list[Tensor]:
        """Return the flow (B, 2, H, W) in px after each number of ``steps``, for the cost of the largest."""
        states = dict(zip(ordered := sorted(set(steps)), self.states_at(f, ordered), strict=True))
        return [self.decode(states[budget]) for budget in steps]

    def estimate(
        self, f: Recurrence, *, iterations: int, start: State | None = None, scale: bool | None = None
    ) -> Estimate:
        """Iterate ``f`` and decode: in ``iterations`` steps, from ``start`` if given and not ``f.start``.

        ``scale``: whether the law of the error is wanted; by default in evaluation alone.
        """
        states, solution = self.run(f, f.start if start is None else start, iterations)
        if f.change is None:  # of a loop in a graph, the solver has recorded the last steps of all samples
            assert solution is not None
            last_step = solution.last("trace_pixels").mean().to(states[-1][1].dtype)
        else:
            last_step = self.stride * torch.linalg.vector_norm(f.change, dim=1).mean()
        wanted = not self.training if scale is None else scale
        law = self.scale(states[-1]) if wanted else None
        flows = [self.decode(state) for state in states]
        return Estimate(flows, states[-1], last_step, solution, law, f.change)

    def forward(
        self, image1: Tensor, image2: Tensor, *, iterations: int, start: State | None = None
    ) -> Estimate:
        """Estimate the flow from ``image1`` to ``image2``."""
        return self.estimate(self.recurrence(image1, image2), iterations=iterations, start=start)

    def _check(self, image1: Tensor, image2: Tensor) -> None:
        """Refuse images that cannot be a pair or do not fit the grid."""
        if image1.shape != image2.shape or image1.ndim != 4 or image1.shape[1] != 3:
            raise ValueError(
                "a pair must be two images (B, 3, H, W) of one size,"
                f" got {tuple(image1.shape)} and {tuple(image2.shape)}"
            )
        if any(side % self.stride for side in image1.shape[-2:]):
            raise ValueError(
                f"image sides must be multiples of {self.stride}, got {tuple(image1.shape[-2:])}:"
                " pad the images first"
            )


def _scaled(image: Tensor) -> Tensor:
    """Bring an image to [-1, 1], in the memory layout that the device's convolutions like best."""
    return (2 * image - 1).contiguous(memory_format=memory_format(image.device))
