"""Autocorrelation of the loss along a random walk, without walking."""

import numpy as np
from numpy.typing import NDArray

from sevenfold.nas.landscape.climb import Losses, Neighbors


def autocorrelation(
    losses: Losses, near: Neighbors, lags: int, *, percentiles: tuple[float, float] = (0.0, 100.0)
) -> Losses:
    """Return the correlation of the losses ``lag`` steps apart on an endless walk, (lags + 1,), lag 0 first.

    Every step goes to a neighbor drawn uniformly, of those whose loss lies between the two ``percentiles`` of
    all; a walk cannot begin at the others. With transition matrix P and the walk's stationary distribution p
    (proportional to the number of such neighbors) the covariance at a lag is sum_v p(v) l(v) (P^lag l)(v),
    l being centered: P is applied ``lags`` times to one vector. On a graph whose allowed part is not
    connected this is the mean over starts.
    """
    low, high = np.percentile(losses, percentiles)
    allowed: NDArray[np.bool_] = np.append((losses >= low) & (losses <= high), False)
    open_ = allowed[near] & allowed[:-1, None]
    degrees = open_.sum(axis=1)
    stationary = degrees / degrees.sum()
    centered = np.where(degrees > 0, losses - stationary @ losses, 0.0)
    ahead, covariances = centered, [stationary @ centered**2]
    for _ in range(lags):
        ahead = (np.append(ahead, 0.0)[near] * open_).sum(axis=1) / np.maximum(degrees, 1)
        covariances.append(stationary @ (centered * ahead))
    return np.array(covariances) / covariances[0]
