"""Random search."""

from numpy.random import Generator

from sevenfold.nas.algorithms.base import Algorithm
from sevenfold.nas.spaces.base import Ints, Space


class RandomSearch(Algorithm):
    """Evaluate random architectures, each once."""

    k = 10

    def __init__(self, space: Space, rng: Generator, *, sampling: str | None = None) -> None:
        super().__init__(space, rng, sampling=sampling)

    def propose(self, k: int) -> Ints:
        """Return new random ones."""
        return self.random(k)
