"""The problem a debiasing method solves, its result, and the scoring of many candidates at once."""

import copy
import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from sevenfold.config import ConfigError
from sevenfold.fairness.confusion import Confusion, counts
from sevenfold.fairness.groups import TWO, Groups, Layout
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.threshold import Best, Search, best_threshold
from sevenfold.ranges import MOST, Checked
from sevenfold.seeding import torch_generator

State = dict[str, Tensor]
FIGURES = ("threshold", "phi", "rho", "mu")
ROWS = 256
"""Rows scored at a time on a CPU, few enough for the activations of all candidates to fit its cache."""
ACCELERATOR_ROWS = 2**15
"""Rows scored at a time on an accelerator, where launches are dear; halved where its memory is too small."""


@dataclass(frozen=True)
class Problem:
    """A trained network and the validation rows on which its bias is to be reduced.

    ``a`` (n,) are the cells of ``layout`` (by default two groups, 1 the privileged one), -1 unknown. No
    forward pass has more than ``rows`` rows.

    ``network`` maps x to logits of the favorable label, (n,). Methods never change it: they work on states,
    or on ``clone()``. Scoring is in eval mode whatever mode the network is in. Directions and gradients are
    computed on ``material``: the rows themselves, or ``tune``, the x, y, a of a tune/select split.

    Example:
        >>> import torch
        >>> x, a = torch.randn(100, 3), torch.arange(100) % 2
        >>> problem = Problem(torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0)), x, a, a)
        >>> problem.scores().shape
        torch.Size([100])
    """

    network: nn.Module
    x: Tensor
    y: Tensor
    a: Tensor
    objective: Objective = Objective()
    search: Search = Search()
    seed: int = 0
    chunk: int = 32
    layout: Layout = TWO
    weights: Tensor | None = None
    rows: int = MOST
    tune: tuple[Tensor, Tensor, Tensor] | None = None

    @property
    def material(self) -> "Problem":
        """Return the problem on the rows that a method may tune on."""
        if self.tune is None:
            return self
        x, y, a = self.tune
        return dataclasses.replace(self, x=x, y=y, a=a, tune=None)

    def tune_select_split(self, share: float) -> "Problem":
        """Return the problem with a random ``share`` of every cell (a, y) for tuning, the rest to select."""
        # Stratified by cell: a random split of small groups could leave a cell empty.
        order = torch.randperm(len(self.y), generator=torch_generator(self.seed, "tune and select"))
        order = order.to(self.y.device)
        cell, is_tune = (2 * self.a + self.y)[order], torch.zeros_like(self.y, dtype=torch.bool)
        for k in cell.unique().tolist():
            members = order[cell == k]
            is_tune[members[: round(share * len(members))]] = True
        x, y, a = ((v[is_tune], v[~is_tune]) for v in (self.x, self.y, self.a))
        weights = None if self.weights is None else self.weights[~is_tune]
        return dataclasses.replace(self, x=x[1], y=y[1], a=a[1], weights=weights, tune=(x[0], y[0], a[0]))

    def state(self) -> State:
        """Return copies of the network's parameters."""
        return {name: value.detach().clone() for name, value in self.network.named_parameters()}

    def clone(self) -> nn.Module:
        """Return a copy of the network in eval mode, all its parameters trainable."""
        network = copy.deepcopy(self.network).eval()
        for parameter in network.parameters():
            parameter.requires_grad_(True)
        return network

    @torch.no_grad()
    def scores(self, state: Mapping[str, Tensor] | None = None, x: Tensor | None = None) -> Tensor:
        """Return logits, (n,), with some parameters replaced, computed in eval mode."""
        changed, x = dict(state or {}), self.x if x is None else x
        with eval_mode(self.network):
            parts = [functional_call(self.network, changed, (rows,)) for rows in x.split(self.rows)]
        return torch.cat(parts) if len(parts) != 1 else parts[0]

    @torch.no_grad()
    def scores_of(self, result: "DebiasingResult", x: Tensor | None = None) -> Tensor:
        """Return the scores (n,) that a result's threshold is compared with."""
        if result.network is None:
            return self.scores(result.state, x)
        x = self.x if x is None else x
        return torch.cat([result.network(rows) for rows in x.split(self.rows)])

    def with_network(self, network: nn.Module) -> "Problem":
        """Return the problem of another network."""
        return dataclasses.replace(self, network=network)

    @torch.no_grad()
    def batched_scores(self, stack: Mapping[str, Tensor], x: Tensor | None = None) -> Tensor:
        """Return logits, (K, n), of K candidates: ``stack`` holds what differs, (K, ...) each."""
        x = self.x if x is None else x
        size = min(ROWS if x.device.type == "cpu" else ACCELERATOR_ROWS, self.rows)
        with eval_mode(self.network):
            while True:
                try:
                    return torch.cat([self._side_by_side(dict(stack), part) for part in x.split(size)], dim=1)
                except torch.OutOfMemoryError:
                    if size == 1:
                        raise
                    size //= 2

    def _side_by_side(self, stack: State, x: Tensor) -> Tensor:
        # vmap over parameter sets: one batched forward pass in place of K
        def one(state: State) -> Tensor:
            return functional_call(self.network, state, (x,))

        try:
            return vmap(one)(stack)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # vmap does not support this module: score candidates one by one
            count = len(next(iter(stack.values())))
            return torch.stack([one({k: v[i] for k, v in stack.items()}) for i in range(count)])

    def best(self, scores: Tensor) -> Best:
        """Return the best threshold of each candidate, (K, n) scores of the validation rows."""
        base = self.base if self.objective.compares else None
        return best_threshold(
            scores, self.y, self.groups, self.objective, self.search, weights=self.weights, base=base
        )

    @property
    def plain(self) -> bool:
        """Tell whether there are two groups, 0 and 1, without unknown people and without weights."""
        two = self.layout is TWO or (len(self.layout.families) == 1 and len(self.layout.names) == 2)
        return two and self.weights is None and (self.layout is TWO or bool((self.a >= 0).all()))

    @property
    def groups(self) -> Groups:
        """Return the groups of the rows: ``a`` are their cells."""
        return Groups(self.a, self.layout)

    def counts(self, decisions: Tensor) -> Confusion:
        """Return the counts of decisions (..., n) about the validation rows."""
        return counts(decisions, self.y, self.groups, self.weights)

    @cached_property
    def base(self) -> Confusion:
        """The base network's decisions at its threshold of best performance, for constraints on losses."""
        scores, free = self.scores(), self.objective.free
        best = best_threshold(scores[None], self.y, self.groups, free, self.search, weights=self.weights)
        return self.counts(scores.double() > best.threshold[0])

    def _met(self, result: "DebiasingResult") -> bool:
        """Tell whether decisions meet every bound, without a margin."""
        base = self.base if self.objective.compares else None
        return self.objective.met(self.counts(self.scores_of(result).double() > result.threshold), base)

    def result(
        self, state: State, best: Best, index: int = 0, *, trace: list[dict[str, Any]], **facts: Any
    ) -> "DebiasingResult":
        """Return the record of one candidate; the state is copied."""
        threshold, phi, rho, mu = (float(getattr(best, n)[index]) for n in FIGURES)
        parameters = {name: value.detach().clone() for name, value in state.items()}
        result = DebiasingResult(parameters, threshold, phi, rho, mu, False, trace, self.seed, **facts)
        single = self.objective.single
        result.met = abs(mu) < self.objective.epsilon if single else self._met(result)
        return result


