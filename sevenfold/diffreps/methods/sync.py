"""Synchronized sampling: denoised images are projected to what can be rendered, noise is what is left."""

import math

from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.guidance import Guidance
from sevenfold.diffreps.methods.base import State
from sevenfold.diffreps.methods.pullback import DENSE, KARRAS, Pullback
from sevenfold.diffreps.nodes import ScheduleNode, SolverNode
from sevenfold.diffreps.sampling_task import Task
from sevenfold.diffreps.view_noise import Pool
from sevenfold.ranges import Count


class Sync(Pullback):
    """Denoised images are projected, and the noise of the next level is the predicted one (SyncTweedies).

    Kim et al. 2024. With representations that render every image this is DDIM.

    Args:
        schedule: a component of ``SCHEDULES``.
        solver: a component of ``SOLVERS``, which projects denoised images.
        guidance: modifications of denoised images.
        start_solves, final_solves: number of solves in the first fit and at the last level.

    Example:
        >>> from sevenfold.diffreps import Siren, gmm, make_task
        >>> from sevenfold.diffreps.run import run
        >>> prior = gmm(source={"name": "digits", "size": 8})
        >>> task = make_task(Siren(size=8, width=8), prior, Pool(), seeds=[0])
        >>> run(Sync(schedule={"name": "karras", "levels": 4}), task).images.shape
        torch.Size([1, 1, 1, 8, 8])
    """

    def __init__(
        self,
        *,
        schedule: ScheduleNode = KARRAS,
        solver: SolverNode = DENSE,
        guidance: Guidance = Guidance(),
        start_solves: Count = 3,
        final_solves: Count = 1,
    ) -> None:
        super().__init__(
            schedule=schedule, solver=solver, guidance=guidance, start_solves=start_solves,
            final_solves=final_solves,
        )  # fmt: skip

    def check(self, task: Task) -> None:
        """Raise ``ConfigError`` for view noises whose variables are not the noise of the views itself."""
        super().check(task)
        if type(task.noise) is not Pool or task.noise.share_within:
            raise ConfigError("view_noise", "sync replaces the noise of every view; use independent noise")

    def move(self, task: Task, state: State, sigma: float, down: float, index: Tensor) -> float:
        """Project the denoised image, and set the noise to what it leaves of the noisy one."""
        e = task.noise.at(state.noise, index, state.theta)
        y = self.render(task, state.theta, index)
        clean = self.denoise(task, state, y, e, sigma, index)
        residual, _ = self.place(
            task, state, state.theta, clean, index, self.final_solves if down == 0 else 1
        )
        if not math.isinf(sigma):  # from infinite noise the predicted noise is the drawn one
            # z' = P D(z) + (sigma' / sigma) (z - D(z))   (Kim et al. 2024, with P the projection)
            state.noise = dict.fromkeys(state.noise, e + (y - clean) / sigma)
        return residual
