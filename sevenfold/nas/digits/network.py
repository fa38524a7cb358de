"""M networks with cells of NAS-Bench-201 as one module: stem, one cell, head, each with its own weights."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sevenfold.nas.digits.layers import Convolution, Norm, pool
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


class Branch(nn.Module):
    """One operation on one edge, for the networks ``rows`` that have it there."""

    def __init__(self, op: str, rows: NDArray[np.int64], networks: int, channels: int) -> None:
        super().__init__()
        self.whole = len(rows) == networks
        self.register_buffer("rows", torch.as_tensor(rows))
        self.rows: Tensor
        self.layer = None
        if op in ("nor_conv_1x1", "nor_conv_3x3"):
            self.layer = Convolution(len(rows), channels, channels, size=3 if op == "nor_conv_3x3" else 1)
        self.op = op

    def forward(self, maps: Tensor, active: Tensor, total: Tensor) -> Tensor:
        """Return ``total`` (M, C, 16, B) plus the operation on ``maps``; ``active`` is their ReLU."""
        source = maps if self.layer is None else active
        out = source if self.whole else source.index_select(0, self.rows)
        if self.layer is not None:
            out = self.layer(out)
        elif self.op == "avg_pool_3x3":
            out = pool(out)
        return total + out if self.whole else total.index_add_(0, self.rows, out)


class Networks(nn.Module):
    """A patch stem, one cell and a linear head on the averaged output, for cells ``archs`` (M, 6).

    The weights are empty: :meth:`initialize` draws them. Edges that do not matter are not computed.
    """

    def __init__(self, archs: Ints, *, channels: int = 8) -> None:
        super().__init__()
        m, archs = len(archs), live_ops(archs)
        self.stem = Convolution(m, 4, channels)
        self.edges = nn.ModuleList()
        for edge in range(len(EDGES)):
            present = {op: np.flatnonzero(archs[:, edge] == code) for code, op in enumerate(OPS) if code}
            self.edges.append(
                nn.ModuleList(Branch(op, rows, m, channels) for op, rows in present.items() if len(rows))
            )
        self.norm = Norm(m, channels)
        self.head = nn.Parameter(torch.empty(m, CLASSES, channels))
        self.bias = nn.Parameter(torch.zeros(m, 1, CLASSES))

    def forward(self, patches: Tensor) -> Tensor:
        """Classify ``patches`` (M, 4, 16, B): logits (M, B, 10)."""
        nodes = [self.stem(patches)]
        actives: list[Tensor] = []
        for target in (1, 2, 3):
            actives.append(nodes[-1].relu())
            total = torch.zeros_like(nodes[0])
            for (source, end), branches in zip(EDGES, self.edges, strict=True):
                if end == target:
                    for branch in branches:
                        total = branch(nodes[source], actives[source], total)
            nodes.append(total)
        features = self.norm(nodes[3]).relu().mean(2)  # (M, C, B)
        return torch.baddbmm(self.bias, features.transpose(1, 2), self.head.transpose(1, 2))

    def filters(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every weight that is drawn, with the networks that own its rows: stem, edges, head."""
        every = torch.arange(len(self.head))
        yield self.stem.weight, every
        for branches in self.edges:
            for branch in branches:
                if branch.layer is not None:
                    yield branch.layer.weight, branch.rows
        yield self.head, every

    @torch.no_grad()
    def initialize(self, generators: list[torch.Generator]) -> None:
        """Draw He-normal weights, network m's from ``generators[m]`` alone."""
        for weight, rows in self.filters():
            deviation = (2 / weight[0, 0].numel()) ** 0.5
            for place, network in enumerate(rows.tolist()):
                draw = torch.randn(weight.shape[1:], generator=generators[network], dtype=torch.float32)
                weight[place] = draw * deviation