@dataclass
class DebiasingResult:
    """The result of a method: new parameters and a threshold on the logit, above which the decision is 1.

    ``phi``, ``rho`` and ``mu`` are figures on the validation rows (which the method was fitted to, so that
    they are no estimate for new rows); ``met`` tells whether every bound is met there; ``trace`` has one
    mapping per candidate or check. A method that adds to the network gives it as ``network``, whose scores
    (n,) take the place of logits; ``estimated`` tells whether it estimates the attribute, and
    ``cross_fitted`` holds figures on rows that its parts were not fitted to.
    """

    state: State
    threshold: float
    phi: float
    rho: float
    mu: float
    met: bool
    trace: list[dict[str, Any]]
    seed: int
    evaluations: int = 1
    seconds: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)
    network: nn.Module | None = None
    estimated: bool = False
    cross_fitted: dict[str, float] = field(default_factory=dict)

    @property
    def constant(self) -> bool:
        """Tell whether everybody gets the same decision."""
        return self.threshold in (float("inf"), float("-inf"))


class Method(Checked, ABC):
    """A method that changes weights: ``fit(problem)`` returns the result with its CPU time.

    The base network with its own best threshold is always candidate 0, so that on the validation rows no
    method is worse than moving the threshold.
    """

    any_groups = False
    """Whether groups may be more than two, unknown, and people weighted."""

    def fit(self, problem: Problem) -> DebiasingResult:
        """Run the search; the network of ``problem`` is not changed."""
        if not self.any_groups and not problem.plain:
            known = "bias_score, erase, threshold_only and base"
            raise ConfigError(
                "method",
                f"{type(self).__name__} is for two groups that are all known, without weights; use {known}",
            )
        start = time.process_time()
        result = self.search(problem)
        result.seconds = time.process_time() - start
        result.options = {
            "method": type(self).__name__,
            **{k: v for k, v in vars(self).items() if k[0] != "_"},
        }
        return result

    @abstractmethod
    def search(self, problem: Problem) -> DebiasingResult:
        """Return the best candidate of the search."""


