"""Fit of images to decoded latents, so that nothing is differentiated through an autoencoder."""

import torch
from torch import Tensor

from sevenfold.config import ConfigError, build
from sevenfold.diffreps import SOLVERS
from sevenfold.diffreps.nodes import SolverNode
from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.representations.autoencoded import Autoencoded
from sevenfold.diffreps.representations.base import Representation
from sevenfold.diffreps.solvers.base import Solution, Solver, SolverState

INNER = {"name": "inner"}


class Decoded(Solver):
    """A solver for ``autoencoded`` in mode ``decode``: it decodes the target latents and fits the images.

    Args:
        solver: of the fit to images.
    """

    def __init__(self, *, solver: SolverNode = INNER) -> None:
        self.solver: Solver = build(SOLVERS, solver, "solver")

    def check(self, representation: Representation) -> None:
        """Raise ``ConfigError`` for other representations."""
        if not isinstance(representation, Autoencoded) or representation.mode != "decode":
            raise ConfigError("solver", "decoded needs the representation autoencoded with mode decode")

    def begin(self, theta: Tensor) -> SolverState:
        """Return the inner solver's state."""
        return self.solver.begin(theta)

    def solve(self, rendering: Rendering, theta: Tensor, target: Tensor, state: SolverState) -> Solution:
        """Return the inner solution with the latents of its rendering; the residual is that of images."""
        representation = rendering.representation
        assert isinstance(representation, Autoencoded)
        # min over theta of |f(theta) - Dec(z*)|^2, Dec the decoder of a latent model   (Rombach et al. 2022)
        with torch.no_grad():
            target_images = representation.decode(rendering.images(target).flatten(0, 1))
        images = Rendering(representation.inner, rendering.views)
        solution = self.solver.solve(images, theta, target_images.reshape(len(theta), -1), state)
        with torch.no_grad():
            values = representation.encode(images.images(solution.values).flatten(0, 1)).reshape(target.shape)
        return Solution(
            solution.theta, values, solution.state, solution.residual, solution.inner, solution.refused
        )
