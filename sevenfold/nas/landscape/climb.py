"""Hill climbing from all architectures of a table at once (White, Nolen and Savani 2021, section 2)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sevenfold.errors import InputError
from sevenfold.nas.spaces.base import Enumerable

Losses = NDArray[np.float64]
Neighbors = NDArray[np.int32]
"""Numbers of the neighbors of every architecture, (n, degree), each row ascending and padded with n."""


def neighbors(space: Enumerable) -> Neighbors:
    """Return the neighborhood graph of a space in the form that this folder works with."""
    table = space.neighbor_table()
    ordered: Neighbors = np.sort(np.where(table < 0, len(table), table), axis=1).astype(np.int32)
    return ordered


def around(losses: ArrayLike, near: Neighbors) -> Losses:
    """Return the losses of all neighbors, (n, degree), infinite in the padding.

    A NaN among ``losses``, (n,), raises ``InputError``: a landscape has a loss everywhere.
    """
    values = np.asarray(losses, np.float64)
    if values.shape != near.shape[:1] or np.isnan(values).any():
        raise InputError(
            f"a landscape of {len(near)} architectures needs as many losses without NaN, got shape "
            f"{values.shape} with {int(np.isnan(values).sum())} NaN"
        )
    # The padding n points at the infinite loss that is appended here.
    padded: Losses = np.append(values, np.inf)[near]
    return padded


@dataclass(frozen=True)
class Climb:
    """Where hill climbing leads from every architecture, arrays (n,).

    ``following`` is the best neighbor if that is better, of equally good ones the one with the lowest number,
    else the architecture itself: then it is a local minimum. ``ends`` is where the climb stops and ``steps``
    how many moves it takes.
    """

    losses: Losses
    following: NDArray[np.int64]
    ends: NDArray[np.int64]
    steps: NDArray[np.int64]

    @property
    def minima(self) -> NDArray[np.int64]:
        """Return the local minima: no neighbor is strictly better."""
        return np.flatnonzero(self.following == np.arange(len(self.following)))

    @property
    def to_optimum(self) -> NDArray[np.bool_]:
        """Return which climbs end at the lowest loss of all, or at one that equals it."""
        return np.asarray(self.losses[self.ends] == self.losses.min())

    def basins(self) -> NDArray[np.int64]:
        """Return from how many architectures climbs end at each, (n,); 0 where it is no minimum."""
        return np.bincount(self.ends, minlength=len(self.ends))

    def preimages(self) -> NDArray[np.int64]:
        """Return how many climbs pass through each architecture or end there, its own included, (n,)."""
        counts, place, moving = np.zeros_like(self.ends), np.arange(len(self.ends)), np.arange(len(self.ends))
        while len(moving):
            counts += np.bincount(place[moving], minlength=len(counts))
            # Climbs that have ended leave; each round moves all others by one step.
            moving = moving[place[moving] != self.ends[moving]]
            place[moving] = self.following[place[moving]]
        return counts

    def gaps(self) -> Losses:
        """Return how far above the lowest loss every climb ends, (n,)."""
        return self.losses[self.ends] - self.losses.min()

    def measures(self) -> dict[str, float]:
        """Return the headline numbers; shares are of all starts."""
        return {
            "minima": len(self.minima),
            "share_to_optimum": float(self.to_optimum.mean()),
            "steps_mean": float(self.steps.mean()),
            "steps_max": int(self.steps.max()),
            "largest_basin": int(self.basins().max()),
        }


def climb(losses: ArrayLike, near: Neighbors) -> Climb:
    """Climb from every architecture, taking the best neighbor each time."""
    beside = around(losses, near)
    values = np.asarray(losses, np.float64)
    rows = np.arange(len(near))
    # argmin takes the first of equals, and rows of neighbors ascend: the lowest number wins.
    choice = beside.argmin(axis=1)
    following = np.where(beside[rows, choice] < values, near[rows, choice], rows)
    ends, steps = rows.copy(), np.zeros(len(near), np.int64)
    moving = rows
    while len(moving := moving[following[ends[moving]] != ends[moving]]):
        ends[moving] = following[ends[moving]]
        steps[moving] += 1
    return Climb(values, following, ends, steps)


def strict_minima(losses: ArrayLike, near: Neighbors) -> NDArray[np.int64]:
    """Return the architectures that are strictly better than all their neighbors."""
    beside = around(losses, near)
    # Strictly below every neighbor: a plateau has minima in the weak sense and none in this one.
    return np.flatnonzero((np.asarray(losses) < beside.T).all(axis=0))
