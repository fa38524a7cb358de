"""Progress as lines of a log, where no terminal can draw a bar."""

import math
import time
from collections.abc import Callable, Mapping
from datetime import timedelta


class ProgressLines:
    """Lines about one stage of a run: one a minute with the remaining time, and one at its end.

    Args:
        name: name of the stage, such as ``epoch 1 of 3``.
        write: function that prints a line.
        every: seconds between two lines.

    >>> lines = ProgressLines("test", every=0)
    >>> lines.advance(2, 2)
    >>> lines.end(2, {"epe": 1.25})
    test: 2 steps in 0:00:00, epe 1.25
    """

    def __init__(self, name: str, write: Callable[[str], None] = print, every: float = 60.0) -> None:
        self.name, self.write, self.every = name, write, every
        self.start = self.last = time.monotonic()

    def advance(self, count: int, total: float) -> None:
        """Print a line if the last one is old enough, but not at the end; ``total`` may be infinite."""
        now = time.monotonic()
        if count >= total or now - self.last < self.every:
            return
        self.last = now
        of = left = ""
        if math.isfinite(total):
            of, left = (
                f" of {total:g}",
                f", about {_clock((now - self.start) * (total - count) / count)} left",
            )
        self.write(f"{self.name}: {count}{of} steps in {_clock(now - self.start)}{left}")

    def end(self, count: int, metrics: Mapping[str, float]) -> None:
        """Print the last line, with the values of metrics."""
        values = "".join(f", {name} {value:.4g}" for name, value in metrics.items())
        self.write(f"{self.name}: {count} steps in {_clock(time.monotonic() - self.start)}{values}")


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
