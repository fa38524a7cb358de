"""The set of candidates that a search with a model chooses from."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from sevenfold.config import ConfigError
from sevenfold.nas.algorithms.base import Algorithm
from sevenfold.nas.spaces.base import Enumerable, Ints
from sevenfold.ranges import Count, Scale

Mode = Literal["mutation", "mutation_random", "random", "edits", "all"]


MIXED: Mapping[str, Any] = MappingProxyType({"mode": "mutation_random", "num": 200})
"""Candidates of the presets ``mixed``: mutants alone are worse than random ones for long on numbers."""


@dataclass(frozen=True)
class Candidates:
    """Set of candidates: mutants of the best evaluations, random architectures, or the whole space.

    Args:
        mode: ``mutation``, mutants of the best evaluations; ``mutation_random``, these and random
            architectures; ``random``, random architectures; ``edits``, mutants of the best at every rate up
            to ``edits``; ``all``, the whole space, where it can be listed.
        num: random architectures in the set; also the mutants made of one parent, and the size from which no
            other parent is mutated.
        parents: number of best evaluations that are mutated, the best first; of several losses twice as many,
            and at least the whole front, share the mutants.
        rate: rate of mutation in the modes ``mutation`` and ``mutation_random``.
        edits: highest rate of mutation in the mode ``edits``.
        repeats: mutants of each parent at each rate in the mode ``edits``.
        allow_repeats: keep mutants that were evaluated before or occur twice, in the modes ``mutation`` and
            ``mutation_random``.
    """

    mode: Mode = "mutation"
    num: Count = 100
    parents: Count = 5
    rate: Scale = 1.0
    edits: Count = 19
    repeats: Count = 5
    allow_repeats: bool = False

    def draw(self, trial: Algorithm, mutation: str) -> Ints:
        """Return the candidates of a trial, each once; none where mutation brings nothing new."""
        candidates: Ints = np.empty((0, trial.space.width), np.int8)
        if self.mode == "all":
            if not isinstance(trial.space, Enumerable):
                raise ConfigError("candidates.mode", "'all' needs a space that can be listed")
            return trial.unseen(trial.space.archs(np.arange(trial.space.size or 0)))
        if self.mode == "edits":
            candidates = self._edited(trial, mutation)
        elif self.mode != "random":
            candidates = self._mutated(trial, mutation)
        if self.mode in ("random", "mutation_random"):
            candidates = trial.random(len(candidates) + self.num, candidates)
        return candidates

    def _mutated(self, trial: Algorithm, mutation: str) -> Ints:
        mutated: Ints = np.empty((0, trial.space.width), np.int8)
        # Of several losses the whole front is mutated, each point of it a little.
        spread = bool(trial.vectors)
        parents = max(2 * self.parents, len(trial.front())) if spread else self.parents
        each = max(1, self.num // self.parents) if spread else self.num
        for place in trial.best(parents):
            if len(mutated) >= self.num and not spread:
                break
            # Mutations of the best evaluations as candidates, as BANANAS chose by its ablation (White,
            # Neiswanger and Savani 2021).
            mutants = np.repeat(trial.archs[place][None], each, axis=0)
            mutants = trial.space.mutate(mutants, trial.rng, rate=self.rate, kind=mutation)
            mutated = np.concatenate(
                [mutated, mutants if self.allow_repeats else trial.unseen(mutants, mutated)]
            )
        return mutated

    def _edited(self, trial: Algorithm, mutation: str) -> Ints:
        parents = np.stack([trial.archs[place] for place in trial.best(self.parents)])
        parents = np.repeat(parents, self.repeats, axis=0)
        rates = range(1, self.edits + 1)
        mutants = [trial.space.mutate(parents, trial.rng, rate=rate, kind=mutation) for rate in rates]
        return trial.unseen(np.concatenate(mutants))
