"""Regularized evolution (Real et al. 2019)."""

from typing import Any

import numpy as np
from numpy.random import Generator

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.nas.algorithms.base import Algorithm, chosen
from sevenfold.nas.spaces.base import Ints, Space
from sevenfold.ranges import Count, Scale


class RegularizedEvolution(Algorithm):
    """Evaluate mutants of good architectures, each the best of a few drawn from the latest evaluations.

    Of several losses every evaluation may be a parent, and the best is the first by rank and crowding.

    Args:
        population: number of latest evaluations that may become parents.
        tournament: members of the population drawn with replacement, of which the best becomes a parent.
        rate: rate of mutation.
        mutation: kind of mutation, one of the space's ``mutations``; null: its first.
        cutoff: coordinates that a truncated mutation may change, the leading ones; null: its default.
        allow_repeats: evaluate a child that was evaluated before again, at full cost, as in the papers' code;
            otherwise the child of another tournament replaces it.

    >>> import numpy as np
    >>> from sevenfold.nas import NB201, RegularizedEvolution, run_trials
    >>> search = RegularizedEvolution(NB201(), np.random.default_rng(0), population=20, tournament=5)
    >>> (trace,) = run_trials([search], lambda archs: archs.sum(axis=1), budget=100)
    >>> bool(trace.losses[50:].mean() < trace.losses[:10].mean())
    True
    """

    def __init__(
        self,
        space: Space,
        rng: Generator,
        *,
        num_init: Count = 10,
        population: Count = 30,
        tournament: Count = 10,
        rate: Scale = 1.0,
        mutation: str | None = None,
        cutoff: Count | None = None,
        sampling: str | None = None,
        allow_repeats: bool = False,
    ) -> None:
        super().__init__(space, rng, num_init=num_init, sampling=sampling)
        self.population, self.tournament, self.rate = population, tournament, rate
        self.mutation = chosen(mutation, space.mutations, "mutation")
        self.allow_repeats = allow_repeats
        self.cut: dict[str, Any] = {} if cutoff is None else {"cutoff": cutoff}
        if self.cut:
            self._check_cutoff()

    def propose(self, k: int) -> Ints:
        """Return the initial design, then children."""
        if (design := self.design(k)) is not None:
            return design
        if self.allow_repeats:
            return self._children(k)
        children = self.collect(k, self._children)
        return children if len(children) == k else self.around(self.archs[self.best(1)[0]][None], k, children)

    def _children(self, n: int) -> Ints:
        # The youngest may be parents, however good older ones were: that is what regularizes.
        # Of several losses all may: the front would die of age.
        young = slice(0 if self.vectors else -self.population, None)
        losses, archs = np.array(self.losses[young]), self.archs[young]
        # All tournaments of a batch at once.
        drawn = self.rng.integers(len(losses), size=(n, self.tournament))
        winners = drawn[np.arange(n), losses[drawn].argmin(axis=1)]
        parents = np.stack([archs[winner] for winner in winners])
        return self.space.mutate(parents, self.rng, rate=self.rate, kind=self.mutation, **self.cut)

    def _check_cutoff(self) -> None:
        example = np.random.default_rng(0)
        try:
            self.space.mutate(self.space.sample(example, 1), example, kind=self.mutation, **self.cut)
        except TypeError:
            message = f"{type(self.space).__name__} has no truncated mutation with a cutoff"
            raise ConfigError("cutoff", message) from None
        except InputError as error:
            raise ConfigError("cutoff", str(error)) from None
