"""Monotone operator equilibrium networks (Winston and Kolter 2020)."""

import torch
from torch import Tensor, nn

from sevenfold.deq.base import Solution, Solver, Stop
from sevenfold.deq.implicit import Implicit
from sevenfold.deq.layers.base import EquilibriumLayer
from sevenfold.deq.nodes import AdjointNode, SolverNode
from sevenfold.errors import ConfigError
from sevenfold.ranges import Count, OpenShare
from sevenfold.tables import Node


class MonotoneMLP(EquilibriumLayer):
    """The unique solution of z = relu(W z + U x + b), which exists whatever the parameters are.

    W = (1 - m) I - A^T A + B - B^T is strongly monotone in I - W with modulus m (Winston and Kolter 2020,
    proposition 1). The solution is that of Peaceman-Rachford splitting, whose map does not expand for any
    such W; iterating relu(W z + U x + b) itself diverges for large A and B.

    Args:
        features: size of z.
        inputs: size of x.
        m: modulus, between 0 and 1: the smaller, the more W may be, and the longer a solve takes.
        solver: of the fixed point; None for Anderson.
        adjoint: the method for the gradient; None for GMRES.
        max_iter: most evaluations of the map.
        stop: when a row is finished; None for a relative residual of 1e-6.

    Example:
        >>> layer = MonotoneMLP(features=8, inputs=3)
        >>> z, record = layer(torch.ones(2, 3))
        >>> z.shape, record.converged.all().item()
        (torch.Size([2, 8]), True)
    """

    def __init__(
        self,
        features: Count,
        inputs: Count,
        m: OpenShare = 0.1,
        *,
        solver: Solver | SolverNode | None = None,
        adjoint: Implicit | AdjointNode | None = None,
        max_iter: Count = 200,
        stop: Stop | Node | None = None,
    ) -> None:
        if not 0 < m < 1:
            raise ConfigError("m", f"is {m}; expected a modulus between 0 and 1")
        super().__init__(
            solver=solver, adjoint=adjoint, max_iter=max_iter, stop=Stop(tol=1e-6) if stop is None else stop
        )
        self.m, self.features = m, features
        self.A = nn.Parameter(torch.randn(features, features) / features**0.5 / 2)
        self.B = nn.Parameter(torch.randn(features, features) / features**0.5 / 2)
        self.inlet = nn.Linear(inputs, features)

    def weight(self) -> Tensor:
        """Return W, (features, features)."""
        eye = torch.eye(self.features, dtype=self.A.dtype, device=self.A.device)
        return (1 - self.m) * eye - self.A.T @ self.A + self.B - self.B.T

    def forward(self, x: Tensor) -> tuple[Tensor, Solution]:
        """Return z (B, features) for inputs (B, inputs), and the record of the solve."""
        # V = (I + alpha (I - W))^-1 with alpha = 1, once for all evaluations.
        eye = torch.eye(self.features, dtype=self.A.dtype, device=self.A.device)
        inverse = torch.linalg.inv(2 * eye - self.weight())
        source = self.inlet(x)
        w, record = self.solve(peaceman_rachford, torch.zeros_like(source), (inverse, source))
        return w.relu(), record


def peaceman_rachford(w: Tensor, inverse: Tensor, source: Tensor) -> Tensor:
    """Return the next w: z = relu(w), u = 2 z - w, y = V (u + source), w <- 2 y - u."""
    # Ryu and Boyd 2016, section 7.3: reflect at the resolvent of one operator, then at that of the other.
    u = 2 * w.relu() - w
    return 2 * (u + source) @ inverse.T - u
