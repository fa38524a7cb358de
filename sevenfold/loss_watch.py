"""What the losses of a training say about its divergence."""

import math
import statistics
from collections import deque
from collections.abc import Sequence

from sevenfold.errors import InputError


class Diverged(InputError):
    """A training that cannot recover: the loss or the weights are not finite, or the loss has exploded."""

    saves = False  # the last checkpoint is better than the present state


class LossWatch:
    """The recent losses of a training, and whether they mean that it has diverged.

    Args:
        factor: a loss above this multiple of its running median counts as exploded.
        patience: steps in a row with an exploded loss (or, where losses are scaled, one that is not finite).
        window: losses of which the median is taken.

    Example:
        >>> watch = LossWatch(factor=100.0, patience=1, window=10)
        >>> watch.reason([1.0, 2.0, 1.0], scaled=False) is None
        True
        >>> watch.reason([500.0], scaled=False)
        'the loss is 500, 100 times its running median 1'
    """

    def __init__(self, factor: float, patience: int, window: int) -> None:
        self.factor, self.patience = factor, patience
        self._losses: deque[float] = deque(maxlen=window)
        self._exploded = self._infinite = 0

    def reason(self, losses: Sequence[float], *, scaled: bool) -> str | None:
        """Return why these losses, the next ones, mean divergence; None if they do not.

        ``scaled``: whether losses are scaled for half precision, where one that is not finite is usual.
        """
        for value in losses:
            self._infinite = 0 if math.isfinite(value) else self._infinite + 1
            if self._infinite > (self.patience if scaled else 0):
                return f"the loss is {value}"
            median = statistics.median(map(abs, self._losses)) if self._losses else math.inf
            self._exploded = self._exploded + 1 if abs(value) > self.factor * max(median, 1e-12) else 0
            if self._exploded >= self.patience:
                return f"the loss is {value:.3g}, {self.factor:g} times its running median {median:.3g}"
            if not self._exploded and math.isfinite(value):
                self._losses.append(value)
        return None
