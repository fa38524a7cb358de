"""Optical flow of pictures and videos by any network of the family, with a confidence for every pixel."""

import copy
import statistics
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sevenfold.config import build
from sevenfold.deq.base import Status
from sevenfold.environment import usable_device
from sevenfold.errors import ConfigError, InputError, suggest
from sevenfold.flow import NETWORKS
from sevenfold.flow.checkpoints import load_weights
from sevenfold.flow.confidence import Calibration, combination, occlusion, signals
from sevenfold.flow.media.inputs import Frame, picture, same_size
from sevenfold.flow.media.reading import frames
from sevenfold.flow.memory import estimate_bytes, free_on, largest_tile
from sevenfold.flow.network import FlowNetwork, State
from sevenfold.flow.padding import pad, unpad
from sevenfold.flow.projection import forward_project
from sevenfold.flow.result import FlowResult
from sevenfold.flow.shipped import KNOWN, SHIPPED, Card, default_calibration, load_shipped, read_model
from sevenfold.flow.tiles import LEAST, Blend, cell_means, enlarged, plan, reduced

if TYPE_CHECKING:
    from sevenfold.flow.selfsup import Adaptation, Adapted

Carried = Literal["auto", "state", "flow", "nothing", "off"]
SHARE = 0.6  # of the free memory that an estimate without tiles may take
CUT_CONFIDENCE, CUT_CHANGE, THUMBNAIL = 0.2, 4.0, (18, 32)


class Maps(NamedTuple):
    """What a solve gives: maps (D, ., H, W) of D directions, the state, and how the solve ended."""

    flow: Tensor
    step: Tensor
    scale: Tensor | None
    state: State
    steps: int
    residual: float | None
    status: str
    tiles: int = 1


@dataclass
class _Carried:
    """What one pair of a video leaves to the next."""

    features: Tensor
    state: State
    confidence: float
    changes: deque[float]


