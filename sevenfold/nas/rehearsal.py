"""An objective without training, to try a recipe: how far an architecture is from a random one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sevenfold.nas.encodings.distance import adj
from sevenfold.nas.spaces.base import Space
from sevenfold.seeding import numpy_generator

if TYPE_CHECKING:
    from sevenfold.nas.trial import Trial


class Rehearsal:
    """An objective whose every value is the share of coordinates that differ from a random architecture.

    Each name has another architecture, so that several losses have a front.

    Args:
        space: search space.
        names: values that are returned.

    >>> import numpy as np
    >>> from pathlib import Path
    >>> from sevenfold.nas import NB201
    >>> from sevenfold.nas.trial import Trial
    >>> values = Rehearsal(NB201(), ["loss"])({}, Trial(0, (0, 1, 2, 3, 4, 0), {}, 1, 0, Path()))
    >>> 0 <= values["loss"] <= 1
    True
    """

    def __init__(self, space: Space, names: Sequence[str]) -> None:
        self.space = space
        self.targets = {name: space.sample(numpy_generator(0, "rehearsal", name), 1) for name in names}

    def __call__(self, config: dict[str, Any], trial: "Trial") -> dict[str, float]:
        """Return the distance of a trial's row to each architecture."""
        row = self.space.checked([trial.row])
        distances = {name: adj(self.space, row, target)[0, 0] for name, target in self.targets.items()}
        return {name: float(distance) / self.space.width for name, distance in distances.items()}
