"""Intervals of means over pairs."""

from collections.abc import Sequence

import numpy as np

from sevenfold.seeding import numpy_generator

DRAWS, LEAST = 1000, 5


def interval(values: Sequence[float], *, seed: int = 0) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of the mean by bootstrap (Efron 1979); None below five values.

    >>> interval([1.0, 2.0]) is None
    True
    """
    if len(values) < LEAST:
        return None
    random = numpy_generator(seed, "bootstrap", len(values))
    numbers = np.asarray(values, dtype=np.float64)
    means = numbers[random.integers(len(numbers), size=(DRAWS, len(numbers)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
