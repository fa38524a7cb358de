"""Gaussian posteriors of many trials at once, their noise and scale chosen by marginal likelihood."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

FLOOR = 1e-9
"""The least noise, in units of the kernel: equal inputs may have different targets."""


class Posterior(NamedTuple):
    """Mean and standard deviation of the noise-free function at new points, (T, m) each."""

    mean: Matrix
    std: Matrix


def posterior(
    kernels: Matrix, cross: Matrix, own: Matrix, targets: Matrix, ratios: list[float], signal: float | None
) -> Posterior:
    """Condition a Gaussian process on targets (T, n), centered by their mean.

    ``kernels`` (S, T, n, n), ``cross`` (S, T, n, m) and ``own`` (S, T, m) hold the kernel for S choices of
    its scale; the noise variance is one of ``ratios`` times the signal variance. Each trial takes the scale
    and the ratio with the highest marginal likelihood. The signal variance is ``signal`` squared or, if None,
    the one that maximizes the likelihood in closed form.
    """
    n, trials = targets.shape[1], np.arange(len(targets))
    center = targets.mean(axis=1, keepdims=True)
    # mean = K_* (K + s^2 I)^-1 y, variance = k_** - K_* (K + s^2 I)^-1 K_*^T, evidence log p(y)
    # (Rasmussen and Williams 2006, eq. 2.25, 2.26 and 2.30), for every s^2 from one K = V diag(values) V^T.
    values, vectors = np.linalg.eigh(kernels)  # (S, T, n), (S, T, n, n)
    turned = np.einsum("stij,ti->stj", vectors, targets - center)
    noise = np.maximum(np.array(ratios), FLOOR)[:, None, None, None]
    spread = np.maximum(values, 0.0) + noise  # (R, S, T, n)
    fit = np.maximum((turned**2 / spread).sum(axis=-1), 1e-12)
    if signal is None:
        evidence = -0.5 * (n * np.log(fit) + np.log(spread).sum(axis=-1))
    else:
        evidence = -0.5 * (fit / signal**2 + np.log(spread).sum(axis=-1))
    ratio, scale = np.divmod(evidence.reshape(-1, len(trials)).argmax(axis=0), len(kernels))
    weights = 1 / spread[ratio, scale, trials]  # (T, n)
    seen = vectors[scale, trials].transpose(0, 2, 1) @ cross[scale, trials]  # (T, n, m)
    mean = np.einsum("tn,tnm->tm", turned[scale, trials] * weights, seen) + center
    variance = own[scale, trials] - np.einsum("tn,tnm->tm", weights, seen**2)
    amount = fit[ratio, scale, trials] / n if signal is None else np.full(len(trials), signal**2)
    return Posterior(mean, np.sqrt(np.maximum(variance, 0.0) * amount[:, None]))
