"""The contract of a search algorithm."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.nas.spaces.base import Enumerable, Ints, Space, choose
from sevenfold.ranges import Checked

logger = logging.getLogger(__name__)

PATIENCE = 4096
"""Draws in a row without anything new after which a way of drawing counts as exhausted."""


class Algorithm(Checked, ABC):
    """One trial of a search that minimizes a loss.

    ``ask(k)`` names up to ``k`` architectures to evaluate; fewer where the algorithm wants to hear their
    losses first or the space ends, and none only when there is nothing left to ask. ``tell`` takes losses of
    any evaluations, asked or not (a warm start), in any order: what is told between two asks has the same
    effect however it is ordered or divided. ``ask`` goes on with what it knows if answers are outstanding.

    Architectures are told apart by ``space.keys`` and asked once, unless a subclass says otherwise. All draws
    come from ``rng``. After any call, ``state_dict`` holds the trial as plain values that JSON can write, and
    ``load_state_dict`` of an algorithm with the same space and options continues it exactly.

    Args:
        space: search space.
        rng: random numbers of the trial.
        num_init: random architectures that are evaluated first.
        sampling: how random architectures are drawn, one of the space's ``samplings``; null: its first.
    """

    k: int = 1
    """How many to ask at once, where the caller has no wish."""

    def __init__(
        self, space: Space, rng: Generator, *, num_init: int = 1, sampling: str | None = None
    ) -> None:
        self.space, self.rng, self.num_init = space, rng, num_init
        self.sampling = chosen(sampling, space.samplings, "sampling")
        self.archs: list[Ints] = []
        """What was told, in the order it was asked; ``losses`` has the values, NaN having become infinite."""
        self.losses: list[float] = []
        self.place: dict[int, int] = {}
        """Where the evaluation of a key stands in ``archs``; the last one if there are several."""
        self.seen: set[int] = set()
        """Keys asked or told."""
        self._count = 0
        self._pending: dict[int, list[int]] = {}
        self._inbox: list[tuple[float, int, Ints, float]] = []

    @abstractmethod
    def propose(self, k: int) -> Ints:
        """Return up to ``k`` architectures, given that all that was told stands in the history."""

    def own_state(self) -> dict[str, Any]:
        """Return what a subclass remembers beside the history, as plain values."""
        return {}

    def load_own_state(self, state: Mapping[str, Any]) -> None:  # noqa: B027  (most remember nothing more)
        """Take back ``own_state``."""

    @classmethod
    def propose_together(cls, trials: Sequence[Self], counts: Sequence[int]) -> list[Ints]:
        """Propose for several trials; what each proposes does not depend on the others."""
        return [trial.propose(k) for trial, k in zip(trials, counts, strict=True)]

    @classmethod
    def ask_together(cls, trials: Sequence[Self], counts: Sequence[int]) -> list[Ints]:
        """Ask several trials with the same options at once: the same as one after another, but faster."""
        for trial, k in zip(trials, counts, strict=True):
            trial.absorb(k)
        asked = cls.propose_together(trials, counts)
        keys = iter(trials[0].keys(np.concatenate(asked)))
        for trial, archs in zip(trials, asked, strict=True):
            trial._mark([next(keys) for _ in archs])
        return asked

    @classmethod
    def tell_together(
        cls, trials: Sequence[Self], archs: Sequence[Ints], losses: Sequence[NDArray[np.float64]]
    ) -> None:
        """Tell several trials at once."""
        keys = iter(trials[0].keys(np.concatenate(archs)))
        for trial, rows, values in zip(trials, archs, losses, strict=True):
            for row, loss in zip(rows, values.tolist(), strict=True):
                trial._hear(next(keys), row, loss)

    def ask(self, k: int) -> Ints:
        """Return up to ``k`` architectures to evaluate, (m, width); empty when there are no more."""
        return self.ask_together([self], [k])[0]

    def tell(self, archs: Ints, losses: ArrayLike) -> None:
        """Hear losses, (n,), of a population; NaN is the worst."""
        archs, values = self.space.checked(archs), np.asarray(losses, np.float64)
        if values.shape != (len(archs),):
            raise InputError(f"{len(archs)} architectures need as many losses, got shape {values.shape}")
        self.tell_together([self], [archs], [values])

    def keys(self, archs: Ints) -> list[int]:
        """Return the keys of a population, which may be empty."""
        return self.space.keys(archs).tolist() if len(archs) else []

    def _hear(self, key: int, row: Ints, loss: float) -> None:
        if asked := self._pending.get(key):
            self._inbox.append((asked.pop(0), key, row, loss))
            if not asked:
                del self._pending[key]
        elif key not in self.seen:
            self._inbox.append((math.inf, key, row, loss))
            self.seen.add(key)

    def absorb(self, k: int) -> None:
        """Add what was told to the history, in the order it was asked; check ``k``."""
        if k < 1:
            raise InputError(f"ask for at least one architecture, not {k}")
        for _, key, row, loss in sorted(self._inbox, key=lambda told: told[:2]):
            self.place[key] = len(self.archs)
            self.archs.append(row)
            self.losses.append(math.inf if math.isnan(loss) else loss)
        self._inbox.clear()

    def _mark(self, keys: Sequence[int]) -> None:
        """Note what is asked."""
        for key in keys:
            self._pending.setdefault(key, []).append(self._count)
            self._count += 1
        self.seen.update(keys)

    def at_once(self) -> int:
        """Return how many to ask next, where the caller has no wish: the initial design whole, then ``k``."""
        return max(self.num_init - len(self.seen), self.k)

    def best(self, n: int) -> list[int]:
        """Return the places of the ``n`` lowest losses, the lowest first, the earlier of equal ones first."""
        return sorted(range(len(self.losses)), key=self.losses.__getitem__)[:n]

    def design(self, k: int) -> Ints | None:
        """Return what is missing of the initial design, up to ``k``; None when the search proper can begin.

        Evaluations told from outside count; while no loss is known, more random ones follow.
        """
        missing = self.num_init - len(self.seen)
        if missing > 0:
            return self.random(min(k, missing))
        return None if self.losses else self.random(k)

    def random(self, k: int, found: Ints | None = None) -> Ints:
        """Extend ``found`` to ``k`` new architectures by random ones; to fewer if the space has no more."""
        found = self.collect(k, lambda n: self.space.sample(self.rng, n, method=self.sampling), found)
        if len(found) < k and isinstance(self.space, Enumerable) and self.sampling == "uniform":
            rest = self.unseen(self.space.archs(np.arange(self.space.size or 0)), found)
            found = np.concatenate([found, self.rng.permutation(rest)[: k - len(found)]])
        return found

    def collect(self, k: int, draw: Callable[[int], Ints], found: Ints | None = None) -> Ints:
        """Extend ``found`` by what ``draw(n)`` brings until ``k`` different architectures are new, or
        ``PATIENCE`` draws brought none.
        """
        found, idle = np.empty((0, self.space.width), np.int8) if found is None else found, 0
        n = k - len(found)
        while len(found) < k and idle < PATIENCE:
            new = self.unseen(draw(n), found)[: k - len(found)]
            found, idle = np.concatenate([found, new]), 0 if len(new) else idle + n
            n = min(2 * n, 1024)
        return found

    def unseen(self, archs: Ints, found: Ints | None = None) -> Ints:
        """Return the rows that are new, each once, in order; those in ``found`` are not new either."""
        taken = set() if found is None else set(self.keys(found))
        places = []
        for place, key in enumerate(self.keys(archs)):
            if key not in self.seen and key not in taken:
                taken.add(key)
                places.append(place)
        return archs[places]

    def around(self, archs: Ints, k: int, found: Ints) -> Ints:
        """Extend ``found`` to ``k`` new architectures near a population, for when mutation finds no more.

        Neighbors are taken first, then neighbors of neighbors, then random ones.
        """
        logger.info("mutation found %d new architectures of %d; taking neighbors", len(found), k)
        for _ in range(2):
            archs = np.concatenate([self.space.neighbors(row) for row in archs])
            new = self.rng.permutation(self.unseen(archs, found))
            found = np.concatenate([found, new[: k - len(found)]])
            if len(found) == k:
                return found
        logger.info("the neighborhood has only %d of %d; taking random ones", len(found), k)
        return self.random(k, found)

    def state_dict(self) -> dict[str, Any]:
        """Return the trial as plain values."""
        return {
            "rng": self.rng.bit_generator.state,
            "archs": [row.tolist() for row in self.archs],
            "losses": list(self.losses),
            "place": [list(item) for item in self.place.items()],
            "seen": sorted(self.seen),
            "count": self._count,
            "pending": [[key, list(asked)] for key, asked in self._pending.items()],
            "inbox": [[asked, key, row.tolist(), loss] for asked, key, row, loss in self._inbox],
            "own": self.own_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the trial of a ``state_dict``."""
        self.rng.bit_generator.state = state["rng"]
        self.archs, self.losses = [_row(row) for row in state["archs"]], list(state["losses"])
        self.place, self.seen = dict(state["place"]), set(state["seen"])
        self._count, self._pending = state["count"], {key: list(asked) for key, asked in state["pending"]}
        self._inbox = [(asked, key, _row(row), loss) for asked, key, row, loss in state["inbox"]]
        self.load_own_state(state["own"])


def chosen(name: str | None, known: Sequence[str], option: str) -> str:
    """Return the chosen name, or the space's default; an unknown one raises ``ConfigError``."""
    try:
        return known[0] if name is None else choose(name, known, option)
    except InputError as error:
        raise ConfigError(option, str(error)) from None


def _row(codes: Sequence[int]) -> NDArray[np.integer]:
    """Return one architecture of a list of integers."""
    return np.array(codes, np.int64)
