"""What an estimator says of a pair: flow, how far to trust it, and pictures of both."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.flow.color import flow_colors
from sevenfold.flow.drawing import colored, draw_arrows, faded, hatched, legend, titled
from sevenfold.flow.formats import write_flow
from sevenfold.flow.warp import warp


@dataclass(frozen=True)
class FlowResult:
    """The estimate of one pair; maps are float32 on the CPU, (H, W) where nothing else is said.

    ``image``: the first picture, uint8 (3, H, W). ``flow`` (2, H, W): px from the first to the second, x in
    row 0; ``backward``: that from the second to the first. ``confidence``: how likely the flow is right
    within 1 px. ``expected_error``: px. ``occluded``: what is hidden in the second picture or leaves it;
    bool. ``backward`` and ``occluded`` are None where one direction alone was estimated. ``steps``: of f.
    ``residual``: relative, of the solve; None for networks without one. ``status``: how the solve ended.
    ``tiles``: how many the picture was cut into. ``name`` and ``time``, in seconds: of the first picture.
    """

    image: Tensor
    flow: Tensor
    backward: Tensor | None
    confidence: Tensor
    expected_error: Tensor
    occluded: Tensor | None
    steps: int
    residual: float | None
    status: str
    tiles: int = 1
    name: str = ""
    time: float = 0.0

    @property
    def speed(self) -> Tensor:
        """Return the length of the flow in px (H, W)."""
        return self.flow.norm(dim=0)

    def warped(self, image2: Tensor) -> Tensor:
        """Return the second picture (3, H, W) pulled to the first, uint8; what is hidden is hatched."""
        return hatched(*self._pulled(image2))

    def _pulled(self, image2: Tensor) -> tuple[Tensor, Tensor]:
        """Return the second picture pulled to the first, uint8 (3, H, W), and what is hidden, bool (H, W)."""
        pulled, inside = warp(image2[None].cpu().float(), self.flow[None])
        hidden = ~inside[0] if self.occluded is None else self.occluded
        return (pulled[0].clamp(0, 1) * 255).round().to(torch.uint8), hidden

    def colors(self, scale: float | None = None, *, fade: bool = False) -> Tensor:
        """Return the flow as colors with a legend, uint8 (3, H, W).

        ``scale``: speed in px of the most saturated colors, by default the largest, at least 1; ``fade``:
        turn gray what is not trusted.
        """
        radius = max(1.0, float(self.speed.max())) if scale is None else scale
        if not fade:
            return colored(self.flow, radius)
        return legend(faded(flow_colors(self.flow, radius=radius), self.confidence), radius)

    def arrows(self, every: int = 24) -> Tensor:
        """Return the first picture with the median vector of every square of ``every`` px, true to length."""
        return draw_arrows(self.image, self.flow, self.confidence, every)

    def save(self, path: str | Path) -> None:
        """Write the flow (``.flo``, ``.png``, ``.pfm``), or all maps (``.npz``)."""
        if Path(path).suffix != ".npz":
            write_flow(path, self.flow, clip=True)
            return
        import numpy as np

        from sevenfold.files import replace_file

        maps = {"flow": self.flow, "confidence": self.confidence, "expected_error": self.expected_error}
        maps |= {} if self.backward is None else {"backward": self.backward}
        maps |= {} if self.occluded is None else {"occluded": self.occluded}
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as file:
            np.savez_compressed(
                file, allow_pickle=False, **{name: part.numpy() for name, part in maps.items()}
            )

    def picture(self, kind: str, scale: float, image2: Tensor | None = None) -> Tensor:
        """Return a picture by name: colors, warped, confidence, arrows or panel, uint8 (3, H, W)."""
        if kind == "colors":
            return self.colors(scale)
        if kind == "arrows":
            return self.arrows()
        if kind == "confidence":
            return gray(self.confidence)
        if image2 is None:
            raise InputError(f"the picture '{kind}' needs the second picture")
        if kind == "warped":
            return self.warped(image2)
        pulled, hidden = self._pulled(image2)
        difference = (pulled.int() - self.image.int()).abs().to(torch.uint8)
        parts = {
            "picture": self.image,
            "flow (gray: not trusted)": self.colors(scale, fade=True),
            "difference to the second picture, warped (hatched: hidden)": hatched(difference, hidden),
            "confidence": gray(self.confidence),
        }
        along = 1 if self.image.shape[2] > 2 * self.image.shape[1] else 2
        return torch.cat([titled(part, text) for text, part in parts.items()], dim=along)


def gray(values: Tensor) -> Tensor:
    """Return values (H, W) in [0, 1] as a gray picture, uint8 (3, H, W)."""
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).expand(3, *values.shape)
