"""Marks on pictures of flow: legend, arrows, hatching, and what is not trusted in gray."""

import math

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from sevenfold.flow.color import flow_colors

TRUSTED = 0.3  # arrows are drawn where confidence is at least so high


def legend(picture: Tensor, scale: float) -> Tensor:
    """Return a picture of flow (3, H, W) with the color wheel in its corner, and its ``scale`` in px.

    The wheel has 12 % of the height, at least 48 px, the text 2.5 %, at least 12 px; a picture that is
    smaller than twice the wheel stays as it is.
    """
    height, width = picture.shape[1:]
    side, text = max(48, round(0.12 * height)), max(12, round(0.025 * height))
    if min(height, width) < 2 * side:
        return picture
    # The wheel is the picture of a flow whose vectors are their own places.
    axis = torch.linspace(-1, 1, side)
    wheel = torch.stack([axis.expand(side, side), axis[:, None].expand(side, side)])
    disc = wheel.norm(dim=0) <= 1
    colors = flow_colors(wheel, radius=1.0)
    result = picture.clone()
    corner = result[:, height - side :, width - side :]
    corner[:] = torch.where(disc, colors, corner)
    return _written(result, f"{scale:.3g} px", (width - side - 2, height - 2), text)


def colored(flow: Tensor, scale: float) -> Tensor:
    """Return the colors of a flow (2, H, W), ``scale`` px the most saturated, with a legend."""
    return legend(flow_colors(flow, radius=scale), scale)


def titled(picture: Tensor, text: str) -> Tensor:
    """Return a picture (3, H, W) with a text in its upper left corner, or unchanged if it is too small."""
    height, width = picture.shape[1:]
    size = max(12, round(0.025 * height))
    _, _, right, bottom = ImageFont.load_default(size).getbbox(text)
    if right + 6 > width or 4 * bottom > height:
        return picture
    return _written(picture, text, (math.ceil(right) + 4, math.ceil(bottom) + 4), size)


def draw_arrows(image: Tensor, flow: Tensor, confidence: Tensor, every: int) -> Tensor:
    """Return a picture with the median vector of every square of ``every`` px, where it is trusted."""
    height, width = flow.shape[1:]
    canvas = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    pen = ImageDraw.Draw(canvas)
    for top in range(0, height - every + 1, every):
        for left in range(0, width - every + 1, every):
            place = (slice(top, top + every), slice(left, left + every))
            if float(confidence[place].median()) < TRUSTED:
                continue
            u, v = (float(part[place].median()) for part in flow)
            x, y = left + every / 2, top + every / 2
            pen.line([x, y, x + u, y + v], fill=(255, 230, 0), width=1)
            pen.ellipse([x - 1, y - 1, x + 1, y + 1], fill=(255, 60, 0))
    return pil_to_tensor(canvas)


def hatched(picture: Tensor, where: Tensor) -> Tensor:
    """Return a picture (3, H, W) with diagonal lines where ``where`` (H, W) holds."""
    rows, columns = torch.meshgrid(*(torch.arange(n) for n in where.shape), indexing="ij")
    line = where & ((rows + columns) % 6 < 2)
    return torch.where(line, torch.tensor([255, 0, 255], dtype=torch.uint8)[:, None, None], picture)


def faded(colors: Tensor, confidence: Tensor) -> Tensor:
    """Return colors (3, H, W) that turn to middle gray as confidence (H, W) falls to 0."""
    return (
        torch.lerp(torch.full_like(colors, 128).float(), colors.float(), confidence).round().to(torch.uint8)
    )


def _written(picture: Tensor, text: str, corner: tuple[int, int], size: int) -> Tensor:
    """Write a text whose lower right end is at a corner."""
    canvas = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    place = (corner[0] - right - 2, corner[1] - bottom - 2)
    pen.rectangle(
        [place[0] - 2, place[1] + top - 1, place[0] + right + 1, place[1] + bottom + 1], fill=(32, 32, 32)
    )
    pen.text(place, text, font=font, fill=(255, 255, 255))
    return pil_to_tensor(canvas)
