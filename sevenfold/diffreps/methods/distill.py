"""Score distillation: SDS (Poole et al. 2022) and SJC (Wang et al. 2022), as baselines.

Both descend along J^T r, where the pullback moves along J^+ r; both draw new noise in each step, where the
pullback keeps it; and both draw sigma at random, where the pullback lowers it. They converge to modes.
"""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps import optimizers
from sevenfold.diffreps.guidance import Guidance
from sevenfold.diffreps.methods.base import Method, State
from sevenfold.diffreps.noise_table import NoiseTable
from sevenfold.diffreps.sampling_task import Task
from sevenfold.ranges import Count, LearningRate, NonNegativeInt, Share, ShareBelowOne

VP = NoiseTable()
Decay = Literal["none", "linear", "inverse"]


class Distillation(Method):
    """Gradient descent along J^T of a weighted residual e_hat - e, from random parameters.

    Noise levels are drawn from the prior's noise table, or the usual linear one, between the shares ``low``
    and ``high`` of its length; ``annealed`` lets the upper end fall to the lower one over the run.
    ``decay`` of the rate: ``none``, ``linear`` to 0, or ``inverse``, 1 / (1 + 100 step / steps).
    """

    def __init__(
        self,
        count: int,
        lr: float,
        optimizer: optimizers.Name,
        betas: tuple[float, float],
        decay: Decay,
        guidance: Guidance,
        views_per_step: int | None,
    ) -> None:
        self.count, self.lr, self.optimizer, self.betas = count, lr, optimizer, betas
        self.decay, self.guidance, self.views_per_step = decay, guidance, views_per_step

    @abstractmethod
    def levels(self, sigmas: Tensor, progress: float) -> Tensor:
        """Return the noise levels to draw from after a share ``progress`` of the run."""

    @abstractmethod
    def weight(self, sigma: Tensor) -> Tensor:
        """Return the residual's weight at noise ``sigma`` (B,)."""

    def steps(self, task: Task) -> int:
        """Return the number of steps."""
        return self.count

    def begin(self, task: Task) -> State:
        """Draw the parameters."""
        theta = task.start()
        return State(theta, {}, task.streams("noise"), optimizers.begin(theta))

    def advance(self, task: Task, state: State) -> None:
        """Take one step of the optimizer."""
        index = task.some_views(self.views_per_step, state.step)
        rendering, theta = task.rendering(index), state.theta
        sigma = self._draw(task, state)
        e = task.noise.at(task.noise.start(state.streams), index, theta)
        y = rendering.images(rendering(theta))
        level = sigma.view(-1, 1, 1, 1, 1)
        # grad L = E[w(sigma) J^T (e_hat(y + sigma e, sigma) - e)], y = f(theta)   (Poole et al. 2022, eq. 3)
        residual = (y - self.denoise(task, state, y, e, sigma, index)) / level  # = e_hat - e
        gradient = rendering.vjp(theta, (self.weight(sigma).view(-1, 1, 1, 1, 1) * residual).flatten(1))
        self._update(state, gradient)
        state.step += 1
        state.trace.append(
            {"sigma": float(sigma.mean()), "calls": state.counts.calls, "inner": 0,
             "residual": float(residual.square().mean().sqrt())}
        )  # fmt: skip

    def images(self, task: Task, state: State) -> Tensor:
        """Return every view's image."""
        rendering = task.rendering(task.all_views())
        return rendering.images(rendering(state.theta))

    def _draw(self, task: Task, state: State) -> Tensor:
        table = task.prior.noise_table or VP
        allowed = self.levels(table.sigmas().to(state.theta), state.step / self.count)
        return allowed[(state.streams.uniform() * len(allowed)).long().clamp(max=len(allowed) - 1)]

    def _update(self, state: State, gradient: Tensor) -> None:
        """Take the optimizer's step; a sample whose gradient is not finite stays unchanged."""
        bad = ~gradient.isfinite().all(1)
        gradient = torch.where(bad[:, None], torch.zeros_like(gradient), gradient)
        moments = dict(state.solver)
        direction = optimizers.direction(self.optimizer, gradient, moments, self.betas)
        progress = state.step / self.count
        factor = {"none": 1.0, "linear": 1 - progress, "inverse": 1 / (1 + 100 * progress)}[self.decay]
        state.theta = torch.where(bad[:, None], state.theta, state.theta - self.lr * factor * direction)
        state.solver, state.refused = moments, state.refused + bad


