"""Values at the places to which flow points."""

from torch import Tensor
from torch.nn.functional import grid_sample

from sevenfold.errors import InputError
from sevenfold.flow.upsample import pixel_grid


def warp(values: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Sample ``values`` (B, C, H, W) at x + flow(x), bilinearly; ``flow`` (B, 2, H, W) is in px.

    Returns the samples and where x + flow(x) lies inside the frame, bool (B, H, W); values outside it are
    those of the border and mean nothing.

    Example:
        >>> import torch
        >>> values = torch.arange(4.0).expand(1, 1, 2, 4)
        >>> moved, inside = warp(values, torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 2, 4))
        >>> moved[0, 0, 0].tolist(), inside[0, 0].tolist()
        ([1.0, 2.0, 3.0, 3.0], [True, True, True, False])
    """
    if values.shape[-2:] != flow.shape[-2:] or flow.shape[1] != 2:
        raise InputError(f"values are {tuple(values.shape)} and flow {tuple(flow.shape)}; expected one size")
    height, width = values.shape[-2:]
    size = flow.new_tensor([width, height]).view(1, 2, 1, 1)
    place = pixel_grid(flow) + flow
    inside = ((place >= 0) & (place <= size - 1)).all(dim=1)
    # With align_corners=False pixel x lies at (2 x + 1) / size - 1.
    grid = ((2 * place + 1) / size - 1).permute(0, 2, 3, 1).to(values.dtype)
    return grid_sample(values, grid, padding_mode="border", align_corners=False), inside
