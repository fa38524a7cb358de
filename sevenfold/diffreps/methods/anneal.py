"""Decoupled annealing on the images that a representation can render."""

import logging
import math
from typing import Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.error_maps import ErrorMap, error_map
from sevenfold.diffreps.guidance import Guidance
from sevenfold.diffreps.methods.base import State
from sevenfold.diffreps.methods.pullback import KARRAS, Pullback
from sevenfold.diffreps.nodes import ScheduleNode, SolverNode
from sevenfold.diffreps.priors.base import Prior
from sevenfold.diffreps.sampling_task import Task
from sevenfold.diffreps.solvers.decoded import Decoded
from sevenfold.diffreps.view_noise import Noise
from sevenfold.ranges import Count, Scale

logger = logging.getLogger(__name__)
PROJECTION = {"name": "dense", "gn_iters": 2}
STEEPEST = 30.0


class Anneal(Pullback):
    """Samples the prior restricted to what the representation can render, with one call a level.

    At every level noise is drawn anew, the image is denoised, and the parameters are drawn near the result:
    by a weighted fit to it plus local noise, both with the prior's own denoising error (Zhang et al. 2024,
    with "can be rendered" as the measurement). Where nothing restricts the images the pullback is better:
    this method then loses variance. With several views the law is the product of the views' priors, which
    is narrower than one object's.

    Args:
        schedule: a component of ``SCHEDULES``.
        solver: a component of ``SOLVERS``.
        guidance: modifications of denoised images.
        errors: denoising errors of every value (``map``), or one for each level (``mean``); null: ``map`` for
            representations that are affine in their parameters, otherwise ``mean``.
        std: standard deviation of the data, from which errors are estimated where the prior has no map.
        views_per_step: number of views of the pool in each step, drawn at random; null: all.
        start: fit the prior's mean image first (``mean``), or use the random parameters (``drawn``).
        start_solves, final_solves: number of solves in the first fit and at the last level.

    Example:
        >>> from sevenfold.diffreps import Siren, gmm, make_task, Pool
        >>> from sevenfold.diffreps.run import run
        >>> prior = gmm(source={"name": "digits", "size": 8})
        >>> task = make_task(Siren(size=8, width=8), prior, Pool(), seeds=[0])
        >>> run(Anneal(schedule={"name": "karras", "levels": 4}), task).images.shape
        torch.Size([1, 1, 1, 8, 8])
    """

    def __init__(
        self,
        *,
        schedule: ScheduleNode = KARRAS,
        solver: SolverNode = PROJECTION,
        guidance: Guidance = Guidance(),
        errors: Literal["map", "mean"] | None = None,
        std: Scale | None = None,
        views_per_step: Count | None = None,
        start: Literal["mean", "drawn"] = "mean",
        start_solves: Count = 3,
        final_solves: Count = 1,
    ) -> None:
        super().__init__(
            schedule=schedule, solver=solver, guidance=guidance, views_per_step=views_per_step, start=start,
            start_solves=start_solves, final_solves=final_solves,
        )  # fmt: skip
        self.errors, self.std = errors, std
        self._maps: dict[Prior, ErrorMap | None] = {}

    def check(self, task: Task) -> None:
        """Raise ``ConfigError`` where the prior's errors are unknown; warn of several views."""
        super().check(task)
        if isinstance(self.solver, Decoded):
            raise ConfigError("solver", "anneal fits latents with weights, which decoded cannot; use another")
        if self.std is None and self._map(task.prior) is None:
            raise ConfigError("std", "the prior has no map of its errors: set the data's standard deviation")
        if self.std is not None and self.errors == "map":
            raise ConfigError("errors", "a map of errors does not follow from std; leave one of them out")
        if len(task.pool) > 1:
            logger.warning(
                "anneal: with %d views the law is the product of the views' priors, which is narrower than "
                "an object's; pullback without rounds keeps its spread",
                len(task.pool),
            )

    def variance(self, task: Task, sigma: float) -> Tensor:
        """Return the local variance r^2 (C, H, W) of every value at a level."""
        if self.std is not None:
            square = self.std**2 / (1 + (self.std / sigma) ** 2)  # of a Gaussian with that deviation
            return torch.full(task.prior.shape, square).to(task.pool)
        errors = self._map(task.prior)
        assert errors is not None
        each = errors.at(sigma).to(task.pool)
        chosen = self.errors or ("map" if task.representation.affine else "mean")
        return each if chosen == "map" else each.mean().expand_as(each)

    def move(self, task: Task, state: State, sigma: float, down: float, index: Tensor) -> float:
        """Draw noise and parameters anew at ``sigma``; the last level adds no local noise."""
        self.mix(task, state, 0.0)
        local = task.noise.start(state.streams)
        return self.redraw(task, state, sigma, local if down > 0 else None, index)

    def redraw(self, task: Task, state: State, sigma: float, local: Noise | None, index: Tensor) -> float:
        """Draw parameters near the denoised image with the state's noise; return the relative residual."""
        e = task.noise.at(state.noise, index, state.theta)
        y = self.render(task, state.theta, index)
        variance = self.variance(task, sigma)
        # target = D(f(theta) + sigma e, sigma) + r xi
        # theta' = argmin sum_i (f(theta)_i - target_i)^2 / r_i^2
        # (decoupled annealing, Zhang et al. 2024, algorithm 1, with r_i^2 = mmse_i(sigma))
        target = self.denoise(task, state, y, e, sigma, index)
        if local is not None:
            target = target + variance.sqrt() * task.noise.at(local, index, state.theta)
        weights = variance.mean() / variance
        if not task.representation.affine:
            # A value that is known almost exactly would rule the fit of all others.
            weights = weights.clamp(max=STEEPEST * float(weights.median()))
        solves = self.final_solves if local is None else 1
        residual, _ = self.place(task, state, state.theta, target, index, solves, weights)
        return residual

    def _map(self, prior: Prior) -> ErrorMap | None:
        """Return the prior's map, measured once for all levels of the plan."""
        if prior not in self._maps:
            levels = [step.sigma for step in self.plan(prior) if not math.isinf(step.sigma)]
            self._maps[prior] = error_map(prior, min(levels), max(levels))
        return self._maps[prior]
