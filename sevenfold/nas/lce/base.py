"""The contract of an extrapolator of learning curves."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.ranges import Checked

if TYPE_CHECKING:
    from sevenfold.nas.lce.density import Density

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """The first T epochs of n trainings: accuracies in percent and, if known, training losses, (n, T)."""

    values: Floats
    losses: Floats | None = None

    def part(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "Seen":
        """Return some of the trainings."""
        return Seen(self.values[rows], None if self.losses is None else self.losses[rows])


class Extrapolator(Checked, ABC):
    """Predicts the accuracy at epoch ``end`` from the epochs before it, for many trainings at once."""

    ranks_only = False
    """Whether predictions order trainings but are no accuracies."""
    fewest = 0
    """Known trainings that it needs at least."""
    together = False
    """Whether a prediction depends on the other trainings that are predicted with it."""

    @abstractmethod
    def fit(self, curves: Floats, losses: Floats | None, *, seen: int, end: int, stream: Generator) -> Self:
        """Learn from whole curves (n, E), E >= ``end``, to predict epoch ``end`` after ``seen`` epochs."""

    @abstractmethod
    def predict(self, seen: Seen) -> Floats:
        """Return one prediction for each training, (n,)."""

    def density(self, seen: Seen) -> "Density | None":
        """Return the density of the value at the end; None where an extrapolator gives predictions alone."""
        return None
