"""M networks with cells of NAS-Bench-201 as one module: stem, one cell, head, each with its own weights."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sevenfold.nas.digits.cell import Cell
from sevenfold.nas.digits.layers import Norm
from sevenfold.nas.spaces.base import Ints
from sevenfold.nas.spaces.nb201_keys import EDGES, OPS

CLASSES = 10


def live_ops(archs: Ints) -> NDArray[np.int8]:
    """Return cells (n, 6) with ``none`` on every edge that does not lie on a way from input to output."""
    used = np.asarray(archs) != OPS.index("none")
    fed = np.ones((4, len(used)), bool)
    needed = np.ones((4, len(used)), bool)
    for node in (1, 2, 3):
        fed[node] = np.any([used[:, e] & fed[s] for e, (s, t) in enumerate(EDGES) if t == node], axis=0)
    for node in (2, 1):
        needed[node] = np.any([used[:, e] & needed[t] for e, (s, t) in enumerate(EDGES) if s == node], axis=0)
    alive = np.stack([fed[s] & needed[t] for s, t in EDGES], axis=1)
    return np.where(alive, archs, OPS.index("none")).astype(np.int8)


class Networks(nn.Module):
    """A patch stem, one cell and a linear head on the averaged output, for cells ``archs`` (M, 6).

    The weights are empty: :meth:`initialize` draws them. Edges that do not matter are not computed.
    """

    def __init__(self, archs: Ints, *, channels: int = 8) -> None:
        super().__init__()
        m, archs = len(archs), live_ops(archs)
        self.stem = nn.Parameter(torch.empty(m, channels, 4))
        self.stem_norm = Norm(m, channels)
        self.cell = Cell(archs, channels)
        self.norm = Norm(m, channels)
        self.head = nn.Parameter(torch.empty(m, CLASSES, channels))
        self.bias = nn.Parameter(torch.zeros(m, 1, CLASSES))

    def forward(self, patches: Tensor) -> Tensor:
        """Classify ``patches`` (M, 4, 16, B): logits (M, B, 10)."""
        stem = torch.bmm(self.stem, patches.flatten(2)).view(len(patches), -1, *patches.shape[2:])
        features = self.norm(self.cell(self.stem_norm(stem))).relu().mean(2)  # (M, C, B)
        return torch.baddbmm(self.bias, features.transpose(1, 2), self.head.transpose(1, 2))

    def filters(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield every weight that is drawn, some of its rows, and the networks that own these.

        The order is that of a network from its input to its output: stem, edges in order, head.
        """
        every = torch.arange(len(self.head))
        yield self.stem, every, every
        for edge in range(len(EDGES)):
            yield from self.cell.filters(edge)
        yield self.head, every, every

    @torch.no_grad()
    def initialize(self, generators: list[torch.Generator]) -> None:
        """Draw He-normal weights, network m's from ``generators[m]`` alone."""
        for weight, rows, networks in self.filters():
            deviation = (2 / weight.shape[2:].numel()) ** 0.5
            for row, network in zip(rows.tolist(), networks.tolist(), strict=True):
                draw = torch.randn(weight.shape[1:], generator=generators[network], dtype=torch.float32)
                weight[row] = draw * deviation
