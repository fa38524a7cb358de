"""Options of training and evaluating a flow network."""

from dataclasses import dataclass, field

from sevenfold.config import ConfigError
from sevenfold.ranges import Count, LearningRate, NonNegative, NonNegativeInt, Positive, Share


@dataclass(frozen=True)
class Training:
    """How a training step goes.

    Args:
        iterations: steps of f, drawn anew for each training step where there are several.
        stale_start: share of each batch that starts from the final states of the batch before.
        step_penalty: weight of the mean length, in px, of the flow's last step, which pulls training towards
            a fixed point (0.1 helps; 1 from the first step on keeps the network at zero flow).
        late_step_penalty: its weight in the last fifth of training, where it may be 1; null keeps it.
        jacobian_penalty: weight of the squared norm of f's Jacobian, estimated by one random vector.
    """

    iterations: list[Count] = field(default_factory=lambda: [12])
    stale_start: Share = 0.0
    step_penalty: NonNegative = 0.0
    late_step_penalty: NonNegative | None = None
    jacobian_penalty: NonNegative = 0.0

    def __post_init__(self) -> None:
        if not self.iterations:
            raise ConfigError("iterations", "needs at least one number of steps")


@dataclass(frozen=True)
class Evaluation:
    """How many steps of f an evaluation takes.

    Args:
        iterations: of every data set that ``by_dataset`` does not name.
        by_dataset: the same by name of the data set.
        budgets: numbers of steps at which testing reports the error as well.
    """

    iterations: Count = 24
    by_dataset: dict[str, Count] = field(default_factory=dict)
    budgets: list[Count] = field(default_factory=list)


@dataclass(frozen=True)
class Optim:
    """AdamW and its one-cycle rate: linearly up, then down to 0.

    Args:
        lr: the largest rate.
        weight_decay: decoupled.
        eps: added to the root of the second moment.
        warmup: share of all steps on which the rate rises.
        extra_steps: by how many steps the cycle is longer than training (published recipes: 100).
    """

    lr: LearningRate = 4e-4
    weight_decay: NonNegative = 1e-4
    eps: Positive = 1e-8
    warmup: Share = 0.05
    extra_steps: NonNegativeInt = 0
