"""Bias scores: the best decision rule without the attribute, linear in P(group, label | x).

    s(x) = u(x) - sum_j lambda_j b_j(x) > tau,   u = p / P(1) - (1 - p) / P(0)

    b_g = P(g|x) / P(g) - P(r|x) / P(r)  for selection;  P(g,1|x) / P(g,1) - P(r,1|x) / P(r,1)  for tpr;
    the same with y = 0 for fpr, r the last group

By Lagrange duality the best rule under bounds on the confusion counts of groups has this form (Chen, Klochkov
& Liu 2024). The attribute head is cross-fitted: the search sees P(g | x, y) of rows that the head has not.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.fairness.expressions import Difference, Gap, Ratio
from sevenfold.fairness.intra.attribute_head import Head, Regression, cross_fitted
from sevenfold.fairness.intra.base import DebiasingResult, Method, Problem, eval_mode, figures_at
from sevenfold.fairness.intra.multipliers import plug_in_multipliers
from sevenfold.fairness.intra.rank_one import fold_rows
from sevenfold.fairness.network import Logits
from sevenfold.fairness.steered import INPUTS, Steered, last_linear, pooled, tapped
from sevenfold.fairness.threshold import Best
from sevenfold.ranges import MOST, Positive, Range

LABELS = {"selection": (0, 1), "error": (0, 1), "accuracy": (0, 1), "tpr": (1,), "fnr": (1,), "fpr": (0,),
          "tnr": (0,)}  # fmt: skip
"""The labels of the people in a rate's denominator, for rates that do not depend on decisions."""
DOUBLINGS, KNOWN = 3, 1e-3


@dataclass(frozen=True)
class Score:
    """What a problem's candidates are made of: u (n,), functions b (n, J), and b as prices (J, cells, 2)."""

    u: Tensor
    b: Tensor
    prices: Tensor
    linear: bool

    def at(self, multipliers: Tensor) -> Tensor:
        """Return the scores (K, n) of multipliers (K, J)."""
        return self.u - multipliers @ self.b.T


class BiasScore(Method):
    """Decide by the bias score, whose multipliers and threshold are searched on the validation rows.

    The result has a network with an attribute head: x (n, ...) gives (n,) in one forward pass. For one or two
    multipliers a grid, for more those of a linear program and lines through them.

    Args:
        tap: what the head sees: ``auto`` (rows of features, else the input of the last linear layer),
            ``inputs``, or the name of a layer.
        folds: of cross-fitting.
        penalties: of the head's ridge regression, of which the best on held-out rows is taken.

    Example:
        >>> from sevenfold.testing.method import problem
        >>> result = BiasScore().fit(problem())
        >>> result.rho > 0.6
        True
    """

    any_groups = True

    def __init__(
        self,
        *,
        tap: str = "auto",
        folds: Annotated[int, Range(2, MOST)] = 5,
        penalties: list[Positive] = [5.0, 20.0, 100.0],  # noqa: B006 (never changed)
    ) -> None:
        if not penalties:
            raise ConfigError("penalties", "needs at least one number above 0")
        self.tap, self.folds, self.penalties = tap, folds, penalties

    def search(self, problem: Problem) -> DebiasingResult:
        """Fit the head, search multipliers, and put them into a network."""
        if not isinstance(problem.network, Logits):
            problem = problem.with_network(Logits(problem.network, "logit"))
        logits, h, tap = features(problem, self.tap)
        chances, trace = [], []
        for columns, penalties in self._heads(problem, h, tap):
            candidate, best = self._one(problem, logits, h, tap, columns, penalties)
            chances.append((candidate, best))
            trace += [{"what": "head", "phi": float(best.phi), "rho": float(best.rho), "mu": float(best.mu)}]
        # of a head on columns that determine the group and one on the others, the better on validation rows
        network, best = chances[Best.join([best for _, best in chances]).argmax()]
        base = problem.best(logits[None])
        if float(base.phi) > float(best.phi) or not bool(network.offset.isfinite()):
            return problem.result(problem.state(), base, trace=trace)
        with torch.no_grad():
            scores = torch.cat([network(rows) for rows in problem.x.split(problem.rows)])
        figures = figures_at(problem, scores, 0.0)
        return problem.result(problem.state(), figures, trace=trace, network=network, estimated=True,
                              cross_fitted={"rho": float(best.rho), "mu": float(best.mu)})  # fmt: skip

    def _heads(self, problem: Problem, h: Tensor, tap: str) -> Iterator[tuple[Tensor, list[float]]]:
        """Return the columns that each head sees: all, or those that determine a group and the others."""
        everything = torch.ones(h.shape[1], dtype=torch.bool, device=h.device)
        given = determining(h, problem.a) if tap == INPUTS else ~everything
        if bool(given.any()):
            yield given, [KNOWN]
        if not bool(given.all()):
            yield everything & ~given, list(self.penalties)

    def _one(
        self, problem: Problem, logits: Tensor, h: Tensor, tap: str, columns: Tensor, penalties: list[float]
    ) -> tuple[Steered, Best]:
        """Return the best network with a head on some columns, and its cross-fitted figures."""
        known, cells = problem.a >= 0, problem.layout.cells - 1
        weights = torch.ones_like(logits) if problem.weights is None else problem.weights
        weights = weights.double() / weights.double().mean()  # penalties do not depend on their scale
        rows = h[:, columns]
        regression = Regression(rows[known], problem.y[known], problem.a[known], weights[known], cells,
                                penalties[0])  # fmt: skip
        folds = fold_rows(problem, self.folds)
        masks = [torch.zeros_like(known).index_fill(0, fold, True) for fold in folds]
        head, heads, _ = cross_fitted(
            regression, [mask[known].cpu().numpy() for mask in masks], penalties, logits.double()
        )
        p = torch.sigmoid(logits.double())
        posterior = torch.zeros(len(p), cells, 2, dtype=torch.float64, device=p.device)
        for fold, one in zip(folds, heads, strict=True):
            posterior[fold] = one.posterior(rows[fold])
        score = scores_of(problem, p, posterior * torch.stack([1 - p, p], -1)[:, None], weights)
        best, multipliers = Search(problem, score).run()
        whole = Head(torch.zeros(cells, h.shape[1], dtype=torch.float64, device=p.device), head.bias)
        whole.weight[:, columns] = head.weight
        price = torch.einsum("j,jgy->gy", multipliers, score.prices)
        gain, constant = utility(problem, weights)
        network: Logits = problem.clone()  # type: ignore[assignment]
        return Steered(network, whole, price, gain, constant + float(best.threshold), tap).eval(), best


