"""How many local minima noise adds."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.nas.landscape.climb import Losses, Neighbors, climb


def noisy_minima(
    losses: Losses, near: Neighbors, *, sigma: float, factors: tuple[float, ...], draws: int, rng: Generator
) -> NDArray[np.int64]:
    """Return the numbers of local minima of losses + Normal(0, factor * sigma), (factors, draws).

    The draws are common to all factors, so that a row differs from another by the amount of noise only.
    """
    noise = rng.standard_normal((draws, len(losses)))
    return np.array(
        [[len(climb(losses + f * sigma * draw, near).minima) for draw in noise] for f in factors], np.int64
    )


def retraining_noise(values: NDArray[np.float64]) -> float:
    """Return the standard deviation between trainings of one architecture, from values (n, seeds).

    It is pooled over architectures that were trained at least twice; NaN where none was.
    """
    known = (~np.isnan(values)).sum(axis=1)
    several = values[known > 1]
    if not len(several):
        return float("nan")
    return float(np.sqrt(np.nanvar(several, axis=1, ddof=1).mean()))
