"""The pullback: the probability-flow ODE in the parameters of a representation.

Write an image as z = y + sigma e, where y = f(theta) is the rendered image and e noise outside the
parameters. Then dy/dsigma = (y - D(y + sigma e, sigma)) / sigma and dtheta/dsigma = J^+ dy/dsigma. A solver
computes the parameters that render the target of each step (Savani, Finzi & Kolter 2024).
"""

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sevenfold.config import build, prepare
from sevenfold.diffreps import SCHEDULES, SOLVERS
from sevenfold.diffreps.guidance import Guidance
from sevenfold.diffreps.methods.base import Method, State
from sevenfold.diffreps.methods.plan import Rounds, Step, plan
from sevenfold.diffreps.nodes import ScheduleNode, SolverNode
from sevenfold.diffreps.priors.base import Prior
from sevenfold.diffreps.sampling_task import Task
from sevenfold.diffreps.solvers.base import Solver
from sevenfold.ranges import Count, NonNegative, Share

KARRAS = {"name": "karras"}
DENSE = {"name": "dense"}


@dataclass(frozen=True)
class Stochastic:
    """Options of stochastic sampling, under which noise remains standard normal.

    Args:
        eta: share of fresh noise in ancestral steps: 0 none, 1 all.
        churn: share gamma by which sigma is raised before a step (EDM).
    """

    eta: Share = 0.0
    churn: NonNegative = 0.0


