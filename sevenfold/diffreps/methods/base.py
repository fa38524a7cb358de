"""The interface of sampling methods: a state and a step, so that every run can be resumed alike."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.guidance import Guidance
from sevenfold.diffreps.priors.base import Condition
from sevenfold.diffreps.random_streams import Streams
from sevenfold.diffreps.sampling_task import Task
from sevenfold.diffreps.solvers.base import SolverState
from sevenfold.diffreps.view_noise import Noise
from sevenfold.ranges import Checked


@dataclass
class Counts:
    """The cost of a run so far, the same for every sample.

    Attributes:
        calls: of the prior; one call may be guided and contain several views.
        evaluations: images of one sample that the prior's network evaluated.
        inner: iterations of the solver.
    """

    calls: int = 0
    evaluations: int = 0
    inner: int = 0


@dataclass
class State:
    """The state of a run of B samples.

    ``theta`` (B, p), or images (B, V, C, H, W) in methods without a representation; ``noise`` the white
    variables of the views; ``solver`` the solver's state; ``streams`` the generators of random numbers;
    ``refused`` (B,) the number of refused solver steps; ``trace`` one row of figures for each step.
    """

    theta: Tensor
    noise: Noise
    streams: Streams
    refused: Tensor = field(init=False)
    solver: SolverState = field(default_factory=dict)
    step: int = 0
    counts: Counts = field(default_factory=Counts)
    trace: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        # counted on the device: reading it in every step would wait for the device
        self.refused = torch.zeros(len(self.theta), dtype=torch.long, device=self.theta.device)

    def plain(self) -> dict[str, Any]:
        """Return the state as tensors and plain values, for a snapshot."""
        return {
            "theta": self.theta,
            "noise": self.noise,
            "streams": self.streams.state(),
            "solver": self.solver,
            "step": self.step,
            "counts": vars(self.counts).copy(),
            "refused": self.refused,
            "trace": self.trace,
        }

    def restore(self, plain: Mapping[str, Any]) -> None:
        """Set the state to one returned by :meth:`plain`."""
        self.streams.restore(plain["streams"])
        self.counts = Counts(**plain["counts"])
        for name in ("theta", "noise", "solver", "step", "refused", "trace"):
            setattr(self, name, plain[name])


class Method(Checked, ABC):
    """A sampling method, which draws samples in ``steps`` steps."""

    guidance: Guidance

    def check(self, task: Task) -> None:
        """Raise ``ConfigError`` for a task that this method cannot run, before any computation."""
        self.guidance.check(task.prior)
        if not task.prior.unconditional and bool((task.labels < 0).any()):
            raise ConfigError(
                "conditions", "the prior knows no images without a class ('null_label' is null): name classes"
            )

    @abstractmethod
    def steps(self, task: Task) -> int:
        """Return how many steps a run takes."""

    @abstractmethod
    def begin(self, task: Task) -> State:
        """Return the state before the first step."""

    @abstractmethod
    def advance(self, task: Task, state: State) -> None:
        """Take one step, changing ``state`` (its tensors are replaced, never written into)."""

    @abstractmethod
    def images(self, task: Task, state: State) -> Tensor:
        """Return the images (B, K, C, H, W) of every view of the pool."""

    def denoise(
        self, task: Task, state: State, y: Tensor, e: Tensor, sigma: Tensor | float, index: Tensor
    ) -> Tensor:
        """Return guided denoised images for clean parts ``y`` (B, V, C, H, W) of the views ``index`` (V,).

        ``e`` is their noise; ``sigma`` is one number, or one for each sample (B,). The call is added to the
        state's counts.
        """
        samples, views = y.shape[:2]
        # One call of the prior for all samples and views; images of a sample are consecutive.
        levels = torch.as_tensor(sigma, dtype=y.dtype, device=y.device).expand(samples)
        condition = Condition(
            task.labels.repeat_interleave(views), task.pool[index].repeat(samples, 1), group=views
        )
        parts = y.flatten(0, 1), e.expand_as(y).flatten(0, 1), levels.repeat_interleave(views)
        images = self.guidance.denoise(task.prior, *parts, condition)
        state.counts.calls += 1
        state.counts.evaluations += views * (self.guidance.passes if bool((task.labels >= 0).any()) else 1)
        return images.view(y.shape)
