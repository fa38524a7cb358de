"""The objective of a search: performance under one bound or several on the bias, in three forms."""

import ast
import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.errors import InputError, suggest
from sevenfold.fairness.confusion import Confusion, Empty
from sevenfold.fairness.expressions import Absolute, Expression, Loss, parse
from sevenfold.fairness.inference import ALPHA, interval
from sevenfold.fairness.measures import performance
from sevenfold.ranges import Positive, Share

PERFORMANCES = ("balanced_accuracy", "accuracy", "macro_recall")
FIXED = {"four_fifths": ["ratio(selection) >= 0.8"], "min_max": []}
"""Criteria whose bound is part of them; ``min_max`` has none and maximizes the worst group's accuracy."""
ROUNDING = 1e-12


@dataclass(frozen=True)
class Constraint:
    """A bound on an expression, ``gap(selection) <= 0.05``.

    Args:
        expression: what is bounded.
        sense: ``<``, ``<=``, ``>`` or ``>=``.
        bound: the number.
    """

    expression: Expression
    sense: Literal["<", "<=", ">", ">="]
    bound: float

    @classmethod
    def of(cls, text: str, classes: tuple[str, ...] = ()) -> "Constraint":
        """Return the constraint that a text means.

        >>> str(Constraint.of("max(gap(fpr), gap(tpr)) <= 0.05"))
        'max(gap(fpr), gap(tpr)) <= 0.05'
        """
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, AttributeError):
            tree = None
        symbols = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
        if not isinstance(tree, ast.Compare) or len(tree.ops) != 1 or type(tree.ops[0]) not in symbols:
            raise InputError(f"'{text}' is no constraint; expected such as gap(selection) <= 0.05")
        try:
            bound = float(ast.literal_eval(tree.comparators[0]))
        except (ValueError, TypeError):
            bound = math.inf
        if not math.isfinite(bound):
            raise InputError(f"'{text}': the right side must be a number that is finite")
        sense: Any = symbols[type(tree.ops[0])]
        return cls(parse(ast.unparse(tree.left), classes), sense, bound)

    def excess(self, value: Tensor, margin: Tensor | float = 0.0) -> Tensor:
        """Return how far a value is beyond the bound less the margin; NaN stays NaN."""
        if self.sense in (">", ">="):
            return self.bound + margin - value
        return value + margin - self.bound

    def holds(self, excess: Tensor) -> Tensor:
        """Tell where an excess meets the bound; an undefined one does not."""
        return excess < 0 if self.sense in ("<", ">") else excess <= ROUNDING

    def __str__(self) -> str:
        return f"{self.expression} {self.sense} {self.bound:g}"


