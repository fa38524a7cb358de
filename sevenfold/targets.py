"""How fast trials reach losses: targets, expected running times, areas under curves of regret."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sevenfold.errors import InputError
from sevenfold.evidence import vector

Floats = NDArray[np.float64]

FLOOR = 1e-3  # added to a regret before its logarithm, so that the optimum has one


@dataclass(frozen=True)
class Targets:
    """How fast trials reach losses: ``losses`` (K,), ``times`` (trials, K), infinite where not reached.

    ``expected`` (K,) is the expected running time: evaluations spent over successes.
    """

    losses: Floats
    times: Floats
    expected: Floats

    def share(self, evaluations: int) -> float:
        """Return the share of pairs (trial, target) that are reached within some evaluations."""
        return float(np.mean(self.times <= evaluations))


def time_to_target(
    curves: ArrayLike,
    random: ArrayLike,
    optimum: float,
    *,
    evaluations: ArrayLike | None = None,
    targets: int = 10,
) -> Targets:
    """Return when trials reach losses between a typical random one and the optimum (Hansen et al. 2016).

    The regrets of the targets are spaced by equal factors; the last target is the optimum.

    Args:
        curves: best loss so far (trials, T).
        random: losses (n,) of random draws; their median is where targets begin.
        optimum: the least loss that there is.
        evaluations: after how many evaluations each column of the curves is (T,); None: 1 to T.
        targets: number of targets.

    >>> reached = time_to_target([[5.0, 2.0, 1.0], [5.0, 5.0, 3.0]], random=[5.0], optimum=1.0)
    >>> reached.times[:, -1].tolist(), reached.expected[-1].item(), reached.share(3)
    ([3.0, inf], 6.0, 0.5)
    """
    best = np.asarray(curves, float)
    if best.ndim != 2 or not best.size or np.isnan(best).any() or (np.diff(best) > 0).any():
        raise InputError(f"curves: expected best losses so far (trials, evaluations), got {best.shape}")
    start = float(np.median(vector(random, "random"))) - optimum
    if start <= 0 or best.min() < optimum - 1e-9 * max(1.0, abs(optimum)):
        raise InputError(f"optimum {optimum:g}: expected a loss below random ones that no trial undercuts")
    after = (
        np.arange(1.0, best.shape[1] + 1) if evaluations is None else vector(evaluations, "evaluations", 1)
    )
    if after.shape != best.shape[1:] or (np.diff(after) <= 0).any():
        raise InputError(
            f"evaluations: expected {best.shape[1]} growing numbers, one a column, got {len(after)}"
        )
    losses = optimum + np.geomspace(start + FLOOR, FLOOR, targets + 1)[1:] - FLOOR
    losses[-1] = optimum
    reached = best[:, :, None] <= losses + 1e-12 * max(1.0, abs(optimum))
    times = np.where(reached.any(1), after[reached.argmax(1)], np.inf)
    spent = np.minimum(times, after[-1]).sum(0)
    successes = np.isfinite(times).sum(0)
    expected = np.divide(spent, successes, out=np.full(targets, np.inf), where=successes > 0)
    return Targets(losses, times, expected)


def area(regrets: ArrayLike) -> Floats:
    """Return the mean over evaluations of log10(regret + .001) of each trial, (trials,): lower is better.

    >>> area([[0.999, 0.0, 0.0, 0.0]]).round(6).tolist()
    [-2.25]
    """
    values = np.asarray(regrets, float)
    if values.ndim != 2 or not values.size or not (values >= 0).all():
        raise InputError(f"regrets: expected numbers of 0 or more, (trials, evaluations), got {values.shape}")
    return np.log10(values + FLOOR).mean(1)
