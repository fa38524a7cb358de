"""Closed form for representations that are affine in their parameters."""

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.representations.base import Representation
from sevenfold.diffreps.solvers.base import Solution, Solver, SolverState
from sevenfold.diffreps.solvers.dense import CUTOFF
from sevenfold.ranges import NonNegative

CACHE_SIZE = 64


class Linear(Solver):
    """The exact projection; the operator A^+ is computed once for a set of views and cached.

    Args:
        damping: relative to the mean squared singular value; 0: the pseudo-inverse (cutoff 1e-10).
    """

    def __init__(self, *, damping: NonNegative = 0.0) -> None:
        self.damping = damping
        self._operators: dict[tuple[Representation, torch.dtype, bytes, bytes], Tensor] = {}

    def check(self, representation: Representation) -> None:
        """Raise ``ConfigError`` for a representation that is not affine."""
        if not representation.affine:
            raise ConfigError(
                "solver",
                f"linear needs a representation that is affine in its parameters, which "
                f"{type(representation).__name__} is not; use dense, cg, lsmr or inner",
            )

    def solve(self, rendering: Rendering, theta: Tensor, target: Tensor, state: SolverState) -> Solution:
        """Take the one step; a sample whose step is not finite retains its old parameters."""
        # theta' = theta + A^+ (y* - A theta - b)   (Penrose 1955)
        residual = target - rendering(theta)
        candidate = theta + residual @ self._operator(rendering, theta).mT
        bad = ~candidate.isfinite().all(1)
        theta = torch.where(bad[:, None], theta, candidate)
        values = rendering(theta)
        before = residual.norm(dim=1).clamp(min=torch.finfo(theta.dtype).tiny)
        return Solution(theta, values, state, (target - values).norm(dim=1) / before, 1, bad.long())

    def _operator(self, rendering: Rendering, theta: Tensor) -> Tensor:
        weights = b"" if rendering.roots is None else rendering.roots.cpu().numpy().tobytes()
        views = rendering.views.cpu().numpy().tobytes()
        key = (rendering.representation, theta.dtype, views, weights)
        if key not in self._operators:
            if len(self._operators) >= CACHE_SIZE:
                self._operators.pop(next(iter(self._operators)))
            self._operators[key] = self._inverse(rendering.jacobian(torch.zeros_like(theta[:1]))[0])
        return self._operators[key]

    def _inverse(self, matrix: Tensor) -> Tensor:
        """Return A^+ (p, n) or its damped form."""
        if self.damping == 0:
            return torch.linalg.pinv(matrix, rtol=CUTOFF)
        n, p = matrix.shape
        mu = self.damping * matrix.square().sum() / min(n, p)
        gram = matrix.mT @ matrix if p <= n else matrix @ matrix.mT
        factor = torch.linalg.cholesky(gram + mu * torch.eye(len(gram)).to(gram))
        if p <= n:
            return torch.cholesky_solve(matrix.mT, factor)
        return torch.cholesky_solve(matrix, factor).mT
