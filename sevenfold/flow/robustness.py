"""How an estimator of flow bears harder pictures of the same pairs: noise, blur, compression, light, size."""

import io
from collections.abc import Callable, Mapping

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur, pil_to_tensor, resize, to_pil_image

from sevenfold.flow.metrics import end_point_error
from sevenfold.flow.tiles import enlarged

Harder = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""Pictures (3, H, W) in [0, 1] and a stream of random numbers, to the same scene made harder."""


def _noise(levels: float) -> Harder:
    def apply(first: Tensor, second: Tensor, stream: torch.Generator) -> tuple[Tensor, Tensor]:
        pair = torch.stack([first, second])
        pair = pair + levels / 255 * torch.randn(pair.shape, generator=stream)
        return pair[0].clamp(0, 1), pair[1].clamp(0, 1)

    return apply


def _blur(first: Tensor, second: Tensor, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    return gaussian_blur(first, [11, 11], [1.5, 1.5]), gaussian_blur(second, [11, 11], [1.5, 1.5])


def _jpeg(first: Tensor, second: Tensor, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    def compressed(image: Tensor) -> Tensor:
        file = io.BytesIO()
        to_pil_image((image * 255).round().to(torch.uint8)).save(file, "JPEG", quality=30)
        return pil_to_tensor(Image.open(file)).float() / 255

    return compressed(first), compressed(second)


def _gamma(first: Tensor, second: Tensor, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    return first, second.clamp(0, 1) ** 0.7


def _sized(factor: float) -> Harder:
    def apply(first: Tensor, second: Tensor, stream: torch.Generator) -> tuple[Tensor, Tensor]:
        size = [max(1, round(factor * side)) for side in first.shape[1:]]
        return resize(first, size, antialias=True), resize(second, size, antialias=True)

    return apply


HARDER: Mapping[str, Harder] = {
    "noise5": _noise(5),
    "noise15": _noise(15),
    "blur": _blur,
    "jpeg30": _jpeg,
    "gamma": _gamma,
    "half": _sized(0.5),
    "double": _sized(2.0),
}
"""Noise in gray levels, blur of 1.5 px, JPEG of quality 30, gamma .7 on the second picture, other sizes."""


def robustness(
    estimate: Callable[[Tensor, Tensor], Tensor],
    first: Tensor,
    second: Tensor,
    truth: Tensor,
    valid: Tensor,
    stream: torch.Generator,
) -> dict[str, float]:
    """Return the end-point error in px under every entry of ``HARDER``, and the mean speed of a still pair.

    Args:
        estimate: pictures (3, H, W) in [0, 1] to flow (2, H, W).
        first: the first picture.
        second: the second picture.
        truth: true flow (2, H, W) in px.
        valid: where it is known, (H, W).
        stream: of the noise.

    Flow of another size is brought to that of the truth, in px of that.

    >>> still, known = torch.zeros(2, 8, 8), torch.ones(8, 8).bool()
    >>> picture = torch.rand(3, 8, 8)
    >>> errors = robustness(lambda a, b: a[:2] * 0 + 1, picture, picture, still, known, torch.Generator())
    >>> [round(errors[name], 3) for name in ("still", "epe_half", "epe_noise5")]
    [1.414, 2.828, 1.414]
    """
    size = (truth.shape[1], truth.shape[2])
    numbers = {"still": float(estimate(first, first).norm(dim=0).mean())}
    for name, harder in HARDER.items():
        flow = estimate(*harder(first, second, stream))
        if flow.shape != truth.shape:
            flow = enlarged(flow[None], size)[0]
        numbers[f"epe_{name}"] = float(end_point_error(flow, truth)[valid].double().mean())
    return numbers
