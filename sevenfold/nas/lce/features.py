"""What a learned extrapolator sees of the beginning of a training."""

import numpy as np

from sevenfold.nas.lce.base import Floats, Seen

BLOCKS = 4


def published_features(seen: Seen) -> Floats:
    """Return values, first and second differences, mean and standard deviation, (n, 3 T - 1).

    Values are fractions. Losses, where given, add themselves and their sum, (n, T + 1) more. Differences that
    T is too short for are left out. These are the features of NAS-Bench-x11.
    """
    # y_1..y_T, y_t - y_{t-1}, their differences, mean and deviation (Baker et al. 2018; Yan et al. 2021).
    v = seen.values / 100
    parts = [v, np.diff(v, axis=1), np.diff(v, 2, axis=1), v.mean(1, keepdims=True), v.std(1, keepdims=True)]
    if seen.losses is not None:
        parts += [seen.losses, seen.losses.sum(1, keepdims=True)]
    return np.concatenate(parts, axis=1)


def smooth_features(seen: Seen) -> Floats:
    """Return best, mean of the last five and last value, four block means and the standard deviation, (n, 8).

    Losses, where given, add their block means and sum, (n, 5) more. A hundred curves do not teach more: with
    every epoch and difference as a feature, a regression ranks worse than the best value seen.
    """
    v = seen.values / 100
    parts = [v.max(1, keepdims=True), v[:, -5:].mean(1, keepdims=True), v[:, -1:], _blocks(v)]
    parts.append(v.std(1, keepdims=True))
    if seen.losses is not None:
        parts += [_blocks(seen.losses), seen.losses.sum(1, keepdims=True)]
    return np.concatenate(parts, axis=1)


def _blocks(values: Floats) -> Floats:
    parts = np.array_split(values, min(BLOCKS, values.shape[1]), axis=1)
    return np.stack([part.mean(axis=1) for part in parts], axis=1)
