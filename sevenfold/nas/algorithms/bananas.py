"""BANANAS (White, Neiswanger and Savani 2021): mutants of the best, chosen by a model of the loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.random import Generator

from sevenfold.config import ConfigError, build
from sevenfold.nas.algorithms import SURROGATES
from sevenfold.nas.algorithms.base import Algorithm, chosen
from sevenfold.nas.algorithms.surrogate import Round, Surrogate
from sevenfold.nas.spaces.base import Ints, Space


@dataclass(frozen=True)
class Candidates:
    """Say what is chosen from: ``num`` mutants of each of the ``parents`` best in turn, at ``rate``, without
    what is known, until there are ``num``.
    """

    num: int = 100
    parents: int = 5
    rate: float = 1.0

    def __post_init__(self) -> None:
        for name in ("num", "parents"):
            if getattr(self, name) < 1:
                raise ConfigError(name, f"must be at least 1, got {getattr(self, name)}")


PICK = {"name": "random"}


class Bananas(Algorithm):
    """Evaluate the candidates that the surrogate scores lowest.

    ``num_init`` random evaluations come first, then ``k`` at a time unless asked for others. Every ask makes
    candidates by the space's mutation ``mutation`` (its first by default) and lets ``surrogate``, a component
    of ``SURROGATES``, choose; many trials at once share one call of it (``ask_together``). The surrogate
    ``random`` is the ablation without a model.
    """

    def __init__(
        self,
        space: Space,
        rng: Generator,
        *,
        num_init: int = 10,
        k: int = 10,
        candidates: Candidates = Candidates(),
        surrogate: dict[str, Any] = PICK,
        mutation: str | None = None,
        sampling: str | None = None,
    ) -> None:
        super().__init__(space, rng, num_init=num_init, sampling=sampling)
        if k < 1:
            raise ConfigError("k", f"must be at least 1, got {k}")
        self.candidates, self.k = candidates, k
        self.mutation = chosen(mutation, space.mutations, "mutation")
        self.surrogate: Surrogate = build(SURROGATES, surrogate, "surrogate")

    def propose(self, k: int) -> Ints:
        """Return the initial design, then what the surrogate chooses."""
        return self.propose_together([self], [k])[0]

    @classmethod
    def propose_together(cls, trials: Sequence[Self], counts: Sequence[int]) -> list[Ints]:
        """Propose for several trials, all models of a round as one training."""
        designs = [trial.design(k) for trial, k in zip(trials, counts, strict=True)]
        searching = [place for place, design in enumerate(designs) if design is None]
        chosen = iter(cls._chosen([trials[p] for p in searching], [counts[p] for p in searching]))
        return [next(chosen) if design is None else design for design in designs]

    @staticmethod
    def _chosen(trials: Sequence["Bananas"], counts: Sequence[int]) -> list[Ints]:
        """Return the ``k`` candidates of each trial with the lowest scores."""
        if not trials:
            return []
        rounds = [trial._round(k) for trial, k in zip(trials, counts, strict=True)]
        scores = trials[0].surrogate.scores(trials[0].space, rounds)
        return [
            given.candidates[np.argsort(score, kind="stable")[:k]]
            for given, score, k in zip(rounds, scores, counts, strict=True)
        ]

    def _round(self, k: int) -> Round:
        """Return evaluations and at least ``k`` candidates, as far as the space goes."""
        found: Ints = np.empty((0, self.space.width), np.int8)
        parents = np.stack([self.archs[place] for place in self.best(self.candidates.parents)])
        for parent in parents:
            if len(found) >= self.candidates.num:
                break
            mutants = np.repeat(parent[None], self.candidates.num, axis=0)
            mutants = self.space.mutate(mutants, self.rng, rate=self.candidates.rate, kind=self.mutation)
            found = np.concatenate([found, self.unseen(mutants, found)])
        if len(found) < k:
            found = self.around(parents, k, found)
        return Round(np.stack(self.archs), np.array(self.losses), found, self.rng)