def features(problem: Problem, tap: str) -> tuple[Tensor, Tensor, str]:
    """Return logits (n,), what the head sees (n, m), and the tap that ``auto`` stands for."""
    flat = problem.x.ndim == 2 and problem.x.is_floating_point()
    name = (INPUTS if flat else last_linear(problem.network)) if tap == "auto" else tap
    if name == INPUTS:
        if not flat:
            raise ConfigError("tap", f"inputs have shape {tuple(problem.x.shape)}; name a layer")
        return problem.scores(), problem.x, name
    if name not in dict(problem.network.named_modules()) and not name.startswith("module."):
        name = f"module.{name}"
    logits, inputs = [], []
    with eval_mode(problem.network), torch.no_grad(), tapped(problem.network, name) as taken:
        for rows in problem.x.split(problem.rows):
            logits.append(problem.network(rows))
            inputs.append(pooled(taken[0]))
    return torch.cat(logits), torch.cat(inputs), name


def determining(h: Tensor, cell: Tensor) -> Tensor:
    """Return which columns tell a cell from all others by value, (m,) bool; a constant column does not."""
    x, known = h.double(), cell >= 0
    out = torch.zeros(x.shape[1], dtype=torch.bool, device=x.device)
    for c in cell[known].unique():
        inside, outside = x[known & (cell == c)], x[known & (cell != c)]
        # one value inside that never occurs outside: by value, since names may say anything
        single = inside.amax(0) == inside.amin(0)
        if len(inside) > 1:
            out |= single & (outside != inside[:1]).all(0)
    return out


def utility(problem: Problem, weights: Tensor) -> tuple[float, float]:
    """Return gain and constant of u = gain p - constant."""
    if problem.objective.goal == "accuracy":
        return 2.0, 1.0
    share = float((weights * problem.y).sum() / weights.sum())
    # u = p / P(1) - (1 - p) / P(0)
    return 1 / share + 1 / (1 - share), 1 / (1 - share)


def scores_of(problem: Problem, p: Tensor, joint: Tensor, weights: Tensor) -> Score:
    """Return the functions of the objective's constraints, from P(g, y | x), (n, cells, 2)."""
    prices, linear = functions(problem, weights)
    if not len(prices):
        raise InputError("no group is large enough to be judged: fewer people than 'small' in all but one")
    gain, constant = utility(problem, weights)
    return Score(gain * p - constant, torch.einsum("ngy,jgy->nj", joint, prices), prices, linear)


