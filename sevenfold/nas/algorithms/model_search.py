"""The loop of every search with a model: random architectures, then candidates that the model prefers."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.random import Generator

from sevenfold.config import below, build, overlay, validate
from sevenfold.nas.algorithms import SURROGATES, CandidatesNode, SurrogateNode
from sevenfold.nas.algorithms.base import Algorithm, chosen
from sevenfold.nas.algorithms.candidates import Candidates
from sevenfold.nas.algorithms.surrogate import Round, Surrogate
from sevenfold.nas.spaces.base import Ints, Space, choose
from sevenfold.ranges import Count, Size


class ModelSearch(Algorithm):
    """Evaluate the candidates that the surrogate scores lowest.

    Random evaluations come first. Then every ask draws candidates and lets the surrogate choose among them:
    sampling, mutation and model have an encoding each. Many trials at once share one call of the surrogate
    (``ask_together``). A subclass is a set of ``presets``.

    Args:
        preset: set of defaults, one of those that the algorithm lists; null: its first, or, where no
            option of the surrogate is set and the space has no paths, ``mixed``, if it lists that.
        num_init: random architectures that are evaluated first; null: as in the preset, 10 in most.
        k: architectures evaluated between two fits of the surrogate; null: as in the preset, 10 in most.
        candidates: options of the set that candidates are chosen from, merged into the preset's.
        surrogate: model that scores candidates; its options are merged into the preset's unless it has
            another name.
        mutation: kind of mutation that makes candidates, one of the space's ``mutations``; null: as in the
            preset, else the space's first.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]]

    def __init__(
        self,
        space: Space,
        rng: Generator,
        *,
        preset: str | None = None,
        num_init: Count | None = None,
        k: Size | None = None,
        candidates: CandidatesNode = {},  # noqa: B006
        surrogate: SurrogateNode = {},  # noqa: B006
        mutation: str | None = None,
        sampling: str | None = None,
    ) -> None:
        first = next(iter(self.presets)) if surrogate else self.default_preset(space)
        names = [first, *self.presets]
        self.preset_name = chosen(preset, names, "preset")
        base = {"num_init": 10, "k": 10, **self.preset(self.preset_name, space)}
        super().__init__(
            space, rng, num_init=base["num_init"] if num_init is None else num_init, sampling=sampling
        )
        self.k = base["k"] if k is None else k
        options = {**base.get("candidates", {}), **candidates}
        self.candidates = Candidates(**validate(Candidates, options, "candidates"))
        self.mutation = chosen(mutation or base.get("mutation"), space.mutations, "mutation")
        self.surrogate: Surrogate = build(SURROGATES, overlay(base["surrogate"], surrogate), "surrogate")
        with below("surrogate"):
            self.surrogate.check(space)

    @classmethod
    def default_preset(cls, space: Space) -> str:
        """Return the name of the preset where none is chosen."""
        return "mixed" if "mixed" in cls.presets and not space.has_paths else next(iter(cls.presets))

    @classmethod
    def preset(cls, name: str, space: Space) -> dict[str, Any]:
        """Return the options of a preset on a space: a mutation that the space lacks is left out."""
        # A copy: presets are shared by all trials.
        options = dict(cls.presets[choose(name, list(cls.presets), "preset")])
        if options.get("mutation") not in space.mutations:
            options.pop("mutation", None)
        return options

    def propose(self, k: int) -> Ints:
        """Return the initial design, then what the surrogate chooses."""
        return self.propose_together([self], [k])[0]

    @classmethod
    def propose_together(cls, trials: Sequence[Self], counts: Sequence[int]) -> list[Ints]:
        """Propose for several trials, all models of a round as one training."""
        # BANANAS, algorithm 1 (White, Neiswanger and Savani 2021): random architectures, then in every round
        # train the model, draw candidates, evaluate those with the lowest acquisition.
        designs = [trial.design(k) for trial, k in zip(trials, counts, strict=True)]
        searching = [place for place, design in enumerate(designs) if design is None]
        picked = iter(cls._picked([trials[p] for p in searching], [counts[p] for p in searching]))
        return [next(picked) if design is None else design for design in designs]

    @staticmethod
    def _picked(trials: Sequence["ModelSearch"], counts: Sequence[int]) -> list[Ints]:
        """Return the ``k`` candidates of each trial that the surrogate chooses."""
        rounds = [trial._round(k) for trial, k in zip(trials, counts, strict=True)]
        open_rounds = [given for given in rounds if len(given.candidates)]
        if not open_rounds:
            return [given.candidates for given in rounds]
        wanted = [k for given, k in zip(rounds, counts, strict=True) if len(given.candidates)]
        chosen_rows = iter(trials[0].surrogate.choose(trials[0].space, open_rounds, wanted))
        return [
            given.candidates[next(chosen_rows)] if len(given.candidates) else given.candidates
            for given in rounds
        ]

    def _round(self, k: int) -> Round:
        """Return evaluations and at least ``k`` candidates, as far as the space goes."""
        candidates = self.candidates.draw(self, self.mutation)
        if len(candidates) < k and self.candidates.mode != "all":
            parents = np.stack([self.archs[place] for place in self.best(self.candidates.parents)])
            candidates = self.around(parents, k, candidates)
        vectors = np.array(self.vectors) if self.vectors else None
        return Round(np.stack(self.archs), np.array(self.losses), candidates, self.rng, vectors)
