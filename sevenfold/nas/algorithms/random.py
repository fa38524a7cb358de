"""Random search."""

from numpy.random import Generator

from sevenfold.nas.algorithms.base import Algorithm
from sevenfold.nas.spaces.base import Ints, Space


class RandomSearch(Algorithm):
    """Evaluate random architectures, each once.

    >>> import numpy as np
    >>> from sevenfold.nas import NB201, RandomSearch
    >>> search = RandomSearch(NB201(), np.random.default_rng(0))
    >>> archs = search.ask(5)
    >>> search.tell(archs, [0.3, 0.1, 0.4, 0.2, 0.5])
    >>> search.ask(5).shape
    (5, 6)
    """

    k = 10

    def __init__(self, space: Space, rng: Generator, *, sampling: str | None = None) -> None:
        super().__init__(space, rng, sampling=sampling)

    def propose(self, k: int) -> Ints:
        """Return new random ones."""
        # Without replacement; the baseline of Li and Talwalkar 2019.
        return self.random(k)
