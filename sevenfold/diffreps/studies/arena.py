"""The study that compares samplers at equal calls of the prior, with the truth where it is known."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError, Node, build, schema
from sevenfold.diffreps import METHODS
from sevenfold.diffreps.binding import binding, domain
from sevenfold.diffreps.linear_gaussian import conditional_mixture
from sevenfold.diffreps.methods.base import Method
from sevenfold.diffreps.methods.fit import REFERENCE, Fit
from sevenfold.diffreps.methods.pullback import Pullback
from sevenfold.diffreps.nodes import ImagesNode, MethodNode, PriorNode, RepresentationNode
from sevenfold.diffreps.priors.base import ExactPrior, Prior
from sevenfold.diffreps.priors.mixture import Mixture
from sevenfold.diffreps.representations.affine import Affine
from sevenfold.diffreps.run import run
from sevenfold.diffreps.scores import energy, pairwise
from sevenfold.diffreps.studies.arena_summary import draw, headline, scalars, verdict
from sevenfold.diffreps.studies.samples import POOL, Samples, SamplesStudy
from sevenfold.diffreps.studies.tiny import tiny_samples
from sevenfold.files import write_text
from sevenfold.ranges import MOST, Count, LearningRate, Range
from sevenfold.records import Record
from sevenfold.seeding import stream_seed, torch_generator
from sevenfold.study import Context, Report, Section
from sevenfold.tables import component

BINDING, TRUTH, FITTED = "binding", 2000, 20
ARMS: dict[str, Node | None] = {
    name: {"name": name} for name in ("anneal", "fit", "pullback", "sds")
}  # fmt: skip


class ArenaStudy(SamplesStudy):
    """Samplers of every representation, each with the largest schedule that its budget of calls allows.

    Rates of score distillation are tuned on seeds of their own. Where the law is known (an affine
    representation of a mixture) samples are compared with it, elsewhere with the prior's own and by their
    likelihood, never one without the other.

    Args:
        prior: a component of ``PRIORS``.
        representations: components of ``REPRESENTATIONS`` by label; null removes one of a base file.
        methods: components of ``METHODS`` by label; null removes one.
        budgets: calls of the prior for a sample, each for every method.
        seeds: repetitions, from which the standard deviations of figures are.
        samples: number of samples of each repetition.
        rates: grid of ``lr`` of the methods that have one; the best by energy distance is used.
        conditions: classes that samples are drawn from, in turn; none if empty.
        real: a component of ``SOURCES``, real images for comparison; null: none.
        map_real: map the range of real images linearly onto the prior's; otherwise other ranges are refused.
        root: folder of files; configurations refer to it as ${study.root}.
        dtype: of parameters, images and solves.

    Example:
        >>> study = ArenaStudy(prior={"name": "gmm"}, representations={"siren": {"name": "siren"}}, seeds=1)
        >>> [piece.group for piece in study.pieces()][-2:]
        ['siren/pullback@80', 'siren/sds@80']
    """

    running = ("energy", "log_likelihood")

    def __init__(
        self,
        *,
        prior: PriorNode,
        representations: dict[str, RepresentationNode | None],
        methods: dict[str, MethodNode | None] = ARMS,
        budgets: list[Count] = [80],  # noqa: B006 (never changed)
        seeds: Count = 3,
        samples: Annotated[int, Range(2, MOST)] = 40,
        rates: list[LearningRate] = [1e-3, 3e-3, 1e-2],  # noqa: B006
        conditions: list[Annotated[int, Range(-1, MOST, note="-1 is no condition")]] = [],  # noqa: B006
        real: ImagesNode | None = None,
        map_real: bool = False,
        root: str = "data",
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        if not budgets or len(set(budgets)) < len(budgets) or not rates:
            raise ConfigError(
                "budgets", f"needs at least one, none twice, and a rate, got {budgets}, {rates}"
            )
        super().__init__(
            prior=prior, representations=representations, methods=methods, view_noises=POOL,
            samples=seeds * samples,
            conditions=conditions, real=real, map_real=map_real, root=root, reference=None, chunk=samples,
            dtype=dtype,
        )  # fmt: skip
        self.each, self.rates = samples, rates
        # a method appears once for each budget
        self._nodes = {
            f"{label}@{budget}": (node, budget) for budget in budgets for label, node in self._methods.items()
        }
        self._methods = {arm: node for arm, (node, _) in self._nodes.items()}

    @cached_property
    def methods(self) -> dict[str, Method]:
        """Methods by arm, within their budget, with the first rate of the grid."""
        return {arm: self._method(arm, self.rates[0]) for arm in self._nodes}

    def _method(self, arm: str, rate: float) -> Method:
        node, budget = self._nodes[arm]
        node = {**node, "lr": rate} if self._tunable(arm) else node
        method: Method = build(METHODS, within(node, budget, self.prior), f"methods.{arm}")
        return method

    def _tunable(self, arm: str) -> bool:
        node, _ = self._nodes[arm]
        return "lr" in schema(component(METHODS, node["name"], "methods")) and "lr" not in node

    def pieces(self) -> Sequence[Samples]:
        """Return one piece for the binding of each representation, then one for each arm and seed."""
        bound = [
            Samples((f"{label}/{BINDING}",), f"{label}/{BINDING}", label, label, "pool", BINDING, ())
            for label in self._representations
        ]
        return [*bound, *super().pieces()]

    def run(self, piece: Samples, context: Context) -> list[Record]:
        """Compute the binding of a representation, or draw an arm's samples of one seed."""
        if piece.method == BINDING:
            task = self.task(piece.representation, piece.noise, [0], context)
            images = domain(task, FITTED, None if self.real is None else self.real.images)
            value = None if images is None else binding(task, images)
            return [{"key": piece.keys[0], "group": piece.group, "binding": value}]
        rate = self._rate(piece, context) if self._tunable(piece.method) else None
        if rate is not None:
            self.methods[piece.method] = self._method(piece.method, rate)
        chunk, records = self._chunk(piece, context), super().run(piece, context)
        if chunk is None or not records:
            return []
        labels = torch.tensor(self.labels(piece.samples))
        figures: dict[str, Any] = self._set_figures(piece.representation, chunk["images"][:, 0], labels)
        figures |= {"seed": piece.samples[0] // self.each, "rate": rate}
        return [{**record, **figures} for record in records]

    def _set_figures(self, representation: str, images: Tensor, labels: Tensor) -> dict[str, float]:
        truth = self.truth(representation)
        return (
            {}
            if truth is None
            else {"energy": energy(images, truth), "diversity": diversity(images, labels, truth)}
        )

    def truth(self, representation: str) -> Tensor | None:
        """Return images of the exact law, of the prior, or real ones; None without any of them."""
        part, generator = self.representations[representation], torch_generator(0, "arena truth")
        if not isinstance(self.prior, ExactPrior):
            return None if self.real is None else self.real.images[:TRUTH].float()
        prior = copy.deepcopy(self.prior).cpu()
        if not isinstance(prior, Mixture):
            return prior.sample(TRUTH, generator).float()
        weighted(prior, self.conditions)
        if not isinstance(part, Affine):
            return prior.sample(TRUTH, generator).float()
        affine = copy.deepcopy(part).cpu().double()
        theta = conditional_mixture(prior, affine).sample(TRUTH, generator).flatten(1)
        return affine.rendered(theta, affine.views(1, generator).double())[:, 0].float()

    def _rate(self, piece: Samples, context: Context) -> float:
        """Return the rate with the least energy distance on seeds of their own; it is stored."""
        path = context.folder / f"tuning/{piece.setting}--{piece.method}.json"
        if path.is_file():
            return float(json.loads(path.read_text())["rate"])
        truth = self.truth(piece.representation)
        task = self.task(piece.representation, piece.noise, range(self.each), context)
        task = replace(task, seeds=[stream_seed(context.seed, "arena tuning", k) for k in range(self.each)])
        grid = {
            rate: 0.0 if truth is None else energy(
                run(self._method(piece.method, rate), task).images[:, 0].cpu().float(), truth
            )
            for rate in self.rates
        }  # fmt: skip
        best = min(grid, key=lambda rate: grid[rate] if grid[rate] == grid[rate] else float("inf"))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(
            path, json.dumps({"rate": best, "grid": {str(rate): value for rate, value in grid.items()}})
        )
        return best

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return arms with standard deviations over seeds, their picture, and the rule's verdict."""
        text = (
            "Means over seeds with standard deviations. energy: distance to the exact law where it is known, "
            "otherwise to images of the prior; log-lik.: median under the prior; diversity: distance between "
            "samples of a class over that of the truth. rate: the best of the grid on other seeds "
            f"({', '.join(f'{rate:g}' for rate in self.rates)})."
        )
        path = folder / "images/arena.png"
        return Report(
            "Samplers at equal calls", headline(records), verdict(records), [Section("Columns", [text])],
            [path] if draw(records, path) else [], scalars(records),
        )  # fmt: skip

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options of two samples of one seed with few calls."""
        small = tiny_samples(options)
        return {**small, "budgets": [4], "seeds": 1, "samples": 2, "rates": [1e-3, 1e-2]}


def within(node: Node, budget: int, prior: Prior) -> Node:
    """Return a method's node with the most levels or steps whose calls do not exceed ``budget``."""
    known = schema(component(METHODS, node["name"], "name"))
    if "count" in known:
        return {**node, "count": budget}
    if issubclass(component(METHODS, node["name"], "name"), Fit):
        return {**node, "images": within({**REFERENCE, **node.get("images", {})}, budget, prior)}
    low, high = 1, budget + 1
    while high - low > 1:  # calls rise with levels
        middle = (low + high) // 2
        low, high = (middle, high) if _calls(node, middle, prior) <= budget else (low, middle)
    return _with_levels(node, low)


def _with_levels(node: Node, levels: int) -> Node:
    return {**node, "schedule": {"name": "karras", **node.get("schedule", {}), "levels": levels}}


def _calls(node: Node, levels: int, prior: Prior) -> int:
    method = build(METHODS, _with_levels(node, levels), "method")
    if not isinstance(method, Pullback):
        raise ConfigError("methods", f"{node['name']} has no number of calls that a budget could set")
    return method.calls(prior)


def weighted(prior: Mixture, conditions: Sequence[int]) -> None:
    """Give the classes that samples are drawn from the shares they have there."""
    if not conditions or not prior.classes or min(conditions) < 0:
        return
    logs = prior.log_weights.double()
    for label in prior.labels.unique().tolist():
        members = prior.labels == label
        share = torch.tensor(conditions.count(label) / len(conditions)).double().log()
        logs = torch.where(members, logs - logs[members].logsumexp(0) + share, logs)
    prior.log_weights = logs.to(prior.log_weights)


def diversity(images: Tensor, labels: Tensor, truth: Tensor) -> float:
    """Return the mean distance between samples of a class, over that between images of the truth."""
    parts = [pairwise(images[labels == label]) for label in labels.unique().tolist()]
    values = [value for value in parts if value == value]
    return sum(values) / len(values) / pairwise(truth) if values else float("nan")
