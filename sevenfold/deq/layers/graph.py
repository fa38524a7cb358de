"""Implicit graph neural networks (Gu et al. 2020)."""

import torch
from torch import Tensor, nn

from sevenfold.deq.base import Solution, Solver, Stop
from sevenfold.deq.implicit import Implicit
from sevenfold.deq.layers.base import EquilibriumLayer
from sevenfold.deq.nodes import AdjointNode, SolverNode
from sevenfold.errors import ConfigError, InputError
from sevenfold.ranges import Count, OpenShare
from sevenfold.tables import Node

POWER_STEPS = 30


class GraphDEQ(EquilibriumLayer):
    """The solution of Z = tanh(A Z W^T + X U^T + b) over the nodes of a graph, one whole state.

    The rows of W are scaled down, in the forward pass, where the sum of their absolute values exceeds
    ``kappa`` / rho(A), rho being the spectral radius: then a solution exists and is unique, whatever the
    parameters are (Gu et al. 2020, theorem 4.1).

    Args:
        features: size of a node's state.
        inputs: size of a node's input.
        kappa: bound of the product of both radii, between 0 and 1.
        solver: of the fixed point; None for Anderson.
        adjoint: the method for the gradient; None for GMRES.
        max_iter: most evaluations of the map.
        stop: when the solve is finished; None for a relative residual of 1e-6.

    Example:
        >>> ring = (torch.eye(5).roll(1, 0) + torch.eye(5).roll(-1, 0)) / 2
        >>> z, record = GraphDEQ(features=4, inputs=3)(torch.ones(5, 3), ring)
        >>> z.shape, record.converged.item()
        (torch.Size([5, 4]), True)
    """

    def __init__(
        self,
        features: Count,
        inputs: Count,
        kappa: OpenShare = 0.95,
        *,
        solver: Solver | SolverNode | None = None,
        adjoint: Implicit | AdjointNode | None = None,
        max_iter: Count = 200,
        stop: Stop | Node | None = None,
    ) -> None:
        if not 0 < kappa < 1:
            raise ConfigError("kappa", f"is {kappa}; expected a bound between 0 and 1")
        super().__init__(
            solver=solver, adjoint=adjoint, max_iter=max_iter, stop=Stop(tol=1e-6) if stop is None else stop
        )
        self.kappa = kappa
        self.inner = nn.Linear(features, features, bias=False)
        self.inlet = nn.Linear(inputs, features)

    def forward(self, x: Tensor, adjacency: Tensor) -> tuple[Tensor, Solution]:
        """Return the states (N, features) of N nodes with inputs (N, inputs), and the record of the solve.

        Args:
            x: inputs of the nodes.
            adjacency: weights of the edges, (N, N), dense or sparse, none below 0; row i says from which
                nodes node i takes.
        """
        if tuple(adjacency.shape) != (len(x), len(x)):
            raise InputError(
                f"adjacency is {tuple(adjacency.shape)} for {len(x)} nodes; expected ({len(x)}, {len(x)})"
            )
        bound = self.kappa / perron_bound(adjacency).clamp(min=1e-12)
        size = self.inner.weight.abs().sum(1, keepdim=True).clamp(min=1e-12)
        # |W|_inf <= kappa / rho(A), by rows, which keeps the gradient of all others as it is.
        weight = self.inner.weight * (bound / size).clamp(max=1.0)

        def f(z: Tensor, weight: Tensor, source: Tensor) -> Tensor:
            return torch.tanh(adjacency @ z @ weight.T + source)

        source = self.inlet(x)
        return self.solve(f, torch.zeros_like(source), (weight, source), batched=False)


@torch.no_grad()
def perron_bound(adjacency: Tensor) -> Tensor:
    """Return a bound of the spectral radius of a matrix without negative entries, close from above."""
    values = adjacency.coalesce().values() if adjacency.is_sparse else adjacency
    if bool((values < 0).any()) or not bool(values.isfinite().all()):
        raise InputError(
            "adjacency has entries that are negative or not finite; expected weights of 0 or more"
        )
    v = torch.ones(len(adjacency), 1, dtype=adjacency.dtype, device=adjacency.device)
    for _ in range(POWER_STEPS):  # of A + I, under which v stays positive
        v = adjacency @ v + v
        v = v / v.max()
    # rho(A) <= max_i (A v)_i / v_i for every v > 0 (Collatz 1942, Wielandt 1950).
    return ((adjacency @ v) / v).max()
