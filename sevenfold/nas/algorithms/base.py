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
from sevenfold.nas.constraints import feasible_first
from sevenfold.nas.pareto import crowding, front, ranks
from sevenfold.nas.spaces.base import Enumerable, Ints, Space, choose
from sevenfold.ranges import Checked

logger = logging.getLogger(__name__)

PATIENCE = 4096
"""Draws in a row without anything new after which a way of drawing counts as exhausted."""


VERSION = 2
"""Of ``state_dict``: 1 had no rows of pending keys and no counts of repeats."""

Loss = float | list[float]
"""Of one evaluation: a number, or several."""


class Algorithm(Checked, ABC):
    """One trial of a search that minimizes a loss.

    ``ask(k)`` proposes up to ``k`` architectures to evaluate; fewer where the algorithm needs their losses
    first or the space ends, and none only when there is nothing left to propose. ``tell`` takes losses of
    any evaluations, proposed or not (a warm start), in any order: those between two calls of ``ask`` have
    the same effect however they are ordered or divided. ``ask`` does not wait for outstanding answers:
    ``pending`` lists what is out, ``give_back`` forgets some of it. A loss of an architecture that is known
    and not out is a repeat, another training of it: ``losses`` then holds the mean of those that succeeded.

    Losses are numbers, (n,), or several numbers of each architecture, (n, m), all to be minimized. Of several
    the search looks for the front: ``vectors`` holds them, and ``losses`` the place of each evaluation in the
    order of Deb et al. 2002, by rank, then the least crowded. A NaN or infinite one is a failure. Where
    ``bounded``, a violation of constraints (0 where all hold) follows the losses of each architecture, and
    those that violate some come after all others (:func:`sevenfold.nas.constraints.feasible_first`).

    Architectures are identified by ``space.keys`` and proposed once, unless a subclass says otherwise. All
    draws come from ``rng``. After any call, ``state_dict`` holds the trial as plain values that JSON can
    write, and ``load_state_dict`` of an algorithm with the same space and options continues it exactly.

    Args:
        space: search space.
        rng: random numbers of the trial.
        num_init: random architectures that are evaluated first.
        sampling: how random architectures are drawn, one of the space's ``samplings``; null: its first.
    """

    k: int = 1
    """Proposals at once by default."""

    several_losses = True
    """Whether it can search for a front."""

    bounded = False
    """Whether the last number of each evaluation is its violation of constraints."""

    def __init__(
        self, space: Space, rng: Generator, *, num_init: int = 1, sampling: str | None = None
    ) -> None:
        self.space, self.rng, self.num_init = space, rng, num_init
        self.sampling = chosen(sampling, space.samplings, "sampling")
        self.archs: list[Ints] = []
        """What was told, in the order it was asked; ``losses`` has the values, NaN having become infinite."""
        self.losses: list[float] = []
        self.vectors: list[list[float]] = []
        """The several losses of each evaluation; empty where there is one."""
        self.measured: list[list[float]] = []
        """Where ``bounded``: losses and violation of each evaluation, as they were given."""
        self.counts: list[int] = []
        """How many losses that did not fail each entry of ``losses`` is the mean of, 1 at least."""
        self.place: dict[int, int] = {}
        """Where the evaluation of a key stands in ``archs``; the last one if there are several."""
        self.seen: set[int] = set()
        """Keys asked or told."""
        self._count = 0
        self._losses = 0  # of each architecture; 0 before the first is known
        self._pending: dict[int, list[int]] = {}
        self._asked: dict[int, Ints] = {}  # the rows of pending keys
        self._repeats: list[tuple[int, Loss]] = []
        self._inbox: list[tuple[float, int, Ints, Loss]] = []

    @abstractmethod
    def propose(self, k: int) -> Ints:
        """Return up to ``k`` architectures; the history holds every evaluation."""

    def own_state(self) -> dict[str, Any]:
        """Return what a subclass remembers beside the history, as plain values."""
        return {}

    def load_own_state(self, state: Mapping[str, Any]) -> None:  # noqa: B027  (most remember nothing more)
        """Restore ``own_state``."""

    @classmethod
    def propose_together(cls, trials: Sequence[Self], counts: Sequence[int]) -> list[Ints]:
        """Propose for several trials; what each proposes does not depend on the others."""
        return [trial.propose(k) for trial, k in zip(trials, counts, strict=True)]

    @classmethod
    def ask_together(cls, trials: Sequence[Self], counts: Sequence[int]) -> list[Ints]:
        """Ask several trials with the same options at once: the same as one after another, but faster."""
        for trial, k in zip(trials, counts, strict=True):
            trial.absorb(k)
        batches = cls.propose_together(trials, counts)
        keys = iter(trials[0].keys(np.concatenate(batches)))
        for trial, archs in zip(trials, batches, strict=True):
            trial._mark([next(keys) for _ in archs], archs)
        return batches

    @classmethod
    def tell_together(
        cls, trials: Sequence[Self], archs: Sequence[Ints], losses: Sequence[NDArray[np.float64]]
    ) -> None:
        """Tell several trials at once; minus infinity is refused, because nothing could be better."""
        for rows, values in zip(archs, losses, strict=True):
            if (wrong := np.flatnonzero(np.isneginf(values).any(axis=tuple(range(1, values.ndim))))).size:
                raise InputError(f"the loss of {rows[wrong[0]].tolist()} is -inf; a failure is NaN or +inf")
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
        if values.ndim not in (1, 2) or len(values) != len(archs):
            raise InputError(f"{len(archs)} architectures need as many losses, got shape {values.shape}")
        self.tell_together([self], [archs], [values])

    def keys(self, archs: Ints) -> list[int]:
        """Return the keys of a population, which may be empty."""
        return self.space.keys(archs).tolist() if len(archs) else []

    def _hear(self, key: int, row: Ints, loss: Loss) -> None:
        loss = self._checked(loss)
        if orders := self._pending.get(key):
            self._inbox.append((orders.pop(0), key, row, loss))
            if not orders:
                del self._pending[key]
                self._asked.pop(key, None)
        elif key not in self.seen:
            self._inbox.append((math.inf, key, row, loss))
            self.seen.add(key)
        elif np.isfinite(loss).all():
            self._repeats.append((key, loss))

    def _checked(self, loss: Loss) -> Loss:
        """Return a loss as it is remembered: one in a list is that one, several fail together."""
        if isinstance(loss, list) and len(loss) == 1:
            loss = loss[0]
        number = (len(loss) if isinstance(loss, list) else 1) - self.bounded
        self._losses = self._losses or number
        if number != self._losses:
            raise InputError(f"{number} losses of an architecture, where the first had {self._losses}")
        if not isinstance(loss, list):
            return loss
        if not self.several_losses and number > 1:
            raise InputError(f"{type(self).__name__} minimizes one loss, got {number} of each architecture")
        return loss if np.isfinite(loss).all() else [math.inf] * len(loss)

    @property
    def pending(self) -> Ints:
        """Proposals without a loss yet, (m, width), the earliest first."""
        keys = sorted(self._asked, key=lambda key: self._pending[key][0])
        rows = [self._asked[key] for key in keys for _ in self._pending[key]]
        return np.array(rows, np.int64).reshape(-1, self.space.width)

    def give_back(self, archs: Ints) -> None:
        """Forget proposals that will not be evaluated; they may be proposed again.

        ``InputError`` names the first that is not out.
        """
        archs = self.space.checked(archs)
        known = {key for _, key, _, _ in self._inbox} | self.place.keys()
        for key, row in zip(self.keys(archs), archs, strict=True):
            if key not in self._pending:
                raise InputError(f"{row.tolist()} is not out; 'pending' lists what is")
            self._pending[key].pop()
            if not self._pending[key]:
                del self._pending[key]
                self._asked.pop(key, None)
                self.seen -= {key} - known

    def absorb(self, k: int) -> None:
        """Add new evaluations to the history, in the order of their proposals; check ``k``."""
        if k < 1:
            raise InputError(f"ask for at least one architecture, not {k}")
        for _, key, row, loss in sorted(self._inbox, key=lambda told: told[:2]):
            self.place[key] = len(self.archs)
            self.archs.append(row)
            self.counts.append(1)
            if isinstance(loss, list):
                (self.measured if self.bounded else self.vectors).append(loss)
            else:
                self.losses.append(math.inf if math.isnan(loss) else loss)
        news = len(self._inbox) + len(self._repeats)
        self._inbox.clear()
        for key, loss in sorted(self._repeats):
            self._repeat(self.place[key], loss)
        self._repeats.clear()
        if self.measured and news:
            feasible = feasible_first(np.array(self.measured))
            self.losses, self.vectors = feasible[:, 0].tolist(), []
            if self._losses > 1:
                self.vectors = feasible.tolist()
        if self.vectors and news:
            self.losses = self._places()

    def _places(self) -> list[float]:
        """Return the place of each evaluation in the order of several losses; failures are infinite."""
        points = np.array(self.vectors)
        failed = np.isinf(points).any(1)
        rank = ranks(np.where(failed[:, None], np.nan, points))
        gap = np.zeros(len(points))
        for level in np.unique(rank[~failed]):
            members = np.flatnonzero((rank == level) & ~failed)
            gap[members] = crowding(points[members])
        # The crowded comparison: rank, then distance (Deb et al. 2002, section III-C); the earlier of equals.
        places = np.empty(len(points))
        places[np.lexsort((-gap, rank))] = np.arange(len(points))
        places[failed] = math.inf
        return places.tolist()

    def front(self) -> set[int]:
        """Return the places in the history of the evaluations that no other dominates, of several losses."""
        points = np.array(self.vectors)
        return set(np.flatnonzero(front(np.where(np.isinf(points), np.nan, points))).tolist())

    def _repeat(self, place: int, loss: Loss) -> None:
        """Take another loss of an evaluation into its mean, unless that one failed."""
        known: list[Any] = self.measured or self.vectors or self.losses
        # After a failure the first success is the value, not the mean with infinity.
        if not np.isfinite(known[place]).all():
            known[place] = loss
            return
        self.counts[place] += 1
        count = self.counts[place]
        if isinstance(loss, list):
            pairs = zip(known[place], loss, strict=True)
            known[place] = [(old * (count - 1) + new) / count for old, new in pairs]
        else:
            known[place] = (known[place] * (count - 1) + loss) / count

    def _mark(self, keys: Sequence[int], archs: Ints) -> None:
        """Note what is proposed."""
        for key, row in zip(keys, archs, strict=True):
            self._pending.setdefault(key, []).append(self._count)
            self._asked[key] = row
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

        Evaluations from outside count; while no loss is known, more random ones follow.
        """
        missing = self.num_init - len(self.seen)
        if missing > 0:
            return self.random(min(k, missing))
        return None if self.losses else self.random(k)

    def random(self, k: int, archs: Ints | None = None) -> Ints:
        """Extend ``archs`` to ``k`` new architectures by random ones; to fewer if the space has no more."""
        archs = self.collect(k, lambda n: self.space.sample(self.rng, n, method=self.sampling), archs)
        if len(archs) < k and isinstance(self.space, Enumerable) and self.sampling == "uniform":
            rest = self.unseen(self.space.archs(np.arange(self.space.size or 0)), archs)
            archs = np.concatenate([archs, self.rng.permutation(rest)[: k - len(archs)]])
        return archs

    def collect(self, k: int, draw: Callable[[int], Ints], archs: Ints | None = None) -> Ints:
        """Extend ``archs`` by what ``draw(n)`` brings until ``k`` different architectures are new, or
        ``PATIENCE`` draws brought none.
        """
        archs, idle = np.empty((0, self.space.width), np.int8) if archs is None else archs, 0
        n = k - len(archs)
        while len(archs) < k and idle < PATIENCE:
            new = self.unseen(draw(n), archs)[: k - len(archs)]
            archs, idle = np.concatenate([archs, new]), 0 if len(new) else idle + n
            n = min(2 * n, 1024)
        return archs

    def unseen(self, archs: Ints, others: Ints | None = None) -> Ints:
        """Return the rows that are new, each once, in order; those in ``others`` do not count as new."""
        taken = set() if others is None else set(self.keys(others))
        places = []
        for place, key in enumerate(self.keys(archs)):
            if key not in self.seen and key not in taken:
                taken.add(key)
                places.append(place)
        return archs[places]

    def around(self, archs: Ints, k: int, start: Ints) -> Ints:
        """Extend ``start`` to ``k`` new architectures near a population, where mutation has no more.

        Neighbors are taken first, then neighbors of neighbors, then random ones.
        """
        logger.info("mutation found %d new architectures of %d; taking neighbors", len(start), k)
        for _ in range(2):
            archs = np.concatenate([self.space.neighbors(row) for row in archs])
            new = self.rng.permutation(self.unseen(archs, start))
            start = np.concatenate([start, new[: k - len(start)]])
            if len(start) == k:
                return start
        logger.info("the neighborhood has only %d of %d; taking random ones", len(start), k)
        return self.random(k, start)

    def state_dict(self) -> dict[str, Any]:
        """Return the trial as plain values."""
        return {
            "version": VERSION,
            "rng": self.rng.bit_generator.state,
            "archs": [row.tolist() for row in self.archs],
            "losses": list(self.losses),
            "vectors": [list(vector) for vector in self.vectors],
            "measured": [list(vector) for vector in self.measured],
            "counts": list(self.counts),
            "place": [list(item) for item in self.place.items()],
            "seen": sorted(self.seen),
            "count": self._count,
            "number": self._losses,
            "pending": [[key, list(order)] for key, order in self._pending.items()],
            "asked": [[key, row.tolist()] for key, row in self._asked.items()],
            "repeats": [list(repeat) for repeat in self._repeats],
            "inbox": [[order, key, row.tolist(), loss] for order, key, row, loss in self._inbox],
            "own": self.own_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the trial of a ``state_dict``; one of before versions has no rows of what is out."""
        if (version := state.get("version", 1)) > VERSION:
            raise InputError(f"the state has version {version}, this program reads up to {VERSION}")
        self.rng.bit_generator.state = state["rng"]
        self.archs, self.losses = [_row(row) for row in state["archs"]], list(state["losses"])
        self.vectors = [list(vector) for vector in state.get("vectors", [])]
        self.measured = [list(vector) for vector in state.get("measured", [])]
        self.counts = list(state.get("counts", [1] * len(self.losses)))
        self._asked = {key: _row(row) for key, row in state.get("asked", [])}
        self._repeats = [(key, loss) for key, loss in state.get("repeats", [])]
        self.place, self.seen = dict(state["place"]), set(state["seen"])
        self._count, self._pending = state["count"], {key: list(order) for key, order in state["pending"]}
        self._inbox = [(order, key, _row(row), loss) for order, key, row, loss in state["inbox"]]
        self._losses = state.get("number", int(bool(self.losses or self._inbox)))
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
