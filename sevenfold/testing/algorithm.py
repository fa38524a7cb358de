"""The contract of a search algorithm."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.config import validate
from sevenfold.errors import InputError
from sevenfold.nas.algorithms.base import Algorithm
from sevenfold.nas.algorithms.run import run_trials
from sevenfold.nas.benchmarks.listed import Listed
from sevenfold.nas.spaces.base import Enumerable, Ints, Space
from sevenfold.nas.spaces.nb201 import NB201
from sevenfold.seeding import numpy_generator
from sevenfold.testing.contract import Check, require, run_checks

WEIGHTS = numpy_generator(0, "test weights").normal(size=(64, 16))
TRIALS = 16
BETTER = 14
"""Random search has at least 14 of 16 trials below another random search with probability .002."""


@dataclass(frozen=True)
class Candidate:
    """An algorithm with its options, and the space it is tried on.

    Args:
        kind: its class.
        space: the search space.
        options: as a configuration has them.
        repeats: whether it may ask for an architecture twice.
    """

    kind: type[Algorithm]
    space: Space
    options: Mapping[str, Any] = field(default_factory=dict)
    repeats: bool = False

    def start(self, count: int = 3, seed: int = 0) -> list[Algorithm]:
        """Return new trials, each with a separate random stream."""
        options = validate(self.kind, self.options, "algorithm", ("space", "rng"))
        streams = [numpy_generator(seed, "trial", i) for i in range(count)]
        return [self.kind(self.space, stream, **options) for stream in streams]

    def losses(self, archs: Ints) -> NDArray[np.float64]:
        """Return a rugged loss that architectures with the same key have in common."""
        if isinstance(self.space, Enumerable):  # one row stands for all that are the same network
            archs = self.space.archs(self.space.index(archs))
        # Sines of random projections: many local minima, and neighbors that say something about each other.
        mixed = (archs[:, :, None] * WEIGHTS[: self.space.width]).sum(axis=1)
        values: NDArray[np.float64] = np.sin(mixed).sum(axis=1)
        return values


def check_algorithm(
    kind: type[Algorithm],
    options: Mapping[str, Any] | None = None,
    *,
    space: Space | None = None,
    learns: bool = True,
    repeats: bool = False,
) -> None:
    """Check that a search algorithm asks within its budget, takes answers in any order, resumes, and learns.

    Args:
        kind: its class, built as ``kind(space, rng, **options)``.
        options: as a configuration has them.
        space: where it is tried; by default the cells of NAS-Bench-201.
        learns: whether it must do better than random search on an easy loss.
        repeats: whether it may ask for an architecture twice.

    >>> from sevenfold.nas.algorithms.local_search import LocalSearch
    >>> check_algorithm(LocalSearch)
    """
    candidate = Candidate(kind, space or NB201(), options or {}, repeats)
    run_checks(CHECKS, candidate)
    if learns:
        run_checks((finds_low_losses,), candidate)
    run_checks((repeated_losses_are_averaged,), candidate)


def budget_is_exact(candidate: Candidate) -> None:
    """It asks for exactly the budget of valid architectures, none of them twice."""
    for k in (1, 7):
        # One at a time and in blocks: an algorithm that counts blocks overshoots in one of the two.
        traces = run_trials(candidate.start(), candidate.losses, budget=50, k=k)
        for trace in traces:
            require(trace.archs.shape == (50, candidate.space.width), f"It asked {trace.archs.shape} of 50.")
            require(candidate.space.is_valid(trace.archs).all(), "It asked for invalid architectures.")
            different = len(np.unique(candidate.space.keys(trace.archs)))
            require(different == 50 or candidate.repeats, f"Of 50 asked only {different} were different.")


def trials_are_independent(candidate: Candidate) -> None:
    """Trials side by side ask what each asks alone, and their random stream decides."""
    together = run_trials(candidate.start(), candidate.losses, budget=40, k=4)
    for trial, trace in zip(candidate.start(), together, strict=True):
        archs: list[Any] = []
        while len(archs) < 40:
            rows = trial.ask(min(4, 40 - len(archs)))
            trial.tell(rows, candidate.losses(rows))
            archs += list(rows)
        require(np.array_equal(archs, trace.archs), "A trial alone asks for others than in a batch.")
    other = run_trials(candidate.start(seed=1), candidate.losses, budget=40, k=4)
    require(not np.array_equal(other[0].archs, together[0].archs), "Another seed asks for the same.")


def order_of_answers_is_irrelevant(candidate: Candidate) -> None:
    """Answers between two asks may come in any order, one by one or together."""
    straight, shuffled = candidate.start(1)[0], candidate.start(1)[0]
    for _ in range(8):
        rows, again = straight.ask(6), shuffled.ask(6)
        require(np.array_equal(rows, again), "Another order of answers leads to other questions.")
        straight.tell(rows, candidate.losses(rows))
        for place in np.random.default_rng(0).permutation(len(rows)):
            shuffled.tell(rows[place : place + 1], candidate.losses(rows[place : place + 1]))


def state_resumes_exactly(candidate: Candidate) -> None:
    """A trial continues exactly from its state, which JSON can write, with answers outstanding."""
    whole, resumed = candidate.start(1)[0], candidate.start(1, seed=9)[0]
    for number in range(16):
        rows = whole.ask(3)
        # With answers outstanding, where forgotten proposals would be asked again.
        if number == 9:
            resumed.load_state_dict(json.loads(json.dumps(whole.state_dict())))
        if number > 9:
            require(np.array_equal(rows, resumed.ask(3)), "The resumed trial asks for others.")
        for trial in [whole, resumed] if number >= 9 else [whole]:
            trial.tell(rows, candidate.losses(rows))
    require(json.dumps(whole.state_dict()) == json.dumps(resumed.state_dict()), "The final states differ.")


def outstanding_proposals_are_remembered(candidate: Candidate) -> None:
    """A restored trial lists what is out in order, learns its losses, and can forget it."""
    whole, restored = candidate.start(1)[0], candidate.start(1, seed=9)[0]
    rows = whole.ask(6)
    while len(rows) < 6:
        rows = np.concatenate([rows, whole.ask(6 - len(rows))])
    whole.tell(rows[:3], candidate.losses(rows[:3]))
    restored.load_state_dict(json.loads(json.dumps(whole.state_dict())))
    for trial in (whole, restored):
        require(np.array_equal(trial.pending, rows[3:]), "'pending' is not what was asked and not told.")
    restored.give_back(rows[5:])
    restored.tell(rows[3:5], candidate.losses(rows[3:5]))
    require(len(restored.pending) == 0, "Told and returned architectures are still out.")
    restored.ask(1)
    require(len(restored.losses) == 5, f"Of 5 losses told it heard {len(restored.losses)}.")


def repeated_losses_are_averaged(candidate: Candidate) -> None:
    """Another loss of a known architecture enters its mean; a failed one does not; -inf is refused."""
    trial = candidate.start(1)[0]
    rows = np.concatenate([trial.ask(1), trial.ask(1)])
    for losses in ([1.0, 2.0], [5.0, 6.0], [np.nan, np.inf]):
        trial.tell(rows, losses)
    trial.ask(1)
    known = (trial.losses, trial.counts) == ([3.0, 4.0], [2, 2])
    require(known, f"Losses 1, 2 and 5, 6 became {trial.losses} of {trial.counts}.")
    try:
        trial.tell(rows, [0.0, -np.inf])
    except InputError:
        return
    require(False, "It takes a loss of minus infinity.")


def small_spaces_end(candidate: Candidate) -> None:
    """Of a space of 81 architectures it asks for each once, then for nothing."""
    if isinstance(candidate.space, Listed):
        for trace in run_trials(candidate.start(2), candidate.losses, budget=100, k=5):
            different = len(np.unique(candidate.space.keys(trace.archs)))
            complete = different == len(trace.archs) == candidate.space.size
            require(complete or candidate.repeats, f"It asked {len(trace.archs)}, {different} different.")


def foreign_evaluations_count(candidate: Candidate) -> None:
    """Evaluations from elsewhere count, and are not proposed again."""
    archs = candidate.space.sample(np.random.default_rng(3), 20)
    trial = candidate.start(1)[0]
    trial.tell(archs, candidate.losses(archs))
    known = set(candidate.space.keys(archs).tolist())
    for _ in range(5):
        rows = trial.ask(5)
        repeated = known & set(candidate.space.keys(rows).tolist())
        require(len(rows), "It asks for nothing.")
        require(candidate.repeats or not repeated, f"It asks again for {len(repeated)} known architectures.")
        trial.tell(rows, candidate.losses(rows))


def failures_do_not_stop_it(candidate: Candidate) -> None:
    """It asks on without answers, and after evaluations that failed (NaN)."""
    trial = candidate.start(1)[0]
    asks = [trial.ask(4) for _ in range(5)]
    require(all(map(len, asks)), "Without answers it asks for nothing.")
    rows = np.concatenate(asks)
    trial.tell(rows, np.full(len(rows), np.nan))
    for _ in range(2):
        rows = trial.ask(3)
        require(len(rows), "After failed evaluations it asks for nothing.")
        trial.tell(rows, [np.nan] * len(rows))
    require(not np.isfinite(trial.losses).any(), "A failed evaluation has a finite loss.")


def finds_low_losses(candidate: Candidate) -> None:
    """Its later evaluations have lower losses than random ones in at least 14 of 16 trials."""
    space = candidate.space
    goal = space.sample(numpy_generator(0, "goal"), 1)

    def distance(archs: Ints) -> NDArray[np.float64]:
        """Return how many coordinates differ from a hidden architecture: smooth and easy."""
        return (archs != goal).sum(axis=1).astype(np.float64)

    traces = run_trials(candidate.start(TRIALS), distance, budget=60, k=5)
    random = [distance(space.sample(numpy_generator(0, "random", i), 30)).mean() for i in range(TRIALS)]
    late = [float(np.mean(trace.losses[30:])) for trace in traces]
    better = sum(own < other for own, other in zip(late, random, strict=True))
    figures = f"mean loss {np.mean(late):.2f} against {np.mean(random):.2f}"
    require(better >= BETTER, f"It was better in {better} of {TRIALS}: {figures}. Does it minimize?")


CHECKS: tuple[Check, ...] = (
    budget_is_exact,
    trials_are_independent,
    order_of_answers_is_irrelevant,
    state_resumes_exactly,
    outstanding_proposals_are_remembered,
    small_spaces_end,
    foreign_evaluations_count,
    failures_do_not_stop_it,
)
