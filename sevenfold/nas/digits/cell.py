"""M cells of NAS-Bench-201 as one function: all operations that leave a node are computed together."""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sevenfold.nas.digits.layers import (
    Moments,
    Norm,
    convolve,
    filter_gradient,
    matrices,
    pool,
    rescale,
    standardize,
    standardize_gradient,
)
from sevenfold.nas.spaces.nb201_keys import EDGES, OPS


class Level(nn.Module):
    """All operations on edges out of one node: which networks have them, where they lead, their weights.

    ``rows_<kind>`` are the networks and ``ends_<kind>`` the numbers target * M + network in the maps of all
    nodes; ``part`` is where the source stands there. Convolutions stand together, 1x1 ones first.
    """

    rows: Tensor
    ends: Tensor
    rows_thin: Tensor
    ends_thin: Tensor
    rows_wide: Tensor
    ends_wide: Tensor
    rows_pool: Tensor
    ends_pool: Tensor
    rows_skip: Tensor
    ends_skip: Tensor

    def __init__(self, archs: NDArray[np.int8], source: int, channels: int) -> None:
        super().__init__()
        self.part = slice(source * len(archs), (source + 1) * len(archs))
        edges = [(edge, target) for edge, (start, target) in enumerate(EDGES) if start == source]
        self.thin = self._place("thin", archs, edges, "nor_conv_1x1")
        wide = self._place("wide", archs, edges, "nor_conv_3x3")
        self._place("pool", archs, edges, "avg_pool_3x3")
        self._place("skip", archs, edges, "skip_connect")
        self.register_buffer("rows", torch.cat([self.rows_thin, self.rows_wide]))
        self.register_buffer("ends", torch.cat([self.ends_thin, self.ends_wide]))
        self.weight1 = nn.Parameter(torch.empty(self.thin, channels, channels))
        self.weight3 = nn.Parameter(torch.empty(wide, channels, channels, 3, 3))
        self.norm = Norm(self.thin + wide, channels)

    def _place(self, kind: str, archs: NDArray[np.int8], edges: list[tuple[int, int]], op: str) -> int:
        places = [(np.flatnonzero(archs[:, edge] == OPS.index(op)), target) for edge, target in edges]
        ends = [rows + target * len(archs) for rows, target in places]
        self.register_buffer(f"rows_{kind}", torch.as_tensor(np.concatenate([rows for rows, _ in places])))
        self.register_buffer(f"ends_{kind}", torch.as_tensor(np.concatenate(ends)))
        return sum(len(rows) for rows, _ in places)

    def convolutions(self, maps: Tensor, spread: Tensor) -> Tensor:
        """Apply both kinds to maps (n, C, 16, B) that are gathered by ``rows``."""
        out = torch.empty_like(maps)
        if self.thin:
            # A 1x1 convolution is a matrix product over channels, one for each network and edge.
            torch.bmm(self.weight1, maps[: self.thin].flatten(2), out=out[: self.thin].flatten(2))
        if self.thin < len(maps):
            convolve(maps[self.thin :], spread, out[self.thin :])
        return out

    def operate(self, nodes: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        """Let the source's maps in ``nodes`` (4 * M, C, 16, B) pass its edges.

        Pooled and skipped maps are added to their targets there; the convolutions' inputs and results are
        returned, (n, C, 16, B) each.
        """
        maps = nodes[self.part]
        self.free(nodes, maps)
        # In NAS-Bench-201 every convolution is ReLU, convolution, batch norm, in this order.
        inputs = maps.index_select(0, self.rows).relu_()
        return inputs, self.convolutions(inputs, spread)

    def free(self, nodes: Tensor, maps: Tensor) -> None:
        """Add pooled and skipped maps (M, C, 16, B) to their targets in ``nodes`` (4 * M, C, 16, B)."""
        if len(self.rows_pool):
            nodes.index_add_(0, self.ends_pool, pool(maps.index_select(0, self.rows_pool)))
        if len(self.rows_skip):
            nodes.index_add_(0, self.ends_skip, maps.index_select(0, self.rows_skip))

    def free_gradient(self, grads: Tensor, grad: Tensor) -> None:
        """Add to ``grad`` (M, C, 16, B) what comes back through :meth:`free`."""
        if len(self.rows_pool):
            grad.index_add_(0, self.rows_pool, pool(grads.index_select(0, self.ends_pool), backward=True))
        if len(self.rows_skip):
            grad.index_add_(0, self.rows_skip, grads.index_select(0, self.ends_skip))

    def gradient(
        self, grads: Tensor, maps: Tensor, out: Tensor, moments: Moments, spread: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the gradients of the gathered inputs ``maps`` and of gain, bias and both weights."""
        flat = grads.index_select(0, self.ends).flatten(2)
        back, to_gain, to_bias = standardize_gradient(out.flatten(2), self.norm.gain, moments, flat)
        back = back.view(maps.shape)
        to_maps, t = torch.empty_like(maps), self.thin
        # Zeros where a cell has no such edge, for the optimizer expects a gradient of every weight.
        to1, to3 = torch.zeros_like(self.weight1), torch.zeros_like(self.weight3)
        if t:
            torch.bmm(self.weight1.transpose(1, 2), back[:t].flatten(2), out=to_maps[:t].flatten(2))
            torch.bmm(back[:t].flatten(2), maps[:t].flatten(2).transpose(1, 2), out=to1)
        if t < len(maps):
            # The adjoint of a convolution is one with mirrored filters and exchanged channels.
            convolve(back[t:], spread.flip(0).transpose(2, 3), to_maps[t:])
            to3 = filter_gradient(maps[t:], back[t:])
        return to_maps, [to_gain, to_bias, to1, to3]


class _Run(torch.autograd.Function):
    """The cell in training mode; the gradients of all weights are computed by hand.

    Autograd would allocate and clear a map for every gather; here gradients are added where they belong.
    """

    @staticmethod
    def forward(ctx: Any, cell: "Cell", x: Tensor, *weights: Tensor) -> Tensor:
        nodes = cell.nodes(x)
        ctx.levels, ctx.kept = cell.ordered, []
        for level in cell.ordered:
            spread = matrices(level.weight3)
            inputs, out = level.operate(nodes, spread)
            # In order of sources: a node is complete when its own edges are computed.
            normed, moments = standardize(out.flatten(2), level.norm.gain, level.norm.bias)
            level.norm.keep(moments, out.shape[2] * out.shape[3])
            nodes.index_add_(0, level.ends, normed.view(out.shape))
            ctx.kept.append((inputs, out, moments, spread))
        return nodes[-len(x) :]

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        m = len(outer[0])
        grads = outer[0].new_zeros(4 * m, *outer[0].shape[1:])
        grads[3 * m :] = outer[0]
        weights: list[Tensor] = []
        for level, stored in zip(reversed(ctx.levels), reversed(ctx.kept), strict=True):
            # In reverse: at a level all gradients of its source have arrived but those of its own edges.
            grad, inputs = grads[level.part], stored[0]
            level.free_gradient(grads, grad)
            to_inputs, to_weights = level.gradient(grads, *stored)
            grad.index_add_(0, level.rows, torch.ops.aten.threshold_backward(to_inputs, inputs, 0))
            weights = [*to_weights, *weights]
        return None, grads[:m], *weights


class Cell(nn.Module):
    """M cells side by side; ``archs`` (M, 6) has ``none`` on dead edges."""

    def __init__(self, archs: NDArray[np.int8], channels: int) -> None:
        super().__init__()
        self.networks = len(archs)
        self.ordered = [Level(archs, source, channels) for source in (0, 1, 2)]
        self.levels = nn.ModuleList(self.ordered)
        self.spreads: list[Tensor] = []

    def train(self, mode: bool = True) -> Self:
        """Switch as usual; for evaluation the filters are spread out once."""
        with torch.no_grad():
            self.spreads = [] if mode else [matrices(level.weight3) for level in self.ordered]
        return super().train(mode)

    def nodes(self, x: Tensor) -> Tensor:
        """Return the maps of all four nodes, (4 * M, C, 16, B): ``x``, then zeros."""
        return torch.cat([x, x.new_zeros(3 * len(x), *x.shape[1:])])

    def forward(self, x: Tensor) -> Tensor:
        """Map (M, C, 16, B) to the same shape; without gradients in evaluation."""
        if self.training:
            norms = [(level, level.norm) for level in self.ordered]
            return _Run.apply(
                self, x, *(w for level, n in norms for w in (n.gain, n.bias, level.weight1, level.weight3))
            )
        return self._evaluate(x)

    @torch.no_grad()
    def _evaluate(self, x: Tensor) -> Tensor:
        nodes = self.nodes(x)
        for level, spread in zip(self.ordered, self.spreads, strict=True):
            out = level.operate(nodes, spread)[1]
            normed = rescale(out.flatten(2), level.norm.gain, level.norm.bias, level.norm.kept())
            nodes.index_add_(0, level.ends, normed.view(out.shape))
        return nodes[-len(x) :]

    def filters(self, edge: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the convolution weights on one edge as (weight, rows of it, networks that own these)."""
        source, target = EDGES[edge]
        level = self.ordered[source]
        for weight, networks, ends in (
            (level.weight1, level.rows_thin, level.ends_thin),
            (level.weight3, level.rows_wide, level.ends_wide),
        ):
            # Targets are stored as target * M + network.
            rows = (ends // self.networks == target).nonzero()[:, 0]
            yield weight, rows, networks[rows]
