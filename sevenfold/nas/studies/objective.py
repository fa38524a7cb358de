"""Search algorithms side by side on an objective that trains what it is given."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from sevenfold.config import ConfigError, below, build
from sevenfold.errors import InputError
from sevenfold.executors import CallsNode
from sevenfold.nas.algorithms import AlgorithmNode
from sevenfold.nas.algorithms.run import start_trials
from sevenfold.nas.objectives import load_objective, locate_objective
from sevenfold.nas.problem import Problem, open_problem
from sevenfold.nas.rehearsal import Rehearsal
from sevenfold.nas.running import make_calls
from sevenfold.nas.spaces import SPACES, SpaceNode
from sevenfold.nas.spaces.base import Space
from sevenfold.nas.studies.search_figures import draw_all
from sevenfold.nas.studies.search_summary import by_group, everything, headline, scalars, verdict
from sevenfold.ranges import Count, NonNegativeInt, OpenShare, Scale
from sevenfold.records import Record
from sevenfold.report import format_value
from sevenfold.seeding import stream_seed
from sevenfold.study import Context, Piece, Report, Section, Study, Table


@dataclass(frozen=True)
class Further:
    """Further trainings of the best architectures, with other seeds, at the end of the budget.

    Args:
        max: trainings of one architecture at most; 1: none is trained again.
        last: share of the budget that goes to them.
    """

    max: Count = 1
    last: OpenShare = 0.07


@dataclass(frozen=True)
class Search(Piece):
    """One search: a trial of the algorithm ``group``."""

    trial: int


class ObjectiveSearchStudy(Study[Search]):
    """Compare search algorithms on an objective of your own, each search with a journal in the run folder.

    A search is a :class:`sevenfold.nas.problem.Problem` in ``searches/LABEL/TRIAL``: after a kill at any
    moment the same command continues it, no finished training is repeated, and results are those of a run
    that was never interrupted.

    Args:
        space: name and options of the search space.
        objective: ``module:function`` of a file below the working directory (see
            :meth:`sevenfold.nas.problem.Problem.run`); null: distances from random architectures in place of
            trainings, to try a recipe.
        algorithms: search algorithms, name and options of each by the label it is reported under; null
            removes one that a base file brought in.
        minimize: name of the value that is minimized.
        budget: trainings in each search.
        trials: searches of each algorithm.
        epochs: what the objective is given as ``trial.epochs``; null: nothing.
        seeds: further trainings of the best.
        workers: where trainings are computed: ``here``, or ``processes`` with a number of workers.
        trial_seconds: after which a training is ended and has failed; null: never.
        retries: how often a failed training is repeated.
        changed: continue although the objective's file is another than in the journals.
        reference: label of an algorithm that the best one is compared with too; null: none.

    >>> from sevenfold.nas import ObjectiveSearchStudy
    >>> space = {"name": "typed", "parameters": {"x": {"float": [0, 1]}, "c": {"choice": ["a", "b"]}}}
    >>> study = ObjectiveSearchStudy(space=space, algorithms={"random": {"name": "random"}}, budget=20)
    >>> (record,) = study.run_all()
    >>> record["evaluations"], record["val_loss"] == min(record["val_curve"])
    (20, True)
    """

    devices = "cpu"
    timing = ("training_seconds",)
    running = ("val_loss",)

    def __init__(
        self,
        *,
        space: SpaceNode,
        objective: str | None = None,
        algorithms: dict[str, AlgorithmNode | None],
        minimize: str = "loss",
        budget: Count = 60,
        trials: Count = 1,
        epochs: Count | None = None,
        seeds: Further = Further(),
        workers: CallsNode = {"name": "here"},  # noqa: B006 (never changed)
        trial_seconds: Scale | None = None,
        retries: NonNegativeInt = 1,
        changed: bool = False,
        reference: str | None = None,
    ) -> None:
        self.algorithms = {label: node for label, node in algorithms.items() if node is not None}
        if not self.algorithms:
            raise ConfigError("algorithms", "none is left; name one, such as {random: {name: random}}")
        if reference is not None and reference not in self.algorithms:
            raise ConfigError("reference", f"'{reference}' is no label of {', '.join(self.algorithms)}")
        self.space_node, self.objective, self.minimize = space, objective, minimize
        self.budget, self.trials, self.epochs, self.seeds = budget, trials, epochs, seeds
        self.workers, self.trial_seconds, self.retries = workers, trial_seconds, retries
        self.changed, self.reference = changed, reference

    @cached_property
    def space(self) -> Space:
        """The search space."""
        space: Space = build(SPACES, self.space_node, "space")
        return space

    def check(self) -> None:
        """Load the objective, make the workers and start every algorithm once."""
        for label, node in self.algorithms.items():
            start_trials(node, self.space, [np.random.default_rng(0)], f"algorithms.{label}")
        if self.trial_seconds is not None and not make_calls(self.workers).limits:
            raise ConfigError(
                "trial_seconds", "needs worker processes: workers={name: processes, workers: 2}"
            )
        if self.objective is not None:
            load_objective(locate_objective(self.objective))

    def pieces(self) -> Sequence[Search]:
        """Return one piece a search."""
        return [
            Search((f"{label}/{trial:05d}",), label, trial)
            for label in self.algorithms
            for trial in range(self.trials)
        ]

    def run(self, piece: Search, context: Context) -> list[Record]:
        """Search until the budget is used up, or go on with what a journal holds."""
        (key,) = piece.keys
        options = {
            "space": dict(self.space_node),
            "algorithm": dict(self.algorithms[piece.group]),
            # By trial alone: random designs and training seeds are the same for every algorithm.
            "seed": stream_seed(context.seed, "objective search", piece.trial),
            "budget": self.budget,
            "retries": self.retries,
            "minimize": self.minimize,
            "epochs": self.epochs,
            "seeds": 1 if self.seeds.max == 1 else {"max": self.seeds.max, "last": self.seeds.last},
        }
        with below("study"), open_problem(context.folder / "searches" / key, **options) as problem:
            problem.run(
                self.objective or Rehearsal(self.space, [self.minimize]),
                changed=self.changed,
                workers=self.workers,
                trial_seconds=self.trial_seconds,
                stopping=context.stopping,
            )
            return [] if context.stopping() else [self._record(piece, problem, context.seed)]

    def _record(self, piece: Search, problem: Problem, seed: int) -> Record:
        """Return what is recorded of a finished search, from its journal alone."""
        node, losses = self.algorithms[piece.group], [loss for _, loss in sorted(problem.losses.items())]
        finite = [loss for loss in losses if not math.isnan(loss)]
        if not finite:
            whys = [event["why"] for event in problem.journal.events if event["event"] == "failed"]
            raise InputError(f"all {len(losses)} trainings failed, the last one: {whys[-1]}")
        # Until a first success the worst loss stands in the curve: a failure counts as the worst.
        curve = accumulate((max(finite) if math.isnan(loss) else loss for loss in losses), min)
        config, loss = problem.best()
        return {
            "key": piece.keys[0],
            "group": piece.group,
            "trial": piece.trial,
            "label": self.minimize,
            "algorithm": node["name"],
            "preset": getattr(problem.algorithm, "preset_name", None),
            "space": self.space_node["name"],
            "seed": seed,
            "budget": self.budget,
            "winner": config,
            "val_loss": loss,
            "queries": list(range(1, len(losses) + 1)),
            "val_curve": list(curve),
            "evaluations": len(losses),
            "architectures": len(set(problem.rows.values())),
            "failed": len(losses) - len(finite),
            "training_seconds": sum(event.get("seconds") or 0.0 for event in problem.journal.events),
        }

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return the algorithms' results, the winners and curves of the incumbents."""
        groups = by_group(records, self.algorithms)
        numbers = scalars(groups)
        return Report(
            "Search algorithms side by side on an objective",
            headline(groups, numbers),
            verdict(groups, numbers, self.budget, self.reference),
            [
                Section("The best of each search", [WINNERS], winners(records)),
                Section("Every algorithm", [MEANS], everything(groups, numbers)),
            ],
            draw_all(groups, folder / "images") if groups else [],
            numbers,
        )

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return two short searches of each algorithm, of distances in place of trainings."""
        return {**options, "objective": None, "workers": {"name": "here"}, "trials": 2, "budget": 12}


MEANS = "Means over searches, the standard error in brackets."
WINNERS = (
    "The loss of the best is the mean over its trainings where the best were trained again. Evaluations, "
    "different architectures among them, trainings that failed."
)


def winners(records: Sequence[Record]) -> Table:
    """Return the best architecture of each search with its account."""
    rows = [["search", "best", "loss", "evaluations", "architectures", "failed"]]
    for record in records:
        best = ", ".join(f"{name}={value}" for name, value in record["winner"].items())
        counts = [str(record[field]) for field in ("evaluations", "architectures", "failed")]
        rows.append([record["key"], best, format_value(record["val_loss"]), *counts])
    return rows
