"""Least squares with regularizers of volumes, as additional residuals whose target is zero."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.func import vmap

from sevenfold.config import ConfigError, build
from sevenfold.diffreps import SOLVERS
from sevenfold.diffreps.nodes import SolverNode
from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.representations.base import Representation
from sevenfold.diffreps.representations.voxel_nerf import VoxelNerf
from sevenfold.diffreps.solvers.base import Solution, Solver, SolverState
from sevenfold.ranges import NonNegative

CG = {"name": "cg"}


@dataclass(frozen=True)
class Penalized(Rendering):
    """A rendering with penalties as additional values, whose target is zero."""

    smoothness: float = field(kw_only=True)
    emptiness: float = field(kw_only=True)
    entropy: float = field(kw_only=True)

    def __call__(self, theta: Tensor) -> Tensor:
        """Return views' values and penalties (B, n + q)."""
        return torch.cat([super().__call__(theta), vmap(self.penalties)(theta)], 1)

    def penalties(self, params: Tensor) -> Tensor:
        """Return the penalties (q,) of one sample, each times the root of its weight."""
        # |y - f(theta)|^2 + w |p(theta)|^2 = |(y, 0) - (f, sqrt(w) p)|^2   (Tikhonov 1963)
        volume, parts = self.representation, []
        assert isinstance(volume, VoxelNerf)
        fields = volume.layout.split(params)
        if self.smoothness:
            grid = torch.cat([fields["density"][..., None], fields["colour"]], -1)
            steps = [(grid.diff(dim=axis)).flatten() for axis in range(3)]
            parts.append(math.sqrt(self.smoothness) * torch.cat(steps))
        if self.emptiness or self.entropy:
            opacity = torch.cat([volume.depth(params, view)[1].flatten() for view in self.views])
            # emptiness: w alpha^2, alpha the opacity, in place of SJC's emptiness loss   (Wang et al. 2022)
            parts.append(math.sqrt(self.emptiness) * opacity)
            unsure = 4 * opacity * (1 - opacity)  # a bound of the entropy that is smooth at 0 and 1
            parts.append(math.sqrt(self.entropy) * unsure)
        return torch.cat(parts)

    def jacobian(self, theta: Tensor) -> Tensor:
        """Return (B, n + q, p)."""
        more = vmap(torch.func.jacrev(self.penalties))(theta)
        return torch.cat([super().jacobian(theta), more], 1)


class Regularized(Solver):
    """A solver with regularizers of a voxel field beside the target.

    Args:
        solver: of the target together with the regularizers.
        smoothness: weight of squared differences between neighboring nodes.
        emptiness: weight of squared opacity.
        entropy: weight of opacity that is neither 0 nor 1.
    """

    def __init__(
        self,
        *,
        solver: SolverNode = CG,
        smoothness: NonNegative = 0.0,
        emptiness: NonNegative = 0.0,
        entropy: NonNegative = 0.0,
    ) -> None:
        self.weights = {"smoothness": smoothness, "emptiness": emptiness, "entropy": entropy}
        if not any(self.weights.values()):
            raise ConfigError("smoothness", f"not every weight may be zero, got {self.weights}")
        self.solver: Solver = build(SOLVERS, solver, "solver")

    def check(self, representation: Representation) -> None:
        """Raise ``ConfigError`` for other representations."""
        if not isinstance(representation, VoxelNerf):
            raise ConfigError("solver", "regularized needs the representation voxel_nerf")
        self.solver.check(representation)

    def begin(self, theta: Tensor) -> SolverState:
        """Return the inner solver's state."""
        return self.solver.begin(theta)

    def solve(self, rendering: Rendering, theta: Tensor, target: Tensor, state: SolverState) -> Solution:
        """Return the inner solution, its values without the penalties."""
        both = Penalized(rendering.representation, rendering.views, rendering.roots, **self.weights)
        extra = both(theta[:1]).shape[1] - target.shape[1]
        extended = torch.cat([target, target.new_zeros(len(target), extra)], 1)
        solution = self.solver.solve(both, theta, extended, state)
        values = solution.values[:, : target.shape[1]]
        return Solution(
            solution.theta, values, solution.state, solution.residual, solution.inner, solution.refused
        )