@dataclass
class Incumbent:
    """The best candidate so far, at first the base network.

    States are copied when a candidate is accepted: the public code of the paper keeps references, which later
    updates overwrite, and so reports other weights than it selected.
    """

    problem: Problem
    state: State = field(init=False)
    best: Best = field(init=False)
    trace: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = self.problem.state()
        self.best = self.problem.best(self.problem.scores()[None])
        self.note(self.best, "base")

    def note(self, best: Best, what: str) -> None:
        """Add candidates to the trace."""
        for i in range(len(best.phi)):
            numbers = {n: float(getattr(best, n)[i]) for n in ("phi", "rho", "mu")}
            self.trace.append({"what": what, **numbers})

    def offer(self, best: Best, states: Any, what: str) -> bool:
        """Accept the best of some candidates if it beats the incumbent; return whether it did.

        ``best`` holds the candidates' figures; ``states(i)`` returns the parameters that candidate i changes.
        """
        self.note(best, what)
        i = best.argmax()
        one = best.take(i)
        if Best.join([self.best, one]).argmax() == 0:
            return False
        self.best = one
        self.state = {**self.problem.state(), **{k: v.detach().clone() for k, v in states(i).items()}}
        return True

    def result(self) -> DebiasingResult:
        """Return the record, its figures computed again from the state that it reports."""
        scores = self.problem.scores(self.state)
        figures = figures_at(self.problem, scores, float(self.best.threshold[0]))
        return self.problem.result(self.state, figures, trace=self.trace, evaluations=len(self.trace))


def figures_at(problem: Problem, scores: Tensor, threshold: float) -> Best:
    """Return the figures of scores (n,) at one threshold."""
    decisions = scores.double() > threshold
    base = problem.base if problem.objective.compares else None
    values = problem.objective.evaluate(problem.counts(decisions), base=base)
    at = torch.tensor([threshold], dtype=torch.float64, device=scores.device)
    return Best(at, *(v[None] for v in values))


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[None]:
    """Put every submodule in eval mode within the context; restore the mode of each afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def weighted_layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return layers with a weight matrix or kernel, in the order of definition."""
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d)
    layers: list[tuple[str, nn.Module]] = [(n, m) for n, m in network.named_modules() if isinstance(m, kinds)]
    if not layers:
        # a network of normalization and pooling layers only
        raise ConfigError("module", "has no linear or convolutional layer to work on")
    return layers


def linear_layer(network: nn.Module, which: str) -> tuple[str, nn.Linear]:
    """Return a linear layer by name; ``first`` and ``head`` are the first and the last one."""
    linear = [(n, m) for n, m in weighted_layers(network) if isinstance(m, nn.Linear)]
    by_name = dict(linear)
    if which in ("first", "head") and linear:
        return linear[0 if which == "first" else -1]
    name = which if which in by_name else f"module.{which}"
    if name not in by_name:
        raise ConfigError("layer", f"'{which}' is no linear layer. Known: first, head, {', '.join(by_name)}")
    return name, by_name[name]


def layer_tensors(network: nn.Module, layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a layer's input, its output (with gradient) and the logits, in eval mode."""
    tensors: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        tensors[:] = [inputs[0].detach(), output.detach().requires_grad_(True)]
        return tensors[1]

    handle = layer.register_forward_hook(keep)
    try:
        with eval_mode(network), torch.enable_grad():
            logits = network(x)
    finally:
        handle.remove()
    return tensors[0], tensors[1], logits
