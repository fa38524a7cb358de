"""Intervals of means over pairs, or over sequences of pairs."""

from collections.abc import Hashable, Sequence

import numpy as np

from sevenfold.seeding import numpy_generator

DRAWS, LEAST = 1000, 5


def interval(
    values: Sequence[float], clusters: Sequence[Hashable] | None = None, *, seed: int = 0
) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of the mean by bootstrap (Efron 1979); None below five clusters.

    Values of one cluster, such as the pairs of a sequence, are drawn together; by default each is alone.

    >>> interval([1.0, 2.0]) is None, interval([1.0, 2.0, 3.0, 4.0, 5.0], list("aabbb")) is None
    (True, True)
    """
    members: dict[Hashable, list[float]] = {}
    for cluster, value in zip(range(len(values)) if clusters is None else clusters, values, strict=True):
        members.setdefault(cluster, []).append(value)
    count = len(members)
    if count < LEAST:
        return None
    random = numpy_generator(seed, "bootstrap", count)
    sums = np.array([sum(part) for part in members.values()], dtype=np.float64)
    sizes = np.array([len(part) for part in members.values()], dtype=np.float64)
    draws = random.integers(count, size=(DRAWS, count))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
