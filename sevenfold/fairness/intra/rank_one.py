"""Rank-one steering: an edit of one layer along the direction that separates the groups, of one free size.

Let H be the input of a linear layer with weight W, m its mean, d the difference of the groups' means, S the
covariance plus a ridge, q = S^-1 d with q'S q = 1, and u the mean gradient of the logit with respect to the
layer's output, of unit length. Candidates are W + c u q', b - c (q'm) u for a grid of c, each with its exact
best threshold. Where the attribute is among the inputs this is in effect a reject option written into the
weights: no separate attribute is needed at prediction, but the model uses it.
"""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.fairness.intra.base import (
    DebiasingResult,
    Incumbent,
    Method,
    Problem,
    State,
    layer_tensors,
    linear_layer,
)
from sevenfold.fairness.intra.finetune import Sgd, tune
from sevenfold.fairness.threshold import Best
from sevenfold.ranges import AtLeastTwo, NonNegativeInt, Positive, Range, Scale
from sevenfold.seeding import torch_generator

LARGE = 5000  # number of rows above which held-out selection and SGD gain nothing


@dataclass(frozen=True)
class Direction:
    """An edit of size 1: the change of weight and bias; ``scale`` is the natural unit of c."""

    weight: Tensor
    bias: Tensor
    scale: float

    def stack(self, layer: str, state: State, c: Tensor) -> State:
        """Return weights and biases edited by each c, (K, ...)."""
        weight, bias = state[f"{layer}.weight"], state.get(f"{layer}.bias")
        # in the network's type, which may be narrower than that of c
        stack = {f"{layer}.weight": (weight + c[:, None, None] * self.weight).to(weight.dtype)}
        if bias is not None:
            stack[f"{layer}.bias"] = (bias + c[:, None] * self.bias).to(bias.dtype)
        return stack


def direction(problem: Problem, layer: str, *, ridge: float = 1.0, rows: Tensor | None = None) -> Direction:
    """Return the direction computed from some validation rows (by default all)."""
    subset = slice(None) if rows is None else rows
    module = problem.network.get_submodule(layer)
    inputs, output, logits = layer_tensors(problem.network, module, problem.x[subset])
    if inputs.ndim != 2:
        raise ConfigError("layer", f"'{layer}' takes inputs of shape {tuple(inputs.shape)}, expected rows")
    (gradient,) = torch.autograd.grad(logits.sum(), output)
    # u ~ E[ds / dz], z = W h + b: the change of the layer's output that raises the logit most, on average
    u = gradient.double().mean(0)
    u = u / u.norm().clamp(min=1e-12)
    h, m = inputs.double(), inputs.double().mean(0)
    d = group_difference(h, problem.y[subset], problem.a[subset], problem.objective.measure)
    # Regularized linear discriminant: q = (S + r tr(S) / n I)^-1 (m_0 - m_1)   (Fisher 1936; Friedman 1989)
    covariance = torch.cov(h.T).reshape(len(m), len(m))
    covariance += ridge * covariance.diagonal().mean() * torch.eye(len(m), dtype=h.dtype, device=h.device)
    q = torch.linalg.solve(covariance, d)
    q = q / (q @ covariance @ q).sqrt().clamp(min=1e-12)
    # W' = W + c u q^T,  b' = b - c (q^T m) u: the mean output stays, outputs move by c u along q^T (h - m)
    kind = output.dtype
    scale = float(output.detach().double().std(0).norm())
    return Direction(torch.outer(u, q).to(kind), (-(q @ m) * u).to(kind), scale)


def group_difference(h: Tensor, y: Tensor, a: Tensor, measure: str) -> Tensor:
    """Return the mean of the unprivileged group minus that of the privileged one.

    For SPD the means are over all rows, for EOD over y = 1; for other measures the result is the mean of the
    differences within y = 0 and within y = 1.
    """
    choices: dict[str, list[int | None]] = {"spd": [None], "eod": [1]}
    labels = choices.get(measure, [0, 1])
    differences = []
    for label in labels:
        within = torch.ones_like(y, dtype=torch.bool) if label is None else y == label
        differences.append(h[within & (a == 0)].mean(0) - h[within & (a == 1)].mean(0))
    return torch.stack(differences).mean(0)


