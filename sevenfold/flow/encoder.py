"""Convolutional encoders of RAFT (Teed and Deng, ECCV 2020), with torchvision's names for their parts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sevenfold.flow.variants import Norm, Widths

# What is not kept for the backward pass but computed again there: outputs of norms and ReLUs, which cost next
# to nothing, or all inside a residual block, for the price of another forward pass of the encoders.
Recompute = Literal["norms", "blocks"]


class InstanceNorm(nn.Module):
    """Normalize every channel of every sample; PyTorch's kernel for groups does it in a third of the time."""

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W) with mean 0 and variance 1 over H and W, in the type of ``x``."""
        with torch.autocast(x.device.type, enabled=False):
            return F.group_norm(x, self.channels)


NORMS: dict[str, Callable[[int], nn.Module]] = {"instance": InstanceNorm, "batch": nn.BatchNorm2d}


def conv_norm(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, norm: Norm, relu: bool = True
) -> nn.Sequential:
    """Return convolution, normalization (unless ``none``) and ReLU (optional) in a row, same padding."""
    parts: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)]
    if norm != "none":
        parts.append(NORMS[norm](outputs))
    if relu:
        # Without a norm it would overwrite the convolution, from which a block computes again.
        parts.append(nn.ReLU(inplace=norm != "none"))
    return nn.Sequential(*parts)


class Block(nn.Module):
    """Add a chain of convolutions to its own input: two 3x3, or 1x1, 3x3, 1x1 (bottleneck).

    The input is projected by a 1x1 convolution where its shape changes.
    """

    def __init__(
        self, inputs: int, outputs: int, *, stride: int, norm: Norm, bottleneck: bool, recompute: Recompute
    ):
        super().__init__()
        conv = partial(conv_norm, norm=norm)
        if bottleneck:
            inner = outputs // 4
            self.convnormrelu1 = conv(inputs, inner, 1)
            self.convnormrelu2 = conv(inner, inner, 3, stride=stride)
            self.convnormrelu3 = conv(inner, outputs, 1)
        else:
            self.convnormrelu1 = conv(inputs, outputs, 3, stride=stride)
            self.convnormrelu2 = conv(outputs, outputs, 3)
        # The shortcut is the identity where shapes allow it (He et al. 2016).
        same = stride == 1 and inputs == outputs
        self.downsample: nn.Module = (
            nn.Identity() if same else conv(inputs, outputs, 1, stride=stride, relu=False)
        )
        self.recompute = recompute

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H/stride, W/stride)."""
        return self._again(self._pass, x) if self.recompute == "blocks" else self._pass(x)

    def _pass(self, x: Tensor) -> Tensor:
        """Run the chain, cut behind each convolution: what follows it up to the next is one piece."""
        piece = self._again if self.recompute == "norms" else _call
        chain: list[Any] = [part for name, part in self.named_children() if name.startswith("convnormrelu")]
        y = chain[0][0](x)
        for before, after in pairwise(chain):
            y = piece(nn.Sequential(*before[1:], after[0]), y)
        finish = chain[-1][1:]
        shortcut: nn.Module = nn.Identity()
        if isinstance(self.downsample, nn.Sequential):
            x, shortcut = self.downsample[0](x), self.downsample[1:]
        return piece(lambda x, y: (shortcut(x) + finish(y)).relu_(), x, y)

    def _again(self, part: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """Call ``part``; keep for the backward pass nothing but its inputs, if there will be one."""
        # A compiler decides itself what to compute again.
        if not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return part(*inputs)
        settings: Any = {"use_reentrant": False, "preserve_rng_state": False}
        return checkpoint(part, *inputs, context_fn=lambda: (nullcontext(), _no_counting(self)), **settings)


def _call(part: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    return part(*inputs)


@contextmanager
def _no_counting(module: nn.Module) -> Iterator[None]:
    """Let batch norms leave their running statistics as they are: they have seen this batch before."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    try:
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


class Encoder(nn.Module):
    """Encode an image (B, 3, H, W) in [-1, 1] as (B, outputs, H/stride, W/stride) features.

    Weights start Kaiming-normal (fan-out). Stages are named ``layer1``, ``layer2``, ...
    Backward passes compute again what ``recompute`` says.
    """

    def __init__(self, widths: Widths, *, outputs: int, norm: Norm, recompute: Recompute = "norms"):
        super().__init__()
        self.convnormrelu = conv_norm(3, widths.stem, 7, stride=2, norm=norm)
        inputs = widths.stem
        self.stages = len(widths.stages)
        for number, (channels, stride) in enumerate(widths.stages, start=1):
            blocks = [
                Block(
                    channels if i else inputs,
                    channels,
                    stride=1 if i else stride,
                    norm=norm,
                    bottleneck=widths.bottleneck,
                    recompute=recompute,
                )
                for i in range(widths.blocks)
            ]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            inputs = channels
        self.conv = nn.Conv2d(inputs, outputs, 1)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        """Return the features of ``image``."""
        x = self.convnormrelu(image)
        for number in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return self.conv(x)
