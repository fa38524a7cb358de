"""Debias any trained network from validation rows, with scikit-learn's conventions."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sevenfold.config import ConfigError, build, suggest
from sevenfold.errors import InputError
from sevenfold.fairness import METHODS
from sevenfold.fairness.audit import Audit
from sevenfold.fairness.confusion import check_weights
from sevenfold.fairness.data.table import small_cells
from sevenfold.fairness.groups import TWO, Groups
from sevenfold.fairness.inputs import Inputs, groups_from, joined, labels_of
from sevenfold.fairness.intra.base import Problem
from sevenfold.fairness.network import Logits
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.packing import Purpose, packed


class Debiaser(ClassifierMixin, BaseEstimator):
    """Make a trained binary classifier fair on validation rows, without retraining.

    ``fit(x, y, a)`` takes rows (n, ...), labels (n,) and groups of any number; ``predict(x)`` gives
    decisions (n,) and needs no group.

    Args:
        module: the network; it is never changed. It returns one logit, two logits, or a probability per row.
            Everything is computed on the device of its parameters, whatever device rows come from.
        method: one of ``METHODS``.
        method_options: options of its constructor.
        measure, epsilon, margin: the criterion, its bound, and the safety margin of the search.
        objective: options of :class:`~sevenfold.fairness.objective.Objective` in their place, such as
            ``{"constraints": ["gap(tpr) <= 0.05"]}``.
        groups: options of :meth:`~sevenfold.fairness.groups.Groups.of`, such as
            ``{"spec": {"age": ">= 25"}}``; null takes 0/1 codes as two groups and other values as they are.
        favorable: the good one of two values of the label; null where it is 1 of 0 and 1.
        output: what the module returns: ``logit``, ``two_logits``, ``probability``, or ``auto``, which
            infers it from the module.
        valid_split: share of the rows that weights are tuned on, the threshold being chosen on the rest;
            null uses all rows for both.
        batch_size: rows of a forward pass.
        purpose: what the decisions are for, in words, for the card.
        seed: of all random numbers.

    After ``fit``, ``module_`` is a module that gives a number above 0 for decision 1, ``threshold_`` is 0,
    ``result_`` the record with trace and figures on the rows of the fit and ``verdict_`` their audit (no
    estimate for new people), ``card_`` what is to be known of it, ``groups_`` the groups, and ``flags_`` a
    list of warnings in words.

    Example:
        >>> import torch
        >>> x, a = torch.randn(400, 4), torch.arange(400) % 2
        >>> y = (x[:, 0] + a > 0.5).long()
        >>> network = torch.nn.Linear(4, 1)
        >>> decisions = Debiaser(network, measure="spd").fit(x, y, sensitive_features=a).predict(x)
    """

    def __init__(
        self,
        module: nn.Module | None = None,
        *,
        method: str = "bias_score",
        method_options: dict[str, Any] | None = None,
        measure: str = "spd",
        epsilon: float = 0.05,
        margin: Any = 0.01,
        objective: dict[str, Any] | None = None,
        groups: dict[str, Any] | None = None,
        favorable: Any = None,
        output: str = "auto",
        valid_split: float | None = None,
        batch_size: int = 4096,
        purpose: str = "not stated",
        seed: int = 0,
    ) -> None:
        self.module, self.method, self.method_options = module, method, method_options
        self.measure, self.epsilon, self.margin = measure, epsilon, margin
        self.objective, self.groups, self.favorable = objective, groups, favorable
        self.output, self.valid_split, self.seed = output, valid_split, seed
        self.batch_size, self.purpose = batch_size, purpose

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any = None,
        sensitive_features: Any = None,
        sample_weight: Any = None,
    ) -> "Debiaser":
        """Search on rows X with labels y and groups: 0/1 codes (1 = privileged), or columns of any kind.

        ``X`` alone may be an iterable of batches (x, y, a), or of mappings with these keys.
        """
        method, objective = self._checked()
        assert self.module is not None
        if y is None:
            X, y, sensitive_features = joined(X)  # noqa: N806
        problem, people, inputs = self._problem(X, y, sensitive_features, sample_weight, objective)
        self.result_ = method.fit(problem)
        what = Purpose({"name": self.method, **(self.method_options or {})}, self.favorable, self.purpose,
                       batch_size=self.batch_size)  # fmt: skip
        self.verdict_: Audit
        self.debiased_, self.verdict_ = packed(problem, self.result_, inputs, people, what)
        whole = cast(Any, self.debiased_.module)
        self.module_, self.logits_ = whole, cast(nn.Module, whole.network)
        self.card_, self.threshold_ = self.debiased_.card, 0.0
        self.groups_, self.classes_ = people, np.array([0, 1])
        self.n_features_in_ = int(np.prod(inputs.shape))
        self.flags_ = self._flags(problem, people)
        return self

    def _checked(self) -> tuple[Any, Objective]:
        if self.module is None or self.method not in METHODS:
            raise ConfigError("method", f"needs a module and a method. {suggest(self.method, METHODS)}")
        if self.valid_split is not None and not 0 < self.valid_split < 1:
            raise ConfigError(
                "valid_split", f"must be null or a share between 0 and 1, got {self.valid_split}"
            )
        if not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise ConfigError("batch_size", f"must be a whole number above 0, got {self.batch_size!r}")
        method = build(METHODS, {**(self.method_options or {}), "name": self.method}, "method")
        plain = {"measure": self.measure, "epsilon": self.epsilon, "margin": self.margin}
        options = plain if self.objective is None else dict(self.objective)
        unknown = [key for key in options if key not in Objective.__dataclass_fields__]
        if unknown:
            near = suggest(unknown[0], Objective.__dataclass_fields__)
            raise ConfigError("objective", f"has no option '{unknown[0]}'. {near}")
        return method, Objective(**options)

    def _problem(
        self, x: Any, y: Any, sensitive: Any, weight: Any, objective: Objective
    ) -> tuple[Problem, Groups, Inputs]:
        """Return the problem on checked rows, with the groups and the inputs that the network takes."""
        assert self.module is not None
        inputs = Inputs.of(self.module, x)
        rows = inputs.convert(x)
        labels = labels_of(y, self.favorable, rows.device)
        people = groups_from(sensitive, self.groups)
        if not len(rows) == len(labels) == len(people.cell):
            sizes = f"{len(rows)}, {len(labels)} and {len(people.cell)}"
            raise InputError(f"X, y and sensitive_features have {sizes} rows")
        if len(set(labels.tolist())) < 2:
            raise InputError("the label must be 0 and 1, both present: all rows have one value")
        weights = None if weight is None else check_weights(torch.as_tensor(np.asarray(weight)), len(rows))
        problem = Problem(
            Logits(self.module, self.output), rows, labels, people.cell.to(rows.device), objective,
            seed=self.seed, layout=people.layout, rows=self.batch_size,
            weights=None if weights is None else weights.double().to(rows.device),
        )  # fmt: skip
        # Tuning and selection on the same rows are optimistic: valid_split separates the two.
        if self.valid_split is not None:
            problem = problem.tune_select_split(self.valid_split)
        scored = problem.scores()
        if scored.shape != (len(problem.y),) or not scored.isfinite().all():
            raise InputError(
                f"the module's logits are {tuple(scored.shape)} or not finite; expected one a row"
            )
        objective.value(problem.counts(scored > 0), base=problem.base if objective.compares else None)
        return problem, people, inputs

    def _flags(self, problem: Problem, people: Groups) -> list[str]:
        plain = problem.layout is TWO
        flags = [f"few rows, {cell}" for cell in small_cells(problem.y, problem.a)] if plain else []
        flags += [flag for flag in [*people.flags, *self.verdict_.flags] if flag not in flags]
        if not self.result_.met:
            bounds = " and ".join(map(str, problem.objective.terms))
            value = f"{problem.objective.expression} is {self.result_.mu:.3f} at best"
            flags.append(f"nothing meets the bound on these rows ({bounds}): {value}")
        if self.result_.estimated:
            flags.append(
                "no attribute is asked for at prediction, but an estimate of it is computed; that may itself "
                "need a legal basis"
            )
        if self.result_.constant:
            flags.append("everybody gets the same decision: the bound leaves nothing better")
        return flags

    def decision_function(self, X: Any) -> Any:  # noqa: N803
        """Return distances to the threshold, above 0 for decision 1."""
        check_is_fitted(self, "module_")
        return self.debiased_.decision_function(X)

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return decisions, 1 where the score is above the threshold. No attribute is needed."""
        check_is_fitted(self, "module_")
        return self.debiased_.predict(X)

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        """Return calibrated probabilities of both labels, (n, 2); decisions are those of ``predict``."""
        check_is_fitted(self, "module_")
        return self.debiased_.predict_proba(X)

    def audit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sensitive_features: Any,
        sample_weight: Any = None,
    ) -> Audit:
        """Return what the decisions about other labelled people say."""
        check_is_fitted(self, "module_")
        return self.debiased_.audit(X, y, sensitive_features, sample_weight)

    def save(self, path: str | Path, *, allow_constant: bool = False) -> Path:
        """Write one file without code, which ``sevenfold.fairness.artefact.load_debiased`` reads."""
        check_is_fitted(self, "module_")
        return self.debiased_.save(path, allow_constant=allow_constant)


def mlp_module(classifier: Any) -> nn.Sequential:
    """Return a fitted scikit-learn ``MLPClassifier`` for two classes as a module that gives one logit."""
    if not hasattr(classifier, "coefs_") or classifier.out_activation_ != "logistic":
        raise InputError("expected a fitted MLPClassifier with two classes")
    kinds = {"relu": nn.ReLU, "tanh": nn.Tanh, "logistic": nn.Sigmoid, "identity": nn.Identity}
    layers: list[nn.Module] = []
    for weight, bias in zip(classifier.coefs_, classifier.intercepts_, strict=True):
        linear = nn.Linear(*weight.shape)
        # scikit-learn stores weights as (inputs, outputs), torch as (outputs, inputs)
        linear.load_state_dict({"weight": torch.as_tensor(weight.T), "bias": torch.as_tensor(bias)})
        layers += [linear, kinds[classifier.activation]()]
    return nn.Sequential(*layers[:-1]).float()