class RankOne(Method):
    """A rank-one edit of one layer, whose size and threshold are searched.

    A weight (out, in) becomes W + c u v: all values of c are scored as one batch (c, rows).

    Args:
        layer: name of a linear layer, ``first`` or ``head``.
        points, reach: the grid of c: ``points`` values within ``reach`` times the layer's output scale.
        refine: rounds of 21 more points around the best.
        ridge: of the covariance, in units of its mean eigenvalue.
        folds: of cross-fitting: c and threshold are chosen on rows not used for the direction; 0 for none, -1
            for 4 folds where no input column determines the attribute, else none.
        cross_epsilon: the bound of a cross-fitted search; null: the objective's.
        sgd: steps of gradient descent on the layer after the search, 0 for none.

    Example:
        >>> from sevenfold.testing.method import problem
        >>> result = RankOne(points=21).fit(problem())
        >>> result.met
        True
    """

    def __init__(
        self,
        *,
        layer: str = "first",
        points: AtLeastTwo = 81,
        reach: Scale = 1.5,
        refine: NonNegativeInt = 0,
        ridge: Positive = 1.0,
        folds: Annotated[int, Range(-1, 10_000, note="-1 decides by itself, 0 is none")] = 0,
        cross_epsilon: Positive | None = None,
        sgd: NonNegativeInt = 0,
    ) -> None:
        if folds == 1:
            raise ConfigError("folds", "must be -1, 0 or at least 2, got 1")
        self.layer, self.points, self.reach, self.refine = layer, points, reach, refine
        self.ridge, self.folds, self.cross_epsilon, self.sgd = ridge, folds, cross_epsilon, sgd

    def search(self, problem: Problem) -> DebiasingResult:
        """Sweep c, then refine the grid and descend where the options say so."""
        layer, _ = linear_layer(problem.network, self.layer)
        folds = (0 if sees_attribute(problem) else 4) if self.folds < 0 else self.folds
        if folds:
            return self._cross_fitted(problem, layer, folds)
        incumbent, edit = Incumbent(problem), direction(problem.material, layer, ridge=self.ridge)
        grid = self._grid(problem) * edit.scale
        step = float(grid[1] - grid[0])
        for _ in range(1 + self.refine):
            best = self._offer(incumbent, edit, layer, grid)
            center = float(grid[best.argmax()])
            grid = center + torch.linspace(-step, step, 21, device=grid.device)
            step /= 10
        if self.sgd:
            start = {**incumbent.state}
            tune(problem, incumbent, start, Sgd(lr=0.02, steps=self.sgd), scope=[layer])
        return incumbent.result()

    def _grid(self, problem: Problem) -> Tensor:
        """Return the sizes of the edits, in units of the direction's scale."""
        return torch.linspace(-self.reach, self.reach, self.points, device=problem.x.device)

    def _offer(self, incumbent: Incumbent, edit: Direction, layer: str, grid: Tensor) -> Best:
        problem, state = incumbent.problem, incumbent.problem.state()
        parts = [problem.batched_scores(edit.stack(layer, state, c)) for c in grid.split(problem.chunk)]
        best = problem.best(torch.cat(parts))

        def edited(i: int) -> State:
            return {name: v[0] for name, v in edit.stack(layer, state, grid[i : i + 1]).items()}

        incumbent.offer(best, edited, "edit")
        return best

    def _cross_fitted(self, problem: Problem, layer: str, folds: int) -> DebiasingResult:
        """Choose c (in units of each direction's scale) and the threshold by out-of-fold scores."""
        # Every row is scored with a direction estimated without it, so that selection sees no fitted noise
        # (cross-validation; Stone 1974); the reported edit uses the direction of all rows.
        state, grid = problem.state(), self._grid(problem)
        scores = problem.x.new_zeros(self.points, len(problem.y))
        for fold in fold_rows(problem, folds):
            outside = torch.ones_like(problem.y, dtype=torch.bool)
            outside[fold] = False
            edit = direction(problem, layer, ridge=self.ridge, rows=outside.nonzero()[:, 0])
            stack = edit.stack(layer, state, grid * edit.scale)
            scores[:, fold] = problem.batched_scores(stack, problem.x[fold])
        objective = problem.objective
        if self.cross_epsilon is not None:
            objective = dataclasses.replace(objective, epsilon=self.cross_epsilon, margin=0.0)
        selection = dataclasses.replace(problem, objective=objective)
        best = selection.best(scores)
        i, full = best.argmax(), direction(problem, layer, ridge=self.ridge)
        edited = {n: v[0] for n, v in full.stack(layer, state, grid[i : i + 1] * full.scale).items()}
        trace: list[dict[str, Any]] = [{"what": "cross-fitted", "phi": float(p)} for p in best.phi]
        return problem.result({**state, **edited}, best, i, trace=trace, evaluations=self.points * folds)


def sees_attribute(problem: Problem) -> bool:
    """Tell whether some input column determines the attribute."""
    if problem.x.ndim != 2:
        return False
    x, a = problem.x.double(), problem.a.double()
    joint = torch.corrcoef(torch.cat([a[None], x.T]))[0, 1:]
    return bool((joint.nan_to_num().abs() > 1 - 1e-6).any())


def fold_rows(problem: Problem, folds: int) -> list[Tensor]:
    """Return the rows of each fold, stratified by the cells of attribute and label."""
    order = torch.randperm(len(problem.y), generator=torch_generator(problem.seed, "folds"))
    order = order.to(problem.y.device)
    cell = (2 * problem.a + problem.y)[order]
    order = order[cell.sort(stable=True).indices]
    return [order[start::folds] for start in range(folds)]
