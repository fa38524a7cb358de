"""Comparison of debiasing methods, each on every base network, for every measure and bound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from sevenfold.config import ConfigError, build, merge
from sevenfold.errors import InputError
from sevenfold.fairness import METHODS, POSTPROCESSORS
from sevenfold.fairness.confusion import counts
from sevenfold.fairness.data.table import Part, Split
from sevenfold.fairness.evaluate import by_group, decide, figures
from sevenfold.fairness.groups import Groups
from sevenfold.fairness.inputs import Inputs
from sevenfold.fairness.intra.base import Problem
from sevenfold.fairness.network import Logits
from sevenfold.fairness.nodes import MethodNode, SourceNode
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.packing import Purpose, packed
from sevenfold.fairness.studies.base_networks import (
    SYNTHETIC,
    BaseNetwork,
    BaseNetworks,
    distinct,
    objectives,
)
from sevenfold.fairness.studies.debias_figures import draw_all
from sevenfold.fairness.studies.debias_summary import by_setting, headline, scalars, sections, verdict
from sevenfold.fairness.studies.recommended import CANDIDATES, file_of, keep_files
from sevenfold.fairness.threshold import Search
from sevenfold.fairness.training import area_under_curve, logistic_auc
from sevenfold.ranges import Count, NonNegativeInt, Positive, Seed
from sevenfold.records import Record
from sevenfold.study import Context, Piece, Report, Section, Study


@dataclass(frozen=True)
class Trial(Piece):
    """One method (``label``) on the base network of a ``seed``; ``drop``: without the protected attribute."""

    drop: bool
    seed: int
    objective: Objective
    label: str


class DebiasStudy(Study[Trial]):
    """Comparison of methods that debias trained networks on validation rows, judged on test rows.

    The protocol of Savani, White and Govindarajulu 2020: one record a method, bound, seed and measure.

    Args:
        methods: components of ``METHODS`` and ``POSTPROCESSORS`` by the label of their results; null removes
            one of a base file.
        source: a component of ``sevenfold.fairness.data.SOURCES``.
        root: folder of the published data sets; without it people are synthetic.
        protected: the attribute; ``sex or race`` combines two.
        drop_protected: with the attribute among the features (false), without, or both.
        groups: groups of any number in place of ``protected``: by attribute of the source, null (a group for
            each value) or a rule of :func:`sevenfold.fairness.levels.levels`, such as ``{bins: [25, 60]}``.
        cross: compare the crossings of these attributes, too.
        min_count: one-hot levels rarer than this in train are grouped.
        measures: of bias, ``sevenfold.fairness.measures.MEASURES``; of more than two groups
            ``demographic_parity``, ``equalized_odds`` or an expression such as ``gap(tpr)``.
        epsilons: bounds on the absolute bias.
        objective: the other options of the objective; ``constraints`` stand in place of measures and bounds.
        seeds: each has its own split, base network and search.
        base: the networks that are debiased; they are trained once and never changed.
        search: options of the search for thresholds.
        chunk: candidates scored at a time; results depend on it only by rounding.
        keep: which debiased networks are files in ``debiased/`` of the run folder, with ``card.json``: those
            of the method that validation rows recommend, all (post-processors change none), or none.
        purpose: what the decisions are for, in words, for the card.

    Example:
        >>> study = DebiasStudy(methods={"base": {"name": "base"}, "ours": {"name": "rank_one"}})
        >>> [piece.group for piece in study.pieces()][:1] != []
        True
    """

    timing = ("seconds",)
    running = ("balanced_accuracy", "abs_mu")

    def __init__(
        self,
        *,
        methods: dict[str, MethodNode | None],
        source: SourceNode = SYNTHETIC,
        root: str = "data",
        protected: str = "a",
        drop_protected: list[bool] = [False],  # noqa: B006 (never changed)
        groups: dict[str, Any] = {},  # noqa: B006
        cross: bool = False,
        min_count: NonNegativeInt = 0,
        measures: list[str] = ["spd"],  # noqa: B006
        epsilons: list[Positive] = [0.05],  # noqa: B006
        objective: Objective = Objective(),
        seeds: list[Seed] = [1],  # noqa: B006
        base: BaseNetwork = BaseNetwork(),
        search: Search = Search(),
        chunk: Count = 32,
        keep: Literal["none", "recommended", "all"] = "none",
        purpose: str = "not stated",
    ) -> None:
        self.methods = {label: node for label, node in methods.items() if node is not None}
        if not self.methods:
            raise ConfigError("methods", "needs at least one method")
        for label, node in self.methods.items():
            build(METHODS | POSTPROCESSORS, node, f"methods.{label}")
        self.networks = BaseNetworks(source, root, protected, min_count, seeds, base, groups, cross)
        self.drops = distinct("drop_protected", drop_protected)
        self.objectives = objectives(measures, epsilons, objective)
        self.search, self.chunk = search, chunk
        self.keep, self.purpose = keep, purpose

    def check(self) -> None:
        """Open the table."""
        self.networks.check()
        people = self.networks.all_groups
        if people is not None:
            self._check_groups(people)
            return
        table, protected = self.networks.people
        if self.keep != "none" and table.text is not None and protected not in table.text.rules:
            raise ConfigError("keep", f"needs one protected column, got '{protected}': set protected to it")

    def _check_groups(self, people: Groups) -> None:
        """Refuse, before any training, what cannot be had of these groups."""
        rows = torch.zeros(len(people.cell), dtype=torch.int64)
        three = not Problem(nn.Identity(), rows, rows, people.cell, layout=people.layout).plain
        for label, node in self.methods.items():
            method = build(METHODS | POSTPROCESSORS, node, f"methods.{label}")
            if three and not getattr(method, "any_groups", False):
                raise ConfigError(
                    f"methods.{label}", f"'{node['name']}' is for two groups that are all known"
                )
        no_one = counts(rows, rows, people)
        for objective in self.objectives:
            try:
                objective.expression.value(no_one, no_one)
            except InputError as error:
                raise ConfigError("measures", str(error)) from None

    def pieces(self) -> Sequence[Trial]:
        """Return every method on every base network under every objective."""
        return [
            Trial((f"{group}/{seed:05d}",), group, drop, seed, objective, label)
            for drop in self.drops
            for seed in self.networks.seeds
            for objective in self.objectives
            for label in self.methods
            for group in [f"{self.networks.setting(drop)}/{objective.title}/{label}"]
        ]

    def run(self, piece: Trial, context: Context) -> list[Record]:
        """Debias one network with one method."""
        split = self.networks.split(piece.drop, piece.seed)
        network = self.networks.network(piece.drop, piece.seed, context.folder).to(context.device)
        val, test = on_device(split.val, context.device), on_device(split.test, context.device)
        people = self.networks.groups(val.a)
        problem = Problem(
            Logits(network, "logit"), val.x, val.y, val.a,
            piece.objective, self.search, piece.seed, self.chunk, people.layout,
        )  # fmt: skip
        node = self.methods[piece.label]
        facts, on_val, on_test, result = decide(node, problem, test)
        if result is not None and self.keep != "none":
            what = Purpose(node, purpose=self.purpose, encoder=self.networks.encoder(split))
            inputs = Inputs.of(network, val.x)
            # everybody alike is a result, too: it is marked in the card
            packed(problem, result, inputs, people, what)[0].save(
                context.folder / CANDIDATES / file_of(piece.keys[0]), allow_constant=True
            )
        # calibration is that of the base network: methods move thresholds, not probabilities
        scores = problem.scores(x=test.x).cpu()
        record = {
            "key": piece.keys[0],
            "group": piece.group,
            "seed": piece.seed,
            "method": node["name"],
            **self._figures(piece, split, on_val.cpu(), on_test.cpu()),
            **facts,
            "by_group": by_group(
                on_test.cpu(), split.test, self.networks.test_groups(piece.seed), scores.sigmoid()
            ),
        }
        # a base network that loses to logistic regression is a failed training, not a biased one
        if node["name"] == "base":
            record["auc"] = float(area_under_curve(scores, split.test.y))
            record["logistic_auc"] = logistic_auc(split.train.x, split.train.y, split.test.x, split.test.y)
        return [record]

    def _figures(
        self, piece: Trial, split: Split, on_val: torch.Tensor, on_test: torch.Tensor
    ) -> dict[str, Any]:
        """Return the data and the figures of decisions on validation and test rows."""
        table, protected = self.networks.people
        val, test = (
            figures(decisions, part, self.networks.groups(part.a), piece.objective)
            for decisions, part in ((on_val, split.val), (on_test, split.test))
        )
        return {
            "table": table.name,
            "coding": {**table.coding, "protected": protected},
            **test,
            **{f"val_{name}": val[name] for name in ("balanced_accuracy", "mu", "within")},
        }

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return the report: tables of methods and groups, a model card, plots of accuracy against bias."""
        settings = by_setting(records, self.methods)
        seeds = len({record["seed"] for record in records})
        text = (
            f"Decisions on test people whom no method has seen; mean ± standard deviation over {seeds} "
            "trained networks. A verdict is 'met' or 'violated' where the interval of a network's bias lies "
            "inside the bound or outside, else these rows cannot tell."
        )
        files = keep_files(settings, folder, self.keep)
        return Report(
            "Debiasing report",
            headline(settings),
            verdict(settings),
            [Section("Columns", [text]), *files, *sections(settings)],
            draw_all(settings, folder / "images"),
            scalars(records),
        )

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return a few synthetic people, one briefly trained network and short searches."""
        methods = options.get("methods")
        nodes = methods.items() if isinstance(methods, Mapping) else ()
        short = {
            label: SHORT[node["name"]]
            for label, node in nodes
            if isinstance(node, Mapping) and node.get("name") in SHORT
        }
        if options.get("groups"):
            options = {**options, "groups": {"a": None}}
        return merge(options, {**TINY, **({"methods": short} if short else {})})


def on_device(part: Part, device: torch.device) -> Part:
    """Return rows on a device."""
    return replace(part, x=part.x.to(device), y=part.y.to(device), a=part.a.to(device))


TINY: dict[str, Any] = {
    "source": {"name": "synthetic", "n": 600},
    "protected": "a",
    "seeds": [1],
    "base": {"training": {"max_epochs": 2}},
}
SHORT: dict[str, dict[str, Any]] = {
    "adversarial": {"schedule": {"epochs": 1, "critic": 4, "actor": 20}},
    "representation": {"schedule": {"epochs": 1, "critic": 4, "actor": 20}},
}