@dataclass(frozen=True)
class Objective:
    """The value of a set of decisions: performance, bias and bound combined.

    ``value`` takes the counts of any number of candidates at once.

    Args:
        measure: one of ``MEASURES``, a criterion of ``sevenfold.fairness.expressions.PRESETS``,
            ``four_fifths`` or ``min_max``, or an expression such as ``gap(selection)``.
        epsilon: the bound on its absolute value.
        margin: distance from the bound that a search leaves, so that new data meet the bound too: a number,
            one for each constraint, or ``auto``, the distance from the end of the one-sided 95 % interval.
        kind: ``constrained``: performance where |bias| < epsilon, else 0; ``smooth``: performance over
            1 + exp(sharpness (|bias| - epsilon)); ``linear``: weight |bias| + (1 - weight)(1 - accuracy),
            negated, under which a constant decision is nearly best: for comparison only.
        performance: ``balanced_accuracy``, ``accuracy``, or ``macro_recall`` of more than two classes.
        maximize: an expression in its place, such as ``worst(accuracy)``.
        constraints: bounds that must all be met, such as ``gap(selection) <= 0.05``; in place of measure and
            epsilon where there are any.
        empty: what a rate over nobody is; ``nan`` counts as infeasible.
        sharpness: of ``smooth``: how fast performance fades beyond the bound.
        weight: of the bias in ``linear``.

    Example:
        >>> Objective(measure="eod", epsilon=0.1).epsilon
        0.1
        >>> [str(c) for c in Objective(constraints=["gap(tpr) <= 0.1", "loss(selection) <= 0.02"]).terms]
        ['gap(tpr) <= 0.1', 'loss(selection) <= 0.02']
    """

    measure: str = "spd"
    epsilon: Positive = 0.05
    margin: Any = 0.01
    kind: Literal["constrained", "smooth", "linear"] = "constrained"
    performance: Literal["balanced_accuracy", "accuracy", "macro_recall"] = "balanced_accuracy"
    maximize: str | None = None
    constraints: list[str] = field(default_factory=list)
    sharpness: Positive = 500.0
    weight: Share = 0.75
    empty: Empty = "nan"

    def __post_init__(self) -> None:
        if isinstance(self.constraints, str):
            raise ConfigError("constraints", f"must be a list, such as [{self.constraints!r}]")
        # a tuple, so that objectives can be keys
        object.__setattr__(self, "constraints", tuple(self.constraints))
        which = "constraints" if self.constraints else "measure"
        for key, check in ((which, lambda: self.terms), ("maximize", lambda: self.goal)):
            try:
                check()
            except ConfigError:
                raise
            except InputError as error:
                raise ConfigError(key, str(error)) from None
        if not self.epsilon > 0:
            raise ConfigError("epsilon", f"must be above 0, got {self.epsilon}")
        self._check_margin()
        if self.kind != "constrained" and (self.constraints or self.measure in FIXED):
            raise ConfigError("kind", f"'{self.kind}' combines one measure with a bound; use constrained")

    def _check_margin(self) -> None:
        terms = self.terms
        margins = self.margin if isinstance(self.margin, list | tuple) else [self.margin] * len(terms)
        if len(margins) != len(terms):
            raise ConfigError("margin", f"has {len(margins)} values for {len(terms)} constraints")
        for margin, term in zip(margins, terms, strict=True):
            good = margin == "auto" or (isinstance(margin, int | float) and margin >= 0)
            # a margin beyond the bound would leave nothing to search
            if not good or (margin != "auto" and not self.constraints and margin >= abs(term.bound)):
                raise ConfigError("margin", f"must be 'auto' or in [0, epsilon), got {margin!r}")

    @cached_property
    def expression(self) -> Expression:
        """Return what ``mu`` is: the measure, or the expression of the first constraint."""
        if self.constraints:
            return self.terms[0].expression
        if self.measure == "min_max":
            return parse("worst(accuracy)")
        return parse(self.measure)

    @cached_property
    def terms(self) -> tuple[Constraint, ...]:
        """Return the constraints, of which ``measure`` and ``epsilon`` make one where none are listed."""
        if self.constraints or self.measure in FIXED:
            return tuple(Constraint.of(text) for text in self.constraints or FIXED[self.measure])
        measure = self.expression
        return (Constraint(Absolute((measure,)) if measure.signed else measure, "<", self.epsilon),)

    @cached_property
    def goal(self) -> Expression | str:
        """Return what is maximized: the name of a performance, or an expression."""
        if self.maximize is None:
            return parse("worst(accuracy)") if self.measure == "min_max" else self.performance
        if self.maximize in PERFORMANCES:
            return self.maximize
        if "(" not in self.maximize:
            raise ConfigError(
                "maximize", f"'{self.maximize}' is unknown. {suggest(self.maximize, PERFORMANCES)}"
            )
        return parse(self.maximize)

    @property
    def single(self) -> bool:
        """Tell whether the only bound is epsilon on one measure, whose signed value is ``mu``."""
        return not self.constraints and self.measure not in FIXED

    @property
    def judged(self) -> Constraint:
        """Return the first bound on the decisions alone, by which they are judged; losses are none."""
        for term in self.terms:
            if "loss(" not in str(term):
                return term
        raise ConfigError("constraints", "needs a bound that is no loss, such as gap(selection) <= 0.05")

    @property
    def title(self) -> str:
        """Return a name such as ``spd@0.05``, or ``loss(tpr) <= 0.02 + gap(tpr)@0.05`` of several bounds."""
        if self.single:
            return f"{self.measure}@{self.epsilon:g}"
        others = [f"{term} + " for term in self.terms if term != self.judged]
        return f"{''.join(others)}{self.judged.expression}@{self.judged.bound:g}".replace("/", "|")

    @property
    def free(self) -> "Objective":
        """Return the objective without any bound."""
        if self.single:
            return replace(self, kind="constrained", epsilon=1e9, margin=0.0)
        goal = self.maximize or ("worst(accuracy)" if self.measure == "min_max" else self.performance)
        return replace(self, measure="min_max", maximize=goal, constraints=[], margin=0.0)

    @property
    def compares(self) -> bool:
        """Tell whether a constraint compares with the base network's decisions."""
        texts = [str(term) for term in self.terms]
        return any("loss(" in text for text in texts) or isinstance(self.goal, Loss)

    def value(
        self, confusion: Confusion, *, search: bool = True, base: Confusion | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return phi, rho and mu, (...), of counts; ``search`` applies the margin."""
        return self.evaluate(confusion, search=search, base=base)[:3]

    def evaluate(
        self, confusion: Confusion, *, search: bool = True, base: Confusion | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return phi, rho, mu and how far the bounds are missed, by which ties are resolved."""
        confusion = confusion.defined(self.empty)
        goal = self.goal
        rho = performance(goal, confusion) if isinstance(goal, str) else goal.value(confusion, base)
        mu = self.expression.value(confusion, base)
        if self.single:
            return self.combine(rho, mu, confusion, search=search), rho, mu, mu.abs().nan_to_num(nan=1e9)
        met = torch.ones_like(rho, dtype=torch.bool)
        missed = torch.zeros_like(rho)
        for i, term in enumerate(self.terms):
            value = term.expression.value(confusion, base)
            excess = term.excess(value, self.slack(i, confusion, value) if search else 0.0)
            met, missed = met & term.holds(excess), missed + excess.clamp(min=0).nan_to_num(nan=1e9)
        return torch.where(met, rho, torch.zeros_like(rho)).nan_to_num(nan=0.0), rho, mu, missed

    def met(self, confusion: Confusion, base: Confusion | None = None) -> bool:
        """Tell whether one set of decisions meets every bound."""
        confusion = confusion.defined(self.empty)
        return all(bool(t.holds(t.excess(t.expression.value(confusion, base)))) for t in self.terms)

    def combine(self, rho: Tensor, mu: Tensor, confusion: Confusion, *, search: bool) -> Tensor:
        """Return phi of one measure; an undefined performance or measure has the least value."""
        # phi = rho if |mu| < eps, else 0   (Savani et al. 2020); the search subtracts a margin from eps
        excess = self.terms[0].excess(mu.abs(), self.slack(0, confusion, mu.abs()) if search else 0.0)
        # First version of the paper: minimize lambda |mu| + (1 - lambda)(1 - accuracy).
        if self.kind == "linear":
            wrong = 1 - performance("accuracy", confusion)
            return torch.nan_to_num(-self.weight * mu.abs() - (1 - self.weight) * wrong, nan=-1.0)
        # rho / (1 + exp(k (|mu| - eps))), written with a sigmoid that does not overflow
        if self.kind == "smooth":
            return torch.nan_to_num(rho * torch.sigmoid(-self.sharpness * excess), nan=0.0)
        return torch.where(excess < 0, rho, torch.zeros_like(rho)).nan_to_num(nan=0.0)

    def slack(self, term: int, confusion: Confusion, value: Tensor) -> Tensor | float:
        """Return the margin of a constraint, a number or one for each count."""
        margin = self.margin[term] if isinstance(self.margin, list | tuple) else self.margin
        if margin != "auto":
            return float(margin)
        # the end of the interval that the verdict "met" looks at: then it is met on these rows, too
        constraint = self.terms[term]
        low, high = interval(constraint.expression, confusion, level=1 - 2 * ALPHA)
        return value - low if constraint.sense in (">", ">=") else high - value
