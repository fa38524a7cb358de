"""Sparse fixed-point correction: which states of a solve are supervised, and how strongly."""

from dataclasses import dataclass
from typing import Literal

from sevenfold.errors import ConfigError
from sevenfold.ranges import Count, Depth, PositiveShare


@dataclass(frozen=True)
class Correction:
    """The states of a solve that are supervised, and the weights of their losses.

    Args:
        n: the number of equally spaced states that are supervised, the last one included.
        graph: ``sliced`` solves up to a state, gives it its gradient and continues from there, detached;
            ``indexing`` solves once, records the states and then gives each its gradient.
        indexing: the steps after which a state is supervised, besides the last, increasing; null for ``n``
            equally spaced ones.
        gamma: the loss of state i of n has the weight gamma^(n-1-i); above 0, at most 1.
        steps: the number of phantom steps that give earlier states their gradient where the last has the
            implicit one.
        damping: length of these phantom steps, above 0 and at most 1.

    Example:
        >>> correction = Correction(n=3, gamma=0.8)
        >>> correction.at(12), [round(weight, 2) for weight in correction.weights(3)]
        ([4, 8, 12], [0.64, 0.8, 1.0])
    """

    n: Depth = 1
    graph: Literal["sliced", "indexing"] = "sliced"
    indexing: list[Count] | None = None
    gamma: PositiveShare = 0.8
    steps: Depth = 1
    damping: PositiveShare = 1.0

    def __post_init__(self) -> None:
        if self.graph not in ("sliced", "indexing"):
            raise ConfigError("graph", f"is {self.graph!r}; expected 'sliced' or 'indexing'")
        for name in ("n", "steps"):
            if getattr(self, name) < 1:
                raise ConfigError(name, f"is {getattr(self, name)}; expected at least 1")
        for name in ("gamma", "damping"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(name, f"is {getattr(self, name)}; expected a number in (0, 1]")
        if self.indexing and self.n not in (1, len(self.indexing) + 1):
            raise ConfigError(
                "n", f"is {self.n}, but indexing {self.indexing} and the last step are another number"
            )

    def at(self, max_iter: int) -> list[int]:
        """Return the steps after which a state is supervised; the last is ``max_iter``."""
        if self.indexing:
            steps = [step for step in self.indexing if step != max_iter] + [max_iter]
        else:
            gap = max_iter // self.n
            steps = [gap * (i + 1) for i in range(self.n - 1)] + [max_iter]
        if any(b <= a for a, b in zip([0, *steps], steps, strict=False)):
            raise ConfigError("correction", f"would supervise steps {steps}; use fewer states or more steps")
        return steps

    def weights(self, n: int) -> list[float]:
        """Return the loss weights gamma^(n-1-i) of n supervised states in order; the last is 1."""
        # L = sum_i gamma^(n-1-i) loss(z_i): sparse fixed-point correction (Bai et al. 2022).
        # The sum is that of RAFT (Teed and Deng 2020), over a few states in place of all.
        return [self.gamma ** (n - 1 - i) for i in range(n)]