class SDS(Distillation):
    """Score distillation sampling: Adam on J^T w(sigma) (e_hat - e).

    Args:
        count: number of steps.
        lr, betas, optimizer, decay: of the descent.
        weight: ``variance``, that is 1 - abar, or ``one``.
        low, high: shares of the noise table between which levels are drawn.
        annealed: let ``high`` fall to ``low`` over the run.
        guidance: large weights are usual (100).
        views_per_step: views rendered in each step; all by default.

    Example:
        >>> from sevenfold.diffreps import Siren, gmm, make_task, Pool
        >>> from sevenfold.diffreps.run import run
        >>> prior = gmm(source={"name": "digits", "size": 8})
        >>> task = make_task(Siren(size=8, width=8), prior, Pool(), seeds=[0])
        >>> run(SDS(count=5), task).images.shape
        torch.Size([1, 1, 1, 8, 8])
    """

    def __init__(
        self,
        *,
        count: Count = 600,
        lr: LearningRate = 3e-3,
        betas: tuple[ShareBelowOne, ShareBelowOne] = (0.9, 0.99),
        optimizer: optimizers.Name = "adam",
        decay: Decay = "none",
        weight: Literal["variance", "one"] = "variance",
        low: Share = 0.02,
        high: Share = 0.98,
        annealed: bool = False,
        guidance: Guidance = Guidance(),
        views_per_step: Count | None = None,
    ) -> None:
        super().__init__(count, lr, optimizer, betas, decay, guidance, views_per_step)
        if low >= high:
            raise ConfigError("low", f"needs low < high, got {low:g} and {high:g}")
        self.kind, self.low, self.high, self.annealed = weight, low, high, annealed

    def levels(self, sigmas: Tensor, progress: float) -> Tensor:
        """Return the table's entries between the bounds."""
        high = self.high - (self.high - self.low) * progress if self.annealed else self.high
        first = int(self.low * len(sigmas))
        # t ~ U(.02 T, .98 T) in Poole et al. 2022; at least one entry remains when annealed
        return sigmas[first : max(first + 1, int(high * len(sigmas)))]

    def weight(self, sigma: Tensor) -> Tensor:
        """Return 1 - abar = sigma^2 / (1 + sigma^2), or 1."""
        return sigma**2 / (1 + sigma**2) if self.kind == "variance" else torch.ones_like(sigma)


class SJC(Distillation):
    """Score Jacobian chaining: Adamax on -J^T (D(y + sigma n) - y) / sigma.

    Args:
        count: number of steps.
        lr, betas, optimizer, decay: of the descent.
        skip_low, skip_high: entries omitted at either end of a table of 1000.
        guidance, views_per_step: as for :class:`SDS`.
    """

    def __init__(
        self,
        *,
        count: Count = 600,
        lr: LearningRate = 1e-2,
        betas: tuple[ShareBelowOne, ShareBelowOne] = (0.9, 0.999),
        optimizer: optimizers.Name = "adamax",
        decay: Decay = "none",
        skip_low: NonNegativeInt = 30,
        skip_high: NonNegativeInt = 10,
        guidance: Guidance = Guidance(),
        views_per_step: Count | None = None,
    ) -> None:
        super().__init__(count, lr, optimizer, betas, decay, guidance, views_per_step)
        if skip_low + skip_high >= 1000:
            raise ConfigError("skip_low", f"must leave entries of 1000, got {skip_low} and {skip_high}")
        self.skip_low, self.skip_high = skip_low, skip_high

    def levels(self, sigmas: Tensor, progress: float) -> Tensor:
        """Return the table without its ends."""
        # the public code omits 30 low and 10 high entries of 1000   (Wang et al. 2022)
        low, high = (int(skip / 1000 * len(sigmas)) for skip in (self.skip_low, self.skip_high))
        return sigmas[low : len(sigmas) - high]

    def weight(self, sigma: Tensor) -> Tensor:
        """Return 1."""
        return torch.ones_like(sigma)
