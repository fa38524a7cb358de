"""What the losses and validations of a training say about its divergence."""

import math
import re
import statistics
from collections import deque
from collections.abc import Mapping, Sequence

from sevenfold.errors import InputError

IN_A_ROW = 3  # steps that cannot be taken, after which a training has diverged


class Diverged(InputError):
    """A training that cannot recover: the loss or the weights are not finite, or the loss has exploded.

    ``facts`` are for ``results.json``: the step, the cause, how often the training was rolled back.
    """

    saves = False  # the last checkpoint is better than the present state

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.facts = facts


class LossWatch:
    """The recent losses of a training, and whether they mean that it has diverged.

    Args:
        factor: a loss above this multiple of its running median counts as exploded.
        patience: steps in a row with an exploded loss (or, where losses are scaled, one that is not finite).
        window: losses of which the median is taken.

    Example:
        >>> watch = LossWatch(factor=100.0, patience=1, window=10)
        >>> watch.reason([1.0, float("nan"), 2.0, 1.0], scaled=False) is None
        True
        >>> watch.reason([500.0], scaled=False)
        'the loss is 500, 100 times its running median 1'
    """

    def __init__(self, factor: float, patience: int, window: int) -> None:
        self.factor, self.patience = factor, patience
        self._losses: deque[float] = deque(maxlen=window)
        self._exploded = self._infinite = 0
        self._better, self._worse = False, 0

    @property
    def calm(self) -> bool:
        """Tell whether the last loss was finite and usual."""
        return not (self._exploded or self._infinite)

    def forgive(self) -> None:
        """Forget what was wrong, as after a return to a good state; the median stays."""
        self._exploded = self._infinite = self._worse = 0

    def reason(self, losses: Sequence[float], *, scaled: bool) -> str | None:
        """Return why these losses, the next ones, mean divergence; None if they do not.

        ``scaled``: whether losses are scaled for half precision, where one that is not finite is usual. A
        step that was left out has the loss NaN.
        """
        for value in losses:
            self._infinite = 0 if math.isfinite(value) else self._infinite + 1
            if self._infinite >= (self.patience if scaled else IN_A_ROW):
                return f"loss or gradient is not finite {self._infinite} steps in a row"
            if self._infinite:
                continue
            median = statistics.median(map(abs, self._losses)) if self._losses else math.inf
            self._exploded = self._exploded + 1 if abs(value) > self.factor * max(median, 1e-12) else 0
            if self._exploded >= self.patience:
                return f"the loss is {value:.3g}, {self.factor:g} times its running median {median:.3g}"
            if not self._exploded:
                self._losses.append(value)
        return None

    def validation_reason(self, metrics: Mapping[str, float]) -> str | None:
        """Return why a validation means divergence: worse than nothing twice running, once it was better.

        A reference ``reference/val/SET/zero_flow_epe`` is what the estimate zero has in ``val/SET/epe``.
        """
        ratios = []
        for name, value in metrics.items():
            match = re.fullmatch(r"reference/(val/.*)zero_[a-z]+_(\w+)", name)
            if match and (own := metrics.get(match[1] + match[2])) is not None:
                ratios.append(float(own) / max(float(value), 1e-12))
        if not ratios:
            return None
        better = sum(ratios) / len(ratios) < 1  # not so for NaN
        self._better |= better
        self._worse = 0 if better or not self._better else self._worse + 1
        return "validation is worse than the estimate zero twice running" if self._worse >= 2 else None
