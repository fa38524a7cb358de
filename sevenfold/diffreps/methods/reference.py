"""The image sampler that the pullback is compared with: the same ODE and noise, without a representation."""

from typing import Literal

from torch import Tensor

from sevenfold.diffreps.guidance import Guidance
from sevenfold.diffreps.methods.base import Method, State
from sevenfold.diffreps.methods.plan import Rounds
from sevenfold.diffreps.methods.pullback import KARRAS, Pullback, Stochastic
from sevenfold.diffreps.nodes import ScheduleNode
from sevenfold.diffreps.sampling_task import Task


class Reference(Pullback):
    """The image sampler DDIM (``euler``) or Heun; every view of the pool is a separate image.

    Args:
        schedule, guidance, order, stochastic, resampling: as for :class:`Pullback`.

    Example:
        >>> from sevenfold.diffreps import Siren, gmm, make_task, Pool
        >>> from sevenfold.diffreps.run import run
        >>> prior = gmm(source={"name": "digits", "size": 8})
        >>> task = make_task(Siren(size=8, width=8), prior, Pool(), seeds=[0])
        >>> run(Reference(schedule={"name": "karras", "levels": 4}), task).images.shape
        torch.Size([1, 1, 1, 8, 8])
    """

    def __init__(
        self,
        *,
        schedule: ScheduleNode = KARRAS,
        guidance: Guidance = Guidance(),
        order: Literal["euler", "heun"] = "heun",
        stochastic: Stochastic = Stochastic(),
        resampling: Rounds = Rounds(),
    ) -> None:
        super().__init__(
            schedule=schedule, guidance=guidance, order=order, stochastic=stochastic, resampling=resampling
        )

    def check(self, task: Task) -> None:
        """Raise ``ConfigError`` for a schedule or guidance that does not fit the prior."""
        Method.check(self, task)  # there is no solver to ask
        self.plan(task.prior)

    def begin(self, task: Task) -> State:
        """Start from the prior's mean image."""
        streams = task.streams("noise")
        noise = task.noise.start(streams)
        mean = task.prior.mean().to(task.pool).expand(len(task), len(task.pool), *task.prior.shape)
        return State(mean, noise, streams)

    def render(self, task: Task, theta: Tensor, index: Tensor) -> Tensor:
        """Return the images themselves."""
        return theta[:, index]

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
        """Return the target itself as the images."""
        # z' = D + sigma' e_hat   (Song, Meng & Ermon 2021, eq. 12 with eta = 0, in sigma space)
        state.theta = target
        return 0.0, target
