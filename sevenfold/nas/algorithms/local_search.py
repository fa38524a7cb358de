"""Local search (White, Nolen and Savani 2021, "Exploring the loss landscape in NAS")."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.random import Generator

from sevenfold.config import ConfigError
from sevenfold.nas.algorithms.base import Algorithm, chosen
from sevenfold.nas.spaces.base import Ints, Space
from sevenfold.ranges import Count


class LocalSearch(Algorithm):
    """Climb from the best of a few random architectures to a local minimum, then begin another climb.

    A pass evaluates the new neighbors of the center in random order; the best of the pass is the next center.
    With ``k`` above one a pass evaluates that many before it compares.

    Of several losses a pass ends at the first that no evaluation dominates, and the next center is always the
    best by rank and crowding that was none yet.

    Args:
        num_init: random architectures that begin a climb.
        query_full_nbhd: evaluate all neighbors before moving on; otherwise a pass ends at the first that is
            better than the center.
        continue_at_min: at a local minimum go on from the best evaluation whose neighbors were not evaluated
            yet, instead of beginning another climb.
        use_cached_neighbors: let neighbors evaluated in earlier passes be the next center too; the papers'
            search cannot enter a basin that it has explored.
        neighborhood: kind of neighborhood, one of the space's ``neighborhoods``; null: its first.

    >>> import numpy as np
    >>> from sevenfold.nas import NB201, LocalSearch, run_trials
    >>> search = LocalSearch(NB201(), np.random.default_rng(0))
    >>> (trace,) = run_trials([search], lambda archs: archs.sum(axis=1), budget=100)
    >>> float(trace.losses.min())
    0.0
    """

    def __init__(
        self,
        space: Space,
        rng: Generator,
        *,
        num_init: Count = 10,
        query_full_nbhd: bool = False,
        continue_at_min: bool = False,
        use_cached_neighbors: bool = False,
        neighborhood: str | None = None,
        sampling: str | None = None,
    ) -> None:
        super().__init__(space, rng, num_init=num_init, sampling=sampling)
        if continue_at_min and use_cached_neighbors:
            raise ConfigError("use_cached_neighbors", "continue_at_min looks at all evaluations already")
        self.query_full_nbhd, self.continue_at_min = query_full_nbhd, continue_at_min
        self.use_cached_neighbors = use_cached_neighbors
        self.neighborhood = chosen(neighborhood, space.neighborhoods, "neighborhood")
        self._queue: Ints = np.empty((0, space.width), np.int8)  # still to be asked in this pass
        self._pass: list[int] = []  # keys that the pass compares
        self._center: float | None = None  # the center's loss; None in a pass over random ones
        self._expanded: set[int] = set()

    def propose(self, k: int) -> Ints:
        """Return the next of the pass, beginning another where it ended."""
        self._queue = self.unseen(self._queue)  # others may have told of some
        while not len(self._queue) or (not self.query_full_nbhd and self._improved()):
            if not self._begin():
                break
        batch, self._queue = self._queue[:k], self._queue[k:]
        self._pass += self.keys(batch)
        return batch

    def _lowest(self) -> int | None:
        """Return the place of the pass's best evaluation, None if it has none."""
        known = [self.place[key] for key in self._pass if key in self.place]
        return min(known, key=self.losses.__getitem__, default=None)

    def _improved(self) -> bool:
        if self.vectors and self._center is not None:
            return not self.front().isdisjoint(self.place[key] for key in self._pass if key in self.place)
        lowest = self._lowest()
        return self._center is not None and lowest is not None and self.losses[lowest] < self._center

    def _begin(self) -> bool:
        """Begin the pass that follows; return False when the space ends."""
        lowest = self._lowest()
        if (self.continue_at_min or self.vectors) and (self._center is not None or lowest is not None):
            following = self._unexpanded()
        else:
            following = lowest if self._center is None or self._improved() else None
        self._pass = []
        if following is not None:
            self._expand(following)
            return True
        self._center, self._queue = None, self.random(self.num_init)
        return len(self._queue) > 0

    def _unexpanded(self) -> int | None:
        """Return the place of the best evaluation that was no center yet."""
        expanded = {self.place[key] for key in self._expanded}
        rest = (place for place in range(len(self.losses)) if place not in expanded)
        return min(rest, key=self.losses.__getitem__, default=None)

    def _expand(self, place: int) -> None:
        """Begin a pass around an evaluation."""
        center = self.archs[place]
        self._center = self.losses[place]
        self._expanded.update(self.keys(center[None]))
        neighbors = self.space.neighbors(center, kind=self.neighborhood)
        self._queue = self.rng.permutation(self.unseen(neighbors))
        if self.use_cached_neighbors:
            self._pass = [key for key in self.keys(neighbors) if key in self.place]

    def own_state(self) -> dict[str, Any]:
        """Return the pass."""
        return {
            "queue": self._queue.tolist(),
            "pass": list(self._pass),
            "center": self._center,
            "expanded": sorted(self._expanded),
        }

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        """Restore the pass."""
        self._queue, self._pass = (
            np.array(state["queue"], int).reshape(-1, self.space.width),
            list(state["pass"]),
        )
        self._center, self._expanded = state["center"], set(state["expanded"])