class Pullback(Method):
    """The pullback sampler of parameters.

    Args:
        schedule: a component of ``SCHEDULES``.
        solver: a component of ``SOLVERS``.
        guidance: modifications of denoised images.
        order: ``euler`` (one call per step) or ``heun`` (two, except in the last step).
        stochastic: fresh noise during sampling.
        resampling: rounds of resampling.
        views_per_step: number of views of the pool in each step, drawn at random; null: all.
        start: fit the prior's mean image first (``mean``), or use the random parameters (``drawn``).
        start_solves, final_solves: number of solves in the first fit and at the last level.

    Example:
        >>> from sevenfold.diffreps import Siren, gmm, make_task, Pool
        >>> from sevenfold.diffreps.run import run
        >>> prior = gmm(source={"name": "digits", "size": 8})
        >>> task = make_task(Siren(size=8, width=8), prior, Pool(), seeds=[0])
        >>> run(Pullback(schedule={"name": "karras", "levels": 4}), task).images.shape
        torch.Size([1, 1, 1, 8, 8])
    """

    def __init__(
        self,
        *,
        schedule: ScheduleNode = KARRAS,
        solver: SolverNode = DENSE,
        guidance: Guidance = Guidance(),
        order: Literal["euler", "heun"] = "euler",
        stochastic: Stochastic = Stochastic(),
        resampling: Rounds = Rounds(),
        views_per_step: Count | None = None,
        start: Literal["mean", "drawn"] = "mean",
        start_solves: Count = 3,
        final_solves: Count = 1,
    ) -> None:
        prepare(SCHEDULES, schedule, "schedule", prior=None)
        self.schedule, self.guidance, self.order = schedule, guidance, order
        self.solver: Solver = build(SOLVERS, solver, "solver")
        self.stochastic, self.resampling = stochastic, resampling
        self.views_per_step, self.start = views_per_step, start
        self.start_solves, self.final_solves = start_solves, final_solves
        self._plans: dict[Prior, list[Step]] = {}

    def plan(self, prior: Prior) -> list[Step]:
        """Return the steps of a run."""
        if prior not in self._plans:
            sigmas = build(SCHEDULES, self.schedule, "schedule", prior=prior)
            self._plans[prior] = plan(sigmas, self.resampling)
        return self._plans[prior]

    def check(self, task: Task) -> None:
        """Raise ``ConfigError`` for a schedule, guidance or solver that does not fit the task."""
        super().check(task)
        self.plan(task.prior)
        self.solver.check(task.representation)

    def steps(self, task: Task) -> int:
        """Return the number of steps."""
        return len(self.plan(task.prior))

    def begin(self, task: Task) -> State:
        """Draw the noise, then the parameters, and fit them to the prior's mean image."""
        streams, theta = task.streams("noise"), task.start()
        state = State(theta, task.noise.start(streams), streams, self.solver.begin(theta))
        if self.start == "mean":
            index = task.some_views(self.views_per_step, -1)
            mean = task.prior.mean().to(theta).expand(len(task), len(index), *task.prior.shape)
            self.place(task, state, theta, mean, index, self.start_solves)
            state.solver = self.solver.begin(state.theta)
        return state

    def advance(self, task: Task, state: State) -> None:
        """Take the next step of the plan."""
        step, calls = self.plan(task.prior)[state.step], state.counts.calls
        index = task.some_views(self.views_per_step, state.step)
        state.noise = task.noise.advance(state.noise, state.streams)
        if step.back is not None:
            self.mix(task, state, step.back / step.sigma)
        sigma = step.sigma
        # EDM's churn: sigma_hat = (1 + gamma) sigma,  e <- (sigma e + sqrt(sigma_hat^2 - sigma^2) n) /
        # sigma_hat   (Karras et al. 2022, algorithm 2)
        if self.stochastic.churn and not math.isinf(sigma):
            sigma = (1 + self.stochastic.churn) * sigma
            self.mix(task, state, step.sigma / sigma)
        down = self.down(sigma, step.next)
        residual = self.move(task, state, sigma, down, index)
        if step.next > down:
            self.mix(task, state, down / step.next)
        state.step += 1
        state.trace.append(
            {"sigma": sigma, "calls": calls, "inner": state.counts.inner, "residual": residual}
        )

    def mix(self, task: Task, state: State, keep: float) -> None:
        """Replace part of the noise by fresh noise."""
        state.noise = task.noise.mix(state.noise, keep, state.streams)

    def down(self, sigma: float, following: float) -> float:
        """Return the level to which an ancestral step descends before noise raises it to ``following``."""
        # sigma_up = eta sigma' sqrt(1 - sigma'^2 / sigma^2),  sigma_down = sqrt(sigma'^2 - sigma_up^2)
        # (Song, Meng & Ermon 2021, eq. 16, in sigma space)
        up = self.stochastic.eta * following * math.sqrt(max(0.0, 1 - (following / sigma) ** 2))
        return math.sqrt(following**2 - up**2)

    def move(self, task: Task, state: State, sigma: float, down: float, index: Tensor) -> float:
        """Step from ``sigma`` to ``down`` with fixed noise; return the mean relative residual."""
        e, start = task.noise.at(state.noise, index, state.theta), state.theta
        y = self.render(task, start, index)
        ratio = down / sigma
        clean = self.denoise(task, state, y, e, sigma, index)
        solves = self.final_solves if down == 0 else 1
        if math.isinf(sigma):
            # r = sigma' / inf = 0: the target is D itself, and a trapezoid over the step has no meaning
            return self.place(task, state, start, clean, index, solves)[0]
        # dy/dsigma = e_hat(y + sigma e, sigma) - e = (y - D(y + sigma e, sigma)) / sigma
        slope = (y - clean) / sigma
        # Euler: y' = r y + (1 - r) D, r = sigma' / sigma; for f the identity this is DDIM
        target = y + (down - sigma) * slope
        residual, predicted = self.place(task, state, start, target, index, solves)
        # Heun: the mean of the slopes at both ends, with the same e   (Karras et al. 2022, algorithm 1)
        if self.order == "heun" and ratio > 0:
            slope2 = (predicted - self.denoise(task, state, predicted, e, down, index)) / down
            target = y + (down - sigma) * (slope + slope2) / 2
            residual, _ = self.place(task, state, start, target, index, solves)
        return residual

    def render(self, task: Task, theta: Tensor, index: Tensor) -> Tensor:
        """Return the images (B, V, C, H, W) of parameters."""
        rendering = task.rendering(index)
        return rendering.images(rendering(theta))

    def place(
        self,
        task: Task,
        state: State,
        theta: Tensor,
        target: Tensor,
        index: Tensor,
        solves: int,
        weights: Tensor | None = None,
    ) -> tuple[float, Tensor]:
        """Solve f(theta) = ``target`` from ``theta`` for the state; return residual and rendered images.

        ``weights`` (C, H, W) are those of squared differences, by default all 1.
        """
        rendering = task.rendering(index, weights)
        values = rendering.values(target)
        for _ in range(solves):
            # theta' = theta + J^+ (target - f(theta)), J^+ = (J^T J)^-1 J^T   (Savani, Finzi & Kolter 2024)
            solution = self.solver.solve(rendering, theta, values, state.solver)
            theta, state.solver = solution.theta, solution.state
            state.counts.inner += solution.inner
            state.refused = state.refused + solution.refused
        state.theta = theta
        return float(solution.residual.mean()), rendering.images(solution.values)

    def images(self, task: Task, state: State) -> Tensor:
        """Return every view's image."""
        return self.render(task, state.theta, task.all_views())
