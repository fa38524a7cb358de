"""Where a flow field will be one frame later, from which RAFT and DEQ-Flow start the next pair of a video."""

import torch
from torch import Tensor

CHUNK = 2**24  # distances held at a time


def forward_project(flow: Tensor) -> Tensor:
    """Move each vector of flow (B, 2, H, W), in cells, along itself; fill the grid from the nearest one.

    Vectors that would leave the frame (or land on its very border) are dropped; where none stays, the result
    is zero. The nearest vector is found exactly, on the tensor's device: this is nearest-neighbor
    interpolation of scattered data, except that ties may be settled otherwise.
    """
    return torch.stack([_project(field) for field in flow])


def _project(flow: Tensor) -> Tensor:
    _, height, width = flow.shape
    ys, xs = torch.meshgrid(
        torch.arange(height, device=flow.device, dtype=torch.float64),
        torch.arange(width, device=flow.device, dtype=torch.float64),
        indexing="ij",
    )
    grid = torch.stack([xs, ys]).flatten(1)  # (2, H W)
    vectors = flow.flatten(1)
    target = grid + vectors.double()
    limit = torch.tensor([[width], [height]], device=flow.device)
    inside = ((target > 0) & (target < limit)).all(0)
    if not inside.any():
        return torch.zeros_like(flow)
    target, vectors = target[:, inside], vectors[:, inside]
    rows = max(1, CHUNK // target.shape[1])
    nearest = torch.cat([_nearest(part, target) for part in grid.split(rows, dim=1)])
    return vectors[:, nearest].view_as(flow)


def _nearest(places: Tensor, points: Tensor) -> Tensor:
    """Return the index of the point (2, N) nearest to each place (2, M)."""
    across = places[0][:, None] - points[0]
    down = places[1][:, None] - points[1]
    return across.square_().addcmul_(down, down).argmin(1)
