"""Search algorithms side by side on an objective that trains what it is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sevenfold.config import ConfigError, below, build
from sevenfold.errors import InputError
from sevenfold.executors import CallsNode
from sevenfold.nas.algorithms import AlgorithmNode
from sevenfold.nas.algorithms.run import start_trials
from sevenfold.nas.constraints import feasible_first
from sevenfold.nas.goals import read_goals
from sevenfold.nas.objectives import load_objective, locate_objective
from sevenfold.nas.problem import Problem, open_problem
from sevenfold.nas.rehearsal import Rehearsal
from sevenfold.nas.running import make_calls
from sevenfold.nas.spaces import SPACES, SpaceNode
from sevenfold.nas.spaces.base import Space
from sevenfold.nas.studies.front_summary import front_report
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
        minimize: names of what is minimized; null: ``loss``, or nothing where something is maximized.
        maximize: names of what is maximized. Of several the report has hypervolumes against all searches.
        constraints: bounds by name, such as ``{params_m: "<= 0.5"}``.
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
        minimize: list[str] | None = None,
        maximize: list[str] = [],  # noqa: B006 (never changed)
        constraints: dict[str, str] = {},  # noqa: B006 (never changed)
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
        self.space_node, self.objective = space, objective
        self.goals = read_goals(minimize, maximize, constraints)
        self.named = {"minimize": minimize, "maximize": maximize, "constraints": constraints}
        if seeds.max > 1 and len(self.goals.losses) > 1:
            raise ConfigError("seeds.max", f"must be 1 where {', '.join(self.goals.losses)} have no best")
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
            **self.named,
            "epochs": self.epochs,
            "seeds": 1 if self.seeds.max == 1 else {"max": self.seeds.max, "last": self.seeds.last},
        }
        with below("study"), open_problem(context.folder / "searches" / key, **options) as problem:
            problem.run(
                self.objective or Rehearsal(self.space, self.goals.names),
                changed=self.changed,
                workers=self.workers,
                trial_seconds=self.trial_seconds,
                stopping=context.stopping,
            )
            return [] if context.stopping() else [self._record(piece, problem, context.seed)]

    def _record(self, piece: Search, problem: Problem, seed: int) -> Record:
        """Return what is recorded of a finished search, from its journal alone."""
        node, numbers = self.algorithms[piece.group], sorted(problem.losses)
        if not problem.measured:
            whys = [event["why"] for event in problem.journal.events if event["event"] == "failed"]
            raise InputError(f"all {len(numbers)} trainings failed, the last one: {whys[-1]}")
        minimize = [*self.goals.minimize, *(f"-{name}" for name in self.goals.maximize)]
        failure = [None] * (len(minimize) + bool(self.goals.bounds))
        points = [problem.measured.get(number, failure) for number in numbers]
        return {
            "key": piece.keys[0],
            "group": piece.group,
            "trial": piece.trial,
            "losses": minimize,
            "algorithm": node["name"],
            "preset": getattr(problem.algorithm, "preset_name", None),
            "space": self.space_node["name"],
            "seed": seed,
            "budget": self.budget,
            "queries": list(range(1, len(numbers) + 1)),
            **(
                _best(problem, points) if len(minimize) == 1 else {"points": points, "front": problem.front()}
            ),
            "evaluations": len(numbers),
            "architectures": len(set(problem.rows.values())),
            "failed": len(numbers) - len(problem.measured),
            "training_seconds": sum(event.get("seconds") or 0.0 for event in problem.journal.events),
        }

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return the algorithms' results, the winners and curves of the incumbents, or those of fronts."""
        title = "Search algorithms side by side on an objective"
        section = Section("The best of each search", [WINNERS], winners(records))
        if len(self.goals.losses) > 1:
            report = front_report(title, records, list(self.algorithms), self.budget, self.reference, folder)
            return replace(report, sections=[section, *report.sections])
        groups = by_group(records, self.algorithms)
        numbers = scalars(groups)
        return Report(
            title,
            headline(groups, numbers),
            verdict(groups, numbers, self.budget, self.reference),
            [section, Section("Every algorithm", [MEANS], everything(groups, numbers))],
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


def _best(problem: Problem, points: Sequence[Sequence[float | None]]) -> Record:
    """Return the best of a search of one loss and the curve of its incumbents."""
    measured = np.array(points, float)
    losses = feasible_first(measured)[:, 0] if problem.goals.bounds else measured[:, 0]
    finite = losses[np.isfinite(losses)]
    # Until a first success the worst loss stands in the curve: a failure counts as the worst.
    curve = np.minimum.accumulate(np.where(np.isfinite(losses), losses, finite.max()))
    config, loss = problem.best()
    sign = -1.0 if problem.goals.maximize else 1.0
    label = f"negative {problem.goals.maximize[0]}" if sign < 0 else problem.goals.minimize[0]
    return {"label": label, "winner": config, "val_loss": loss, "val_curve": curve.tolist()}


def winners(records: Sequence[Record]) -> Table:
    """Return the best architecture of each search, or its front, with its account."""
    rows = [["search", "best", "value", "evaluations", "architectures", "failed"]]
    for record in records:
        counts = [str(record[field]) for field in ("evaluations", "architectures", "failed")]
        edge = record.get("front") or [(record.get("winner", {}), record.get("val_loss"))]
        for config, value in edge:
            best = ", ".join(f"{name}={part}" for name, part in config.items())
            values = value.items() if isinstance(value, dict) else []
            text = ", ".join(f"{name} {format_value(part)}" for name, part in values)
            rows.append([record["key"], best, text or format_value(value), *counts])
    return rows
