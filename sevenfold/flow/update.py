"""The recurrent update of RAFT: motion encoder, gated units, flow head (Teed and Deng, ECCV 2020).

The modules hold parameters under torchvision's names. ``UpdateBlock.prepare`` evaluates, once per pair,
everything that does not change between steps: weights (weight norm included) and the context's share of the
gates, for a convolution of joined inputs is the sum of the convolutions of each. The ``Prepared`` result is
what steps call.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sevenfold.deq.norm import normalize
from sevenfold.flow.attention import Aggregate, Attention, PreparedAggregate
from sevenfold.flow.variants import Widths


def memory_format(device: torch.device) -> torch.memory_format:
    """Return the order of memory in which convolutions are fastest: channels last on CPU without gradient.

    Backward passes of convolutions are slower so (by a third to a half, PyTorch 2.15).
    """
    last = device.type == "cpu" and not torch.is_grad_enabled()
    return torch.channels_last if last else torch.contiguous_format


class Conv(NamedTuple):
    """A same-size convolution whose weight has been evaluated already."""

    weight: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, module: Any) -> "Conv":
        """Evaluate the weight of an ``nn.Conv2d``."""
        weight = module.weight
        return cls(weight.contiguous(memory_format=memory_format(weight.device)), module.bias)

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve ``x`` (B, C, H, W)."""
        height, width = self.weight.shape[-2:]
        return F.conv2d(x, self.weight, self.bias, padding=(height // 2, width // 2))


def conv_relu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Return a convolution followed by ReLU, as torchvision nests them."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU(inplace=True))


class MotionEncoder(nn.Module):
    """Encode correlation (B, C, H, W) and flow (B, 2, H, W); the flow itself is the last two channels."""

    def __init__(self, widths: Widths):
        super().__init__()
        channels, (flow1, flow2) = widths.corr, widths.flow
        self.convcorr1 = conv_relu(widths.correlation_channels, channels[0], 1)
        self.convcorr2 = conv_relu(channels[0], channels[1], 3) if len(channels) > 1 else nn.Identity()
        self.convflow1 = conv_relu(2, flow1, 7)
        self.convflow2 = conv_relu(flow1, flow2, 3)
        self.conv = conv_relu(channels[-1] + flow2, widths.motion - 2, 3)

    def prepare(self) -> "PreparedMotion":
        """Return the map from (correlation, flow) to motion features."""
        parts = [part[0] for part in (self.convcorr1, self.convcorr2) if isinstance(part, nn.Sequential)]
        of_flow = [Conv.of(self.convflow1[0]), Conv.of(self.convflow2[0])]
        return PreparedMotion([Conv.of(part) for part in parts], of_flow, Conv.of(self.conv[0]))


class PreparedMotion(NamedTuple):
    """The motion encoder's convolutions: (correlation, flow) -> motion features."""

    of_corr: list[Conv]
    of_flow: list[Conv]
    join: Conv

    def __call__(self, correlation: Tensor, flow: Tensor) -> Tensor:
        """Return features (B, ., H, W), the last two of which are the flow."""
        both = torch.cat([_chain(self.of_corr, correlation), _chain(self.of_flow, flow)], dim=1)
        return torch.cat([self.join(both).relu_(), flow], dim=1)


def _chain(convs: Sequence[Conv], x: Tensor) -> Tensor:
    """Apply convolutions in turn, each followed by ReLU."""
    for conv in convs:
        x = conv(x).relu_()
    return x


class PreparedGRU(NamedTuple):
    """One gated unit for one batch of contexts: its weights by input, and the context's terms.

    A convolution of joined inputs is the sum of one of each, so that nothing is ever joined; update gate,
    reset gate and candidate share the convolution of the motion.
    """

    gates: Conv  # of the hidden state, update and reset gate
    candidate: Conv  # of the hidden state after reset
    motion: Conv  # for all three
    context: Tensor  # (B, 3 hidden, H, W), biases included

    def __call__(self, hidden: Tensor, motion: Tensor) -> Tensor:
        """Return the next hidden state: (1 - z) h + z q, with gates z, r and candidate q."""
        # z = sigma(W_z [h, x]), r = sigma(W_r [h, x]), q = tanh(W_q [r h, x]), h' = (1 - z) h + z q (Teed and
        # Deng 2020, eq. 3 to 6), the convolution of [h, x] split into that of h and that of x.
        channels = hidden.shape[1]
        of_gates, of_candidate = self.motion(motion).add_(self.context).split([2 * channels, channels], dim=1)
        z, r = self.gates(hidden).add_(of_gates).sigmoid_().chunk(2, dim=1)
        q = self.candidate(r * hidden).add_(of_candidate).tanh_()
        return torch.addcmul(hidden, z, q - hidden)


class ConvGRU(nn.Module):
    """A convolutional gated recurrent unit over the hidden state joined with context and motion."""

    def __init__(self, hidden: int, inputs: int, kernel: tuple[int, int]):
        super().__init__()
        self.hidden = hidden
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.convz, self.convr, self.convq = (
            nn.Conv2d(hidden + inputs, hidden, kernel, padding=padding) for _ in range(3)
        )

    def prepare(self, context: Tensor) -> PreparedGRU:
        """Convolve ``context`` (B, C, H, W) once and sort the weights by input."""
        convs = (self.convz, self.convr, self.convq)
        weights = [conv.weight for conv in convs]
        bias = torch.cat([conv.bias for conv in convs if conv.bias is not None])
        order = memory_format(context.device)

        def columns(start: int, end: int | None, weights: Sequence[Tensor] = weights) -> Tensor:
            return torch.cat([weight[:, start:end] for weight in weights]).contiguous(memory_format=order)

        first, last = self.hidden, self.hidden + context.shape[1]
        return PreparedGRU(
            gates=Conv(columns(0, first, weights[:2]), None),
            candidate=Conv(columns(0, first, weights[2:]), None),
            motion=Conv(columns(last, None), None),
            context=Conv(columns(first, last), bias)(context),
        )


class RecurrentBlock(nn.Module):
    """Gated units applied in turn: one 3x3, or 1x5 then 5x1. Named ``convgru1``, ``convgru2``."""

    def __init__(self, hidden: int, inputs: int, kernels: Sequence[tuple[int, int]]):
        super().__init__()
        for number, kernel in enumerate(kernels, start=1):
            self.add_module(f"convgru{number}", ConvGRU(hidden, inputs, kernel))

    def prepare(self, context: Tensor) -> list[PreparedGRU]:
        """Prepare each unit for ``context``."""
        return [unit.prepare(context) for unit in self.children() if isinstance(unit, ConvGRU)]


class FlowHead(nn.Module):
    """Predict a change of flow, in cells, from the hidden state."""

    def __init__(self, hidden: int, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(hidden, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2, 3, padding=1)


class PreparedUpdate(NamedTuple):
    """The update for one batch of pairs: (hidden, correlation, flow) -> (hidden, change of flow)."""

    encode: PreparedMotion
    units: list[PreparedGRU]
    head: tuple[Conv, Conv]
    aggregate: PreparedAggregate | None
    order: torch.memory_format  # of the weights; inputs are brought into it

    def __call__(self, hidden: Tensor, correlation: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step; all maps (B, ., H, W) on the coarse grid, flow in cells."""
        hidden, correlation, flow = (
            part.contiguous(memory_format=self.order) for part in (hidden, correlation, flow)
        )
        motion = self.encode(correlation, flow)
        if self.aggregate is not None:
            motion = torch.cat([motion, self.aggregate(motion)], dim=1)
        for unit in self.units:
            hidden = unit(hidden, motion)
        first, second = self.head
        return hidden, second(first(hidden).relu_())

    def select(self, index: Tensor) -> "PreparedUpdate":
        """Keep the samples ``index`` of the batch only."""
        units = [unit._replace(context=unit.context[index]) for unit in self.units]
        aggregate = None if self.aggregate is None else self.aggregate.select(index)
        return self._replace(units=units, aggregate=aggregate)


class UpdateBlock(nn.Module):
    """Hold the update's parameters; with ``gma``, motion is aggregated over the whole picture too.

    ``norm`` is put on every convolution, for the solve to be stable.
    """

    def __init__(self, widths: Widths, *, norm: Literal["weight", "spectral", "none"], gma: bool):
        super().__init__()
        inputs = widths.context + widths.motion * (2 if gma else 1)
        self.motion_encoder = MotionEncoder(widths)
        self.recurrent_block = RecurrentBlock(widths.hidden, inputs, widths.kernels)
        self.flow_head = FlowHead(widths.hidden, widths.head)
        self.gma = Aggregate(widths.motion) if gma else None
        normalize(self, norm)

    def prepare(self, context: Tensor, attention: Attention | None = None) -> PreparedUpdate:
        """Evaluate what is constant for ``context`` (B, C, H, W) and, with GMA, its attention."""
        aggregate = None
        if self.gma is not None:
            if attention is None:
                raise ValueError(
                    "an update with global motion aggregation needs the attention of its context"
                )
            aggregate = self.gma.prepare(attention)
        return PreparedUpdate(
            encode=self.motion_encoder.prepare(),
            units=self.recurrent_block.prepare(context),
            head=(Conv.of(self.flow_head.conv1), Conv.of(self.flow_head.conv2)),
            aggregate=aggregate,
            order=memory_format(context.device),
        )