def functions(problem: Problem, weights: Tensor) -> tuple[Tensor, bool]:
    """Return the prices (J, cells, 2) of every b_j, and whether all constraints are on gaps of rates."""
    layout, y, a = problem.layout, problem.y, problem.a
    cells, known = layout.cells - 1, a >= 0
    mass = torch.zeros(2 * cells, dtype=torch.float64, device=y.device)
    mass.index_add_(0, (2 * a + y)[known], weights[known].double())
    share = (mass / weights.double().sum()).view(cells, 2)
    table = problem.counts(torch.zeros_like(y))
    rates = list(dict.fromkeys(rate for term in problem.objective.terms for rate in term.expression.rates()))
    plain = isinstance(problem.objective.goal, str) and all(rate in LABELS for rate, _ in rates)
    linear = plain and all(bounded(term.expression) for term in problem.objective.terms)
    if not plain or not rates:
        # a rate over decisions, or a goal of its groups: any of the cells may have a price
        prices = torch.zeros(cells, 2, cells, 2, dtype=torch.float64, device=y.device)
        for g, label in itertools.product(range(cells), (0, 1)):
            prices[g, label, g, label] = 1 / share[g, label].clamp(min=1e-12)
        return prices.view(-1, cells, 2), False
    rows = []
    for rate, name in rates:
        inside = [float(label in LABELS[rate]) for label in (0, 1)]
        labels = torch.tensor(inside, dtype=torch.float64, device=y.device)
        for family in layout.family(name):
            members = table.judged(rate, family)
            if len(members) < 2:
                continue
            columns = [column(layout.member[g][:-1], share, labels) for g in members]
            # differences to the last group; a bound on single groups needs that group's price, too
            rows += [one - columns[-1] if linear else one for one in (columns[:-1] if linear else columns)]
    return torch.stack(rows) if rows else share.new_zeros(0, cells, 2), linear


def bounded(expression: object) -> bool:
    """Tell whether an expression is made of differences between groups alone."""
    parts = getattr(expression, "of", None)
    return all(map(bounded, parts)) if parts else isinstance(expression, Gap | Difference | Ratio)


def column(member: Sequence[bool], share: Tensor, labels: Tensor) -> Tensor:
    """Return the prices of P(g, labels | x) / P(g, labels), (cells, 2)."""
    inside = torch.tensor(member, dtype=torch.float64, device=share.device)[:, None] * labels
    return inside / (inside * share).sum().clamp(min=1e-12)


class Search:
    """The search for multipliers, every candidate with its exact threshold."""

    def __init__(self, problem: Problem, score: Score) -> None:
        self.problem, self.score = problem, score
        self.count = score.b.shape[1]
        self.best: Best | None = None
        self.at = torch.zeros(self.count, dtype=torch.float64, device=score.u.device)

    def run(self) -> tuple[Best, Tensor]:
        """Return the best candidate's figures and its multipliers."""
        self.offer(self.at[None])
        if self.count == 1:
            self._grid(61, 11)
        elif self.count == 2:
            self._grid(21, 11)
        else:
            self._program()
            for width in (0.4, 0.1, 0.1) if not self.score.linear else (0.1, 0.1):
                self._lines(width)
        assert self.best is not None
        return self.best, self.at

    def offer(self, candidates: Tensor) -> None:
        """Evaluate multipliers (K, J) and accept the best if it beats the incumbent."""
        parts = [self.problem.best(self.score.at(c)) for c in candidates.split(64)]
        best = Best.join(parts)
        i = best.argmax()
        one = best.take(i)
        if self.best is None or Best.join([self.best, one]).argmax() == 1:
            self.best, self.at = one, candidates[i].clone()

    def _grid(self, points: int, finer: int) -> None:
        """Search a grid around 0, doubled while the best lies on its edge, then a finer one."""
        like, reach = self.at, 1.0
        for _ in range(1 + DOUBLINGS):
            line = torch.linspace(-reach, reach, points, dtype=torch.float64, device=like.device)
            self.offer(torch.cartesian_prod(*[line] * self.count).view(-1, self.count))
            if bool((self.at.abs() < reach - 1e-9).all()):
                break
            reach *= 2
        step = 2 * reach / (points - 1)
        line = torch.linspace(-step, step, finer, dtype=torch.float64, device=like.device)
        self.offer(self.at + torch.cartesian_prod(*[line] * self.count).view(-1, self.count))

    def _program(self) -> None:
        """Search common factors of the multipliers of the linear program."""
        if not self.score.linear:
            return
        factors = torch.linspace(0, 2.5, 51, dtype=torch.float64, device=self.at.device)
        bound = min(abs(term.bound) for term in self.problem.objective.terms)
        for window in (0.0, bound / 2, bound):
            multipliers = plug_in_multipliers(self.score.u, self.score.b, window)
            self.offer(factors[:, None] * multipliers.to(self.at))

    def _lines(self, width: float) -> None:
        """Move one multiplier after another along a line."""
        for j in range(self.count):
            steps = torch.zeros(21, self.count, dtype=torch.float64, device=self.at.device)
            steps[:, j] = torch.from_numpy(np.linspace(-width, width, 21)).to(steps.device)
            self.offer(self.at + steps)