class Estimator:
    """Estimate optical flow between two pictures, with confidence and occlusion.

    Args:
        network: any network of the family; it stays an ordinary module, as ``network``.
        card: what is known of its weights.
        steps: of f; by default those of the card.
        both: whether the backward flow is estimated too, from which consistency and occlusion follow.
        tile: "auto" cuts pictures into tiles that do not fit into memory, "off" never does; a number is the
            side of tiles in px.
        carry: what a pair of a video takes over from the one before: "auto" is what the card says.
        precision: "bf16" computes convolutions in half precision.

    Example:
        >>> import torch
        >>> from sevenfold.flow import DEQFlow
        >>> estimator = Estimator(DEQFlow(variant="demo"), steps=4)
        >>> result = estimator(torch.rand(3, 48, 64), torch.rand(3, 48, 64))
        >>> result.flow.shape, result.confidence.shape
        (torch.Size([2, 48, 64]), torch.Size([48, 64]))
    """

    def __init__(
        self,
        network: FlowNetwork,
        card: Card = Card(),
        *,
        steps: int | None = None,
        both: bool = True,
        tile: int | Literal["auto", "off"] = "auto",
        carry: Carried = "auto",
        precision: Literal["bf16"] | None = None,
    ) -> None:
        if steps is not None and steps < 1:
            raise ConfigError("steps", f"expected a number of steps of at least 1, got {steps}")
        if tile not in ("auto", "off") and not (isinstance(tile, int) and tile > 0):
            raise ConfigError("tile", f"expected 'auto', 'off' or a side above 0, got {tile!r}")
        if isinstance(tile, int) and tile < LEAST and tile % network.stride:
            raise ConfigError("tile", f"expected a multiple of {network.stride}, got {tile}")
        if carry not in get_args(Carried):
            raise ConfigError("carry", f"is {carry!r}; known are {', '.join(get_args(Carried))}")
        if precision not in (None, "bf16"):
            raise ConfigError("precision", f"expected 'bf16' or none, got {precision!r}")
        self.network, self.card = network.eval(), card
        self.steps, self.both, self.tile = steps or card.steps, both, tile
        self.carry = card.carry if carry == "auto" else "nothing" if carry == "off" else carry
        self.precision = precision
        self.calibration: Calibration = card.calibration or default_calibration()
        # The coarsest level of the correlation needs a cell.
        self._least = network.stride * 2 ** (network.widths.levels - 1)

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.network.parameters()).device

    def facts(self) -> dict[str, Any]:
        """Return the number of parameters, the licence of the weights, and what they were trained on."""
        return {
            "parameters": sum(part.numel() for part in self.network.parameters()),
            "trained_on": str(self.card.facts.get("trained_on", "unknown")),
            "licence": str(self.card.facts.get("licence", "unknown")),
        }

    def memory(self, height: int, width: int) -> int:
        """Return about how many bytes a pair of this size will take without tiles, beside the weights."""
        directions = 2 if self.both else 1
        return estimate_bytes(self.network, height, width, directions=directions, free=free_on(self.network))

    def __call__(self, image1: Any, image2: Any, *, start: State | None = None) -> FlowResult:
        """Return the flow from ``image1`` to ``image2``, in any form that :func:`picture` takes.

        ``start``: state from which f is iterated, of padded size; by default the network's own.
        """
        first, second = picture(image1, "image1"), picture(image2, "image2")
        same_size(first, second, "image1", "image2")
        with torch.inference_mode():
            maps, _ = self._maps(first[None].to(self.device), second[None].to(self.device), None, start)
            name = Path(image1).stem if isinstance(image1, str | Path) else ""
            return self._result(first, second, maps, Frame(first, name, 0.0))

    def stream(self, source: Any, **options: Any) -> Iterator[FlowResult]:
        """Yield the flow of each pair of successive frames; options are those of :meth:`pairs`."""
        for result, _ in self.pairs(source, **options):
            yield result

    def pairs(self, source: Any, *, every: int = 1) -> Iterator[tuple[FlowResult, Tensor]]:
        """Yield the flow of each pair of successive frames and the pair's second picture.

        ``source``: a video, a folder of frames, a list of pictures, or any iterable of pictures or
        :class:`Frame`. ``every``: take each so many-th frame. One frame is in memory beside what is carried.
        """
        if every < 1:
            raise InputError(f"every: expected a number of at least 1, got {every}")
        before: Frame | None = None
        carried: _Carried | None = None
        for frame in islice(frames(source), 0, None, every):
            if before is not None:
                same_size(before.image, frame.image, f"frame {before.name}", f"frame {frame.name}")
                with torch.inference_mode():
                    result, carried = self._next(before, frame, carried)
                yield result, frame.image
            before = frame

    def with_network(self, network: FlowNetwork) -> "Estimator":
        """Return an estimator like this one with another network of the same kind."""
        (made := copy.copy(self)).network = network.eval()
        return made

    def adapt(
        self, source: Any, *, minutes: float | None = 5.0, options: "Adaptation | None" = None
    ) -> "Adapted":
        """Learn from frames without a true flow; return the adapted estimator with a report.

        Args:
            source: as in :meth:`pairs`; of long ones the first 200 frames.
            minutes: about how long it may take; None: all steps of the options.
            options: of the training; by default those for a trained model.

        Example:
            >>> from sevenfold.flow import DEQFlow, selfsup
            >>> small = selfsup.Adaptation(steps=1, iterations=3, anchor=0.0)
            >>> estimator = Estimator(DEQFlow(variant="demo"), steps=2)
            >>> estimator.adapt(torch.rand(2, 3, 48, 64), options=small).steps
            1
        """
        from sevenfold.flow.selfsup import Adaptation, adapt, frame_pairs

        return adapt(self, frame_pairs(source), options or Adaptation(), minutes=minutes)

    def _next(self, before: Frame, frame: Frame, carried: _Carried | None) -> tuple[FlowResult, _Carried]:
        """Estimate one pair of a video."""
        first, second = (each.image[None].to(self.device) for each in (before, frame))
        # A cut changes the whole picture; motion changes little of a thumbnail.
        thumbs = [interpolate(each, THUMBNAIL, mode="area") for each in (first, second)]
        change = float((thumbs[0] - thumbs[1]).abs().mean())
        changes = deque([] if carried is None else carried.changes, maxlen=16)
        usual = statistics.median(changes) if len(changes) >= 3 else float("inf")
        cut = change > CUT_CHANGE * max(usual, 1e-3)
        start = None
        if carried is not None and not cut and carried.confidence >= CUT_CONFIDENCE:
            start = self._start(carried.state)
        maps, features = self._maps(first, second, None if carried is None else carried.features, start)
        result = self._result(before.image, frame.image, maps, before)
        changes.append(change)
        return result, _Carried(features, maps.state, float(result.confidence.mean()), changes)

    def _start(self, state: State) -> State | None:
        """Return where the next pair starts: the flow moved along itself, and with "state" the hidden map."""
        if self.carry == "nothing":
            return None
        hidden, flow = state
        forward = forward_project(flow[:1])
        moved = [forward]
        if self.both:
            # Where a point arrives, the flow back is that which has brought it.
            moved.append(-forward_project(forward))
        first = hidden if self.carry == "state" else torch.zeros_like(hidden)
        return first, torch.cat(moved)

    def _maps(
        self, first: Tensor, second: Tensor, features: Tensor | None, start: State | None
    ) -> tuple[Maps, Tensor]:
        """Estimate both directions of a pair (1, 3, H, W), by tiles where it must be."""
        height, width = first.shape[-2:]
        side = self._tile_side(height, width)
        if side is None or side >= max(height, width):
            return self._solve(first, second, features, start)
        return self._tiled(first, second, side), torch.zeros(0)

    def _tile_side(self, height: int, width: int) -> int | None:
        if self.tile == "off":
            return None
        if isinstance(self.tile, int):
            return self.tile
        directions, free = 2 if self.both else 1, free_on(self.network)
        return largest_tile(self.network, height, width, directions=directions, free=free, share=SHARE)

    def _solve(
        self, first: Tensor, second: Tensor, features: Tensor | None, start: State | None
    ) -> tuple[Maps, Tensor]:
        """Estimate a pair in one piece; return also the second picture's features."""
        network = self.network
        half = self.precision == "bf16"
        with torch.autocast(first.device.type, torch.bfloat16) if half else nullcontext():
            a, added = pad(first, network.stride, least=self._least)
            b, _ = pad(second, network.stride, least=self._least)
            of_b = network.encode(b)
            reusable = features is not None and features.shape == of_b.shape
            of_a = features if features is not None and reusable else network.encode(a)
            one, two, of_one, of_two = a, b, of_a, of_b
            # Both directions share the encoder: each picture passes it once.
            if self.both:
                one, two = torch.cat([a, b]), torch.cat([b, a])
                of_one, of_two = torch.cat([of_a, of_b]), torch.cat([of_b, of_a])
            f = network.recurrence(one, two, features=(of_one, of_two))
            if start is not None and not torch.any(start[0]):
                start = (f.start[0], start[1])  # the network's own first hidden map
            estimate = network.estimate(f, iterations=self.steps, start=start)
            change = estimate.change
            assert change is not None  # an estimator solves without a loop in a graph
            step = network.decode((estimate.state[0], change.to(estimate.state[1].dtype)))
        scale = None if estimate.scale is None else unpad(estimate.scale.expected(), added)
        solution = estimate.solution
        maps = Maps(
            unpad(estimate.flows[-1], added).float(),
            unpad(step, added).float(),
            scale,
            estimate.state,
            self.steps if solution is None else int(solution.steps.max()),
            None if solution is None else float(solution.residual_rel.max()),
            "max_iter" if solution is None else Status(int(solution.status.max())).name,
        )
        return maps, of_b

    def _tiled(self, first: Tensor, second: Tensor, side: int) -> Maps:
        """Estimate a pair by tiles, each of which starts from the flow of the whole at a lower resolution.

        Motion from beyond a tile is known so, and neighbors agree.
        """
        stride, size = self.network.stride, (first.shape[2], first.shape[3])
        # The smallest reduction at which the whole picture has the size of a tile.
        factor = -(-max(size) // side)
        coarse, _ = self._solve(reduced(first, factor), reduced(second, factor), None, None)
        around = enlarged(coarse.flow, size)
        a, added = pad(first, stride)
        b, _ = pad(second, stride)
        wide, _ = pad(around, stride)
        blend = Blend(a.shape[2], a.shape[3])
        tiles = plan(a.shape[2], a.shape[3], max(side, self._least), stride)
        parts = []
        for tile in tiles:
            flow = cell_means(tile.cut(wide), stride)
            hidden = flow.new_zeros(len(flow), self.network.widths.hidden, *flow.shape[2:])
            part, _ = self._solve(tile.cut(a), tile.cut(b), None, (hidden, flow))
            maps = [part.flow, part.step] + ([] if part.scale is None else [part.scale[:, None]])
            blend.add(tile, torch.cat(maps, dim=1).flatten(0, 1))
            parts.append(part)
        joined = unpad(blend.mean(), added).to(first.device).unflatten(0, (len(around), -1))
        worst = max(parts, key=lambda part: part.residual or 0.0)
        scale = joined[:, 4] if joined.shape[1] > 4 else None
        return worst._replace(flow=joined[:, :2], step=joined[:, 2:4], scale=scale, tiles=len(tiles))

    def _result(self, first: Tensor, second: Tensor, maps: Maps, frame: Frame) -> FlowResult:
        """Compute what follows from both flows."""
        image1, image2 = (each[None].to(maps.flow.device) for each in (first, second))
        forward, backward = maps.flow[:1], maps.flow[1:] if self.both else None
        scale = None if maps.scale is None else maps.scale[:1]
        names = ["consistency"] * self.both + ["step", "photo", "scale"]
        # A model whose calibration does not know the scale does without it.
        if combination(names) not in self.calibration.rows:
            scale = None
        given = signals(forward, image1, image2, backward=backward, step=maps.step[:1], scale=scale)
        hidden = None if backward is None else occlusion(forward, backward)[0].cpu()
        return FlowResult(
            image=(first.clamp(0, 1) * 255).round().to(torch.uint8).cpu(),
            flow=forward[0].cpu(),
            backward=None if backward is None else backward[0].cpu(),
            confidence=self.calibration.confidence(given)[0].cpu(),
            expected_error=self.calibration.expected_error(given)[0].cpu(),
            occluded=hidden,
            steps=maps.steps,
            residual=maps.residual,
            status=maps.status,
            tiles=maps.tiles,
            name=frame.name,
            time=frame.time,
        )


def load(
    model: str | Path = "scenes",
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    precision: Literal["bf16"] | None = None,
    steps: int | None = None,
    both: bool = True,
    tile: int | Literal["auto", "off"] = "auto",
    carry: Carried = "auto",
) -> Estimator:
    """Return an estimator of flow.

    Args:
        model: a shipped model ("scenes"), a network by name ("raft_small", "raft", "deq_flow") with
            ``weights``, a run folder, a checkpoint, or the file of an adapted model.
        weights: a file of published weights for a network by name.
        device: "auto" takes a GPU where there is one.
        precision: "bf16" computes convolutions in half precision.
        steps: of f; by default those of the model.
        both: whether the backward flow is estimated too.
        tile: "auto", "off", or the side of tiles in px.
        carry: what pairs of a video take over: "auto", "off", "flow" or "state".

    Example:
        >>> import torch, tempfile
        >>> from sevenfold.flow import RAFT
        >>> file = tempfile.mkdtemp() + "/weights.pth"
        >>> torch.save(RAFT(variant="small").state_dict(), file)
        >>> estimator = load("raft_small", weights=file, steps=2)
        >>> estimator(torch.rand(3, 64, 64), torch.rand(3, 64, 64)).steps
        2
    """
    network, card = _network(model, weights)
    network.to(usable_device(device))
    return Estimator(network, card, steps=steps, both=both, tile=tile, carry=carry, precision=precision)


def _network(model: str | Path, weights: str | Path | None) -> tuple[FlowNetwork, Card]:
    """Return the network of a name or a place, and what is known of it."""
    if str(model) in KNOWN:
        if weights is None:
            raise InputError(f"model '{model}' needs weights: give the file of published weights")
        network: FlowNetwork = build(NETWORKS, dict(KNOWN[str(model)]), "model")
        load_weights(network, weights)
        return network, Card(steps=12)
    if weights is not None:
        raise InputError(f"weights: model '{model}' brings its own; give one of {', '.join(KNOWN)}")
    if str(model) in SHIPPED:
        return load_shipped(str(model))
    if Path(model).suffix == ".pt" and Path(model).with_suffix(".json").is_file():
        return read_model(Path(model))
    if not Path(model).exists():
        raise InputError(f"'{model}' is no model, folder or file. {suggest(str(model), [*SHIPPED, *KNOWN])}")
    import sevenfold

    module = sevenfold.load(model)
    if not isinstance(getattr(module, "network", None), FlowNetwork):
        raise InputError(f"{model} holds no estimator of flow but a {type(module).__name__}")
    return module.network, Card(steps=module.evaluation.iterations)
