"""The U-Net of the library diffusers (extra ``diffrep``)."""

from typing import Any

from torch import Tensor, nn

from sevenfold.config import ConfigError
from sevenfold.ranges import Depth, NonNegativeInt, Size


class DiffusersUNet(nn.Module):
    """``diffusers.UNet2DModel`` with an embedding of classes and of no class.

    Args:
        size, channels: of the images.
        classes: 0 for none.
        widths: channels of each resolution.
        layers: residual layers of each resolution.
        attention: whether there is attention at the coarsest resolution.
        groups: of the norms.
    """

    null_label = -1

    def __init__(
        self,
        *,
        size: Size = 8,
        channels: Size = 1,
        classes: NonNegativeInt = 0,
        widths: list[Size] = [32, 48],  # noqa: B006 (never changed)
        layers: Depth = 1,
        attention: bool = True,
        groups: Size = 16,
    ) -> None:
        super().__init__()
        if any(width % groups for width in widths) or not widths:
            raise ConfigError("widths", f"must be multiples of groups ({groups}), got {widths}")
        last = "Attn" if attention else ""
        plain = len(widths) - 1
        self.shape, self.classes = (channels, size, size), classes
        self.unet = _library().UNet2DModel(
            sample_size=size, in_channels=channels, out_channels=channels,
            block_out_channels=tuple(widths), layers_per_block=layers, norm_num_groups=groups,
            down_block_types=("DownBlock2D",) * plain + (f"{last}DownBlock2D",),
            up_block_types=(f"{last}UpBlock2D",) + ("UpBlock2D",) * plain,
            num_class_embeds=classes + 1 if classes else None,
        )  # fmt: skip

    def forward(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the output (N, C, H, W) for images at ``time`` (N,); ``labels`` (N,) of -1 mean no class."""
        classes = None
        if self.classes:
            # class number ``classes`` stands for no class
            none = time.new_full((len(x),), self.classes).long()
            classes = none if labels is None else labels.to(none).where(labels >= 0, none)
        return self.unet(x, time, class_labels=classes, return_dict=False)[0]


def _library() -> Any:
    try:
        import diffusers
    except ImportError:
        raise ConfigError(
            "name", "diffusers_unet needs the package diffusers: pip install 'sevenfold[diffrep]'"
        ) from None
    return diffusers
