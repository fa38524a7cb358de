"""Pictures of flow: the Middlebury color wheel, maps of errors, and panels that show a whole example."""

from collections.abc import Sequence
from typing import Literal

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms.functional import pil_to_tensor, resize
from torchvision.utils import flow_to_image

from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.metrics import end_point_error

HEAT = ((0, 0, 0), (60, 10, 110), (190, 50, 80), (250, 150, 30), (255, 255, 220))
KITTI_BOUNDS = (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # 1 is the border to an outlier
KITTI_COLORS = (
    (49, 54, 149),
    (69, 117, 180),
    (116, 173, 209),
    (171, 217, 233),
    (224, 243, 248),
    (254, 224, 144),
    (253, 174, 97),
    (244, 109, 67),
    (215, 48, 39),
    (165, 0, 38),
)
LABEL_HEIGHT, SMALLEST_WIDTH, GAP = 16, 240, 4


def flow_colors(flow: Tensor, valid: Tensor | None = None, radius: float | None = None) -> Tensor:
    """Color a flow field (2, H, W) by the Middlebury wheel of 55 hues (Baker et al. 2011), uint8 (3, H, W).

    Hue is direction, saturation is speed up to ``radius`` px (default: the largest valid speed; longer
    vectors look like that). Pixels outside ``valid`` (H, W) or not finite are black.

    Example:
        >>> import torch
        >>> flow_colors(torch.rand(2, 8, 8)).shape
        torch.Size([3, 8, 8])
    """
    known = flow.isfinite().all(dim=0)
    if valid is not None:
        known = known & valid
    flow = torch.where(known, flow.detach().float(), 0.0)
    speed = flow.norm(dim=0)
    limit = float(speed.max()) if radius is None else float(radius)
    limit = max(limit, 1e-6)
    below = (1 - 1e-6) * limit  # at the very limit, rounding below 0 would turn into 255
    flow = flow * (below / speed.clamp(min=limit))
    ruler = torch.zeros_like(flow[:, :, :1])  # torchvision scales by the longest vector, so give it one
    ruler[0] = limit
    colors = flow_to_image(torch.cat([flow, ruler], dim=2))[:, :, :-1]
    return torch.where(known, colors, 0).to(torch.uint8)


def error_heat(error: Tensor, valid: Tensor, ceiling: float) -> Tensor:
    """Color errors (H, W) from black, 0, to white, ``ceiling`` px and more; invalid pixels are gray."""
    share = (error.nan_to_num(ceiling, ceiling) / max(ceiling, 1e-6)).clamp(0, 1) * (len(HEAT) - 1)
    table = torch.tensor(HEAT, dtype=torch.float32, device=error.device)
    lower = share.long().clamp(max=len(HEAT) - 2)
    mixed = torch.lerp(table[lower], table[lower + 1], (share - lower)[..., None])
    return torch.where(valid, mixed.permute(2, 0, 1).round(), 96).to(torch.uint8)


def kitti_error_colors(pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Color errors in KITTI's logarithmic bins, uint8 (3, H, W); invalid pixels are black.

    ``pred`` and ``target`` are flow (2, H, W). Blue is within 3 px or 5 % of the speed, red beyond both.
    """
    error = end_point_error(pred, target)
    rank = torch.minimum(error / 3, error / (0.05 * target.norm(dim=0)).clamp(min=1e-6)).nan_to_num(torch.inf)
    bounds = torch.tensor(KITTI_BOUNDS, device=pred.device)
    colors = torch.tensor(KITTI_COLORS, device=pred.device)[torch.bucketize(rank, bounds, right=True)]
    return torch.where(valid, colors.permute(2, 0, 1), 0).to(torch.uint8)


def panel(
    image1: Tensor,
    image2: Tensor,
    pred: Tensor,
    target: Tensor,
    valid: Tensor,
    *,
    error: Literal["heat", "kitti"] = "heat",
) -> Tensor:
    """Compose frame 1 | frame 2 | prediction | truth | error into one labeled picture, uint8 (3, H', W').

    Images are RGB (3, H, W) in [0, 1], flow (2, H, W) in px, ``valid`` (H, W). Prediction and truth share
    one scale, the truth's largest speed; errors are white at its mean (at least 1 px). Without any valid
    pixel, truth and error are left out. Wide pictures are stacked, small ones enlarged.
    """
    tiles = [("frame 1", _bytes(image1)), ("frame 2", _bytes(image2))]
    if not valid.any():
        tiles.append(("prediction", flow_colors(pred)))
        return _compose(tiles)
    speeds = target.norm(dim=0)[valid]
    radius = float(speeds.max())
    errors = end_point_error(pred, target)
    tiles.append((f"prediction, EPE {float(errors[valid].mean()):.3g} px", flow_colors(pred, radius=radius)))
    tiles.append((f"truth, up to {radius:.3g} px", flow_colors(target, valid, radius)))
    if error == "kitti":
        tiles.append(("error, red: > 3 px and 5 %", kitti_error_colors(pred, target, valid)))
    else:
        ceiling = max(1.0, float(speeds.mean()))  # white: no better than predicting no motion
        tiles.append((f"error, white: {ceiling:.3g} px", error_heat(errors, valid, ceiling)))
    return _compose(tiles)


def batch_panels(batch: FlowBatch, flow: Tensor, count: int) -> dict[str, Tensor]:
    """Return the panels of the first ``count`` items of a batch and its estimate (B, 2, H, W), by name."""
    panels = {}
    for index, name in enumerate(batch["name"][:count]):
        item = [part[index] for part in (batch["image1"], batch["image2"], batch["flow"], batch["valid"])]
        image1, image2, target, valid = (part.detach().float().cpu() for part in item)
        error: Literal["heat", "kitti"] = "kitti" if batch["dataset"][index] == "kitti" else "heat"
        pred = flow[index].detach().float().cpu()
        panels[name] = panel(image1, image2, pred, target, valid.bool(), error=error)
    return panels


def grid(tiles: Sequence[tuple[str, Tensor]], *, columns: int = 3, width: int = 520) -> Tensor:
    """Return labeled pictures (3, H, W) of one size in rows of ``columns``, each ``width`` px wide.

    Example:
        >>> import torch
        >>> grid([("a", torch.zeros(3, 26, 52, dtype=torch.uint8))] * 4, columns=2).shape
        torch.Size([3, 556, 1044])
    """
    height = max(1, round(tiles[0][1].shape[1] * width / tiles[0][1].shape[2]))
    cells = [_labeled(text, resize(tile, [height, width], antialias=True)) for text, tile in tiles]
    rows = -(-len(cells) // columns)
    down, right = cells[0].shape[1] + GAP, width + GAP
    canvas = torch.full(
        (3, rows * down - GAP, min(columns, len(cells)) * right - GAP), 255, dtype=torch.uint8
    )
    for place, cell in enumerate(cells):
        top, left = place // columns * down, place % columns * right
        canvas[:, top : top + cell.shape[1], left : left + width] = cell
    return canvas


def _bytes(image: Tensor) -> Tensor:
    return (image.detach().clamp(0, 1) * 255).round().to(torch.uint8)


def _compose(tiles: list[tuple[str, Tensor]]) -> Tensor:
    """Label the tiles and put them side by side, or one below the other if they are wide."""
    height, width = tiles[0][1].shape[1:]
    stacked = [_labeled(text, tile.cpu()) for text, tile in tiles]
    along = 1 if width > 2 * height else 2
    gap = list(stacked[0].shape)
    gap[along] = GAP
    pieces = [piece for tile in stacked for piece in (torch.full(gap, 255, dtype=torch.uint8), tile)]
    return torch.cat(pieces[1:], dim=along)


def _labeled(text: str, tile: Tensor) -> Tensor:
    """Enlarge a small tile by a whole factor and put a line of text above it."""
    factor = -(-SMALLEST_WIDTH // tile.shape[2])
    if factor > 1:
        tile = interpolate(tile[None], scale_factor=factor, mode="nearest")[0]
    strip = Image.new("RGB", (tile.shape[2], LABEL_HEIGHT), (32, 32, 32))
    ImageDraw.Draw(strip).text((4, 2), text, fill=(255, 255, 255), font=ImageFont.load_default())
    return torch.cat([pil_to_tensor(strip), tile], dim=1)
