"""Convolutional encoders of RAFT (Teed and Deng, ECCV 2020), with torchvision's names for their parts."""

from functools import partial

from torch import Tensor, nn

from sevenfold.flow.variants import Norm, Widths

NORMS = {"instance": nn.InstanceNorm2d, "batch": nn.BatchNorm2d}


def conv_norm(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, norm: Norm, relu: bool = True
) -> nn.Sequential:
    """Return convolution, normalization (unless ``none``) and ReLU (unless told) in a row, same padding."""
    parts: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)]
    if norm != "none":
        parts.append(NORMS[norm](outputs))
    if relu:
        parts.append(nn.ReLU(inplace=True))
    return nn.Sequential(*parts)


class Block(nn.Module):
    """Add a chain of convolutions to its own input: two 3x3, or 1x1, 3x3, 1x1 (bottleneck).

    The input is projected by a 1x1 convolution where its shape changes.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int, norm: Norm, bottleneck: bool):
        super().__init__()
        conv = partial(conv_norm, norm=norm)
        if bottleneck:
            inner = outputs // 4
            self.convnormrelu1 = conv(inputs, inner, 1)
            self.convnormrelu2 = conv(inner, inner, 3, stride=stride)
            self.convnormrelu3: nn.Module = conv(inner, outputs, 1)
        else:
            self.convnormrelu1 = conv(inputs, outputs, 3, stride=stride)
            self.convnormrelu2 = conv(outputs, outputs, 3)
            self.convnormrelu3 = nn.Identity()
        same = stride == 1 and inputs == outputs
        self.downsample = nn.Identity() if same else conv(inputs, outputs, 1, stride=stride, relu=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H/stride, W/stride)."""
        y = self.convnormrelu3(self.convnormrelu2(self.convnormrelu1(x)))
        return self.relu(self.downsample(x) + y)


class Encoder(nn.Module):
    """Encode an image (B, 3, H, W) in [-1, 1] as (B, outputs, H/stride, W/stride) features.

    Weights start Kaiming-normal (fan-out). Stages are named ``layer1``, ``layer2``, ...
    """

    def __init__(self, widths: Widths, *, outputs: int, norm: Norm):
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
