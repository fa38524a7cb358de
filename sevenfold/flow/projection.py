"""Where a flow field will be one frame later, from which RAFT and DEQ-Flow start the next pair of a video."""

import torch
from torch import Tensor

RADIUS = 2  # cells around a place in which its nearest vector is looked for first
CHUNK = 2**22  # distances held at a time where it was not found there


def forward_project(flow: Tensor) -> Tensor:
    """Move each vector of flow (B, 2, H, W), in cells, along itself; fill the grid from the nearest one.

    Vectors that would leave the frame (or land on its very border) are dropped; where none stays, the result
    is zero. The nearest vector is exact, computed on the tensor's device: this is nearest-neighbor
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
    size = torch.tensor([[width], [height]], device=flow.device)
    inside = ((target > 0) & (target < size)).all(0)
    if not inside.any():
        return torch.zeros_like(flow)
    target, vectors = target[:, inside], vectors[:, inside]
    # Warm start: vectors move along themselves to the next frame, gaps take the nearest (Teed and Deng 2020,
    # section 4: warm start).
    nearest, exists = _nearest_around(target, size)
    missing = (~exists).nonzero()[:, 0]
    for part in missing.split(max(1, CHUNK // target.shape[1])):
        nearest[part] = _squares(grid[:, part, None] - target[:, None]).argmin(1)
    return vectors[:, nearest].view_as(flow)


def _nearest_around(points: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each cell of a grid the index of its nearest point (2, N), and where that is certain.

    Every point is scattered to the cells within ``RADIUS`` of its cell. A point of any other is at least
    ``RADIUS`` + 1/2 away.
    """
    steps = torch.arange(-RADIUS, RADIUS + 1, device=points.device)
    offsets = torch.cartesian_prod(steps, steps).T[:, :, None]  # (2, M, 1)
    cells = points.round().long()[:, None] + offsets  # (2, M, N)
    width, height = size[:, 0].tolist()
    outside = ((cells < 0) | (cells >= size[:, :, None])).any(0)
    place = (cells[1] * width + cells[0]).masked_fill(outside, width * height).flatten()
    distance = _squares(points[:, None] - cells).flatten()
    best = distance.new_full((width * height + 1,), torch.inf).scatter_reduce(0, place, distance, "amin")
    count = points.shape[1]
    index = torch.arange(count, device=points.device).expand_as(outside).flatten()
    index = torch.where(distance == best[place], index, count)
    winner = place.new_full((width * height + 1,), count).scatter_reduce(0, place, index, "amin")
    return winner[:-1], best[:-1] <= (RADIUS + 0.5) ** 2


def _squares(difference: Tensor) -> Tensor:
    return difference.square().sum(0)
