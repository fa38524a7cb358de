"""Landscapes of tables with fewer trainings, judged by the mean of all of them."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.landscape.climb import Climb, Losses


@dataclass(frozen=True)
class Draw:
    """A table of fewer trainings: ``own`` losses (n,), and what they are judged by, NaN where nothing is."""

    own: Losses
    judge: Losses

    def judged(self, climbs: Climb) -> dict[str, float]:
        """Return what the judge says of the ends of all climbs on the own losses.

        ``gap_mean`` and ``gap_median`` are the distances of the ends from the judge's lowest loss,
        ``share_to_true_optimum`` how many end at it, ``optimum_gap`` that of the own table's best.
        """
        best = np.nanmin(self.judge)
        gaps = self.judge[climbs.ends] - best
        # An end that the judge does not know (no training was held out) says nothing.
        known = gaps[~np.isnan(gaps)]
        return {
            "gap_mean": float(known.mean()),
            "gap_median": float(np.median(known)),
            "share_to_true_optimum": float((known == 0).mean()),
            "optimum_gap": float(self.judge[self.own.argmin()] - best),
        }


def draw_level(
    runs: NDArray[np.float64], level: int | None, rng: Generator, *, held_out: bool = False
) -> Draw:
    """Take ``level`` trainings of every architecture at random, for each its own choice; None: all.

    ``runs`` (n, seeds) holds losses, NaN where there was no training; architectures with fewer take all they
    have. The judge is the mean of all trainings, or with ``held_out`` of those that were not taken.

    >>> runs = np.array([[1.0, 2.0, 3.0], [4.0, 6.0, np.nan]])
    >>> draw_level(runs, None, np.random.default_rng(0)).own
    array([2., 5.])
    """
    known = ~np.isnan(runs)
    if not known.any(axis=1).all():
        raise InputError(f"{int((~known.any(axis=1)).sum())} architectures have no training at all")
    # Ranks of random numbers, with absent trainings last: a uniform choice without repetition in each row.
    order = np.where(known, rng.random(runs.shape), np.inf).argsort(axis=1).argsort(axis=1)
    taken = known & (order < (runs.shape[1] if level is None else level))
    return Draw(_mean(runs, taken), _mean(runs, known & ~taken if held_out else known))


def _mean(runs: NDArray[np.float64], taken: NDArray[np.bool_]) -> Losses:
    counts = taken.sum(axis=1)
    total = np.where(taken, runs, 0.0).sum(axis=1)
    # Equal means of other trainings, or of the same in another order, differ in their last digits by rounding
    # alone, which would make minima of plateaus; results are measured in steps far above 1e-9.
    return np.where(counts, np.round(total / np.maximum(counts, 1), 9), np.nan)
