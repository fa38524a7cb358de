"""Debias any trained network from validation rows, with scikit-learn's conventions."""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sevenfold.config import ConfigError, build, suggest
from sevenfold.errors import InputError
from sevenfold.fairness import METHODS
from sevenfold.fairness.data.table import check_groups, check_labels, small_cells
from sevenfold.fairness.intra.base import Problem
from sevenfold.fairness.network import Logits
from sevenfold.fairness.objective import Objective


class Debiaser(ClassifierMixin, BaseEstimator):
    """Make a trained binary classifier fair on validation rows, without retraining (Savani et al. 2020).

    ``fit(x, y, a)`` takes rows (n, ...), labels (n,) and groups (n,); ``predict(x)`` gives decisions (n,).

    Args:
        module: the network; it is never changed. It returns one logit, two logits, or a probability per row.
            Everything is computed on the device of its parameters, whatever device rows come from.
        method: one of ``METHODS``.
        method_options: options of its constructor.
        measure, epsilon, margin: the measure of bias, its bound, and the safety margin of the search.
        output: what the module returns: ``logit``, ``two_logits``, ``probability``, or ``auto``, which
            infers it from the module.
        valid_split: share of the rows that weights are tuned on, the threshold being chosen on the rest;
            null uses all rows for both.
        seed: of all random numbers.

    After ``fit``, ``module_`` is a plain module of the class of ``module``, ``threshold_`` the threshold on
    its logit, ``result_`` the record with trace and figures on the rows of the fit (no estimate for new
    people), and ``flags_`` a list of warnings in words.

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
        method: str = "rank_one",
        method_options: dict[str, Any] | None = None,
        measure: str = "spd",
        epsilon: float = 0.05,
        margin: Any = 0.01,
        output: str = "auto",
        valid_split: float | None = None,
        seed: int = 0,
    ) -> None:
        self.module, self.method, self.method_options = module, method, method_options
        self.measure, self.epsilon, self.margin = measure, epsilon, margin
        self.output, self.valid_split, self.seed = output, valid_split, seed

    def fit(self, X: Any, y: Any = None, sensitive_features: Any = None) -> "Debiaser":  # noqa: N803
        """Search on rows X with labels y (1 = favorable) and groups (1 = privileged).

        ``X`` alone may be an iterable of batches (x, y, a), or of mappings with these keys.
        """
        if self.module is None or self.method not in METHODS:
            raise ConfigError("method", f"needs a module and a method. {suggest(self.method, METHODS)}")
        if self.valid_split is not None and not 0 < self.valid_split < 1:
            raise ConfigError(
                "valid_split", f"must be null or a share between 0 and 1, got {self.valid_split}"
            )
        method = build(METHODS, {**(self.method_options or {}), "name": self.method}, "method")
        objective = Objective(measure=self.measure, epsilon=self.epsilon, margin=self.margin)
        x, labels, groups = rows(X, y, sensitive_features, place_of(self.module))
        network = Logits(self.module, self.output)
        problem = Problem(network, x, labels, groups, objective, seed=self.seed)
        # Tuning and selection on the same rows are optimistic: valid_split separates the two.
        if self.valid_split is not None:
            problem = problem.tune_select_split(self.valid_split)
        scored = problem.scores()
        if scored.shape != (len(problem.y),) or not scored.isfinite().all():
            raise InputError(
                f"the module's logits are {tuple(scored.shape)} or not finite; expected one a row"
            )
        self.result_ = method.fit(problem)
        adapted = problem.clone()
        adapted.load_state_dict({**adapted.state_dict(), **self.result_.state})
        # A method returns only the parameters that it changed; buffers stay those of the clone.
        self.logits_, self.threshold_ = adapted, self.result_.threshold
        self.module_: nn.Module = adapted.module  # type: ignore[assignment]
        self.flags_ = self._flags(problem)
        self.classes_, self.n_features_in_ = np.array([0, 1]), int(x[0].numel())
        return self

    def _flags(self, problem: Problem) -> list[str]:
        flags = [f"few rows, {cell}" for cell in small_cells(problem.y, problem.a)]
        if not self.result_.met:
            flags.append(f"nothing meets the bound: |{self.measure}| is {abs(self.result_.mu):.3f} at best")
        if self.result_.constant:
            flags.append("everybody gets the same decision: the bound leaves nothing better")
        return flags

    def decision_function(self, X: Any) -> Any:  # noqa: N803
        """Return logits minus the threshold."""
        check_is_fitted(self, "module_")
        with torch.no_grad():
            logits = self.logits_.eval()(torch.as_tensor(X, device=place_of(self.logits_))).double()
        return (logits - self.threshold_).cpu().numpy()

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return decisions, 1 where the logit is above the threshold. No attribute is needed."""
        return (self.decision_function(X) > 0).astype(int)


def place_of(module: nn.Module) -> torch.device | None:
    """Return the device of a module's parameters or buffers; None where it has neither."""
    tensors = itertools.chain(module.parameters(), module.buffers())
    return next((tensor.device for tensor in tensors), None)


def host(values: Any) -> NDArray[Any]:
    """Return values of any device as an array."""
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)


def rows(
    X: Any,  # noqa: N803
    y: Any,
    a: Any,
    device: torch.device | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return tensors x, y, a on ``device`` (None: where X is) after checking them; batches are joined."""
    if y is None:
        if not isinstance(X, Iterable) or isinstance(X, Tensor | np.ndarray):
            raise InputError("give y and sensitive_features, or an iterable of batches (x, y, a)")
        parts = [[b[k] for k in ("x", "y", "a")] if isinstance(b, dict) else list(b)[:3] for b in X]
        X, y, a = (torch.cat([torch.as_tensor(v) for v in part]) for part in zip(*parts, strict=True))
    if a is None:
        raise InputError("sensitive_features is missing: 1 for the privileged group, 0 for the other")
    for values, check, what in ((y, check_labels, "the label"), (a, check_groups, "sensitive_features")):
        check(host(values), what)
    x = torch.as_tensor(X, device=device)
    if x.is_floating_point() and x.isnan().any():
        raise InputError(f"X has missing values in {int(x.isnan().sum())} places; fill or drop them first")
    if not len(x) == len(y) == len(a):
        raise InputError(f"X, y and sensitive_features have {len(x)}, {len(y)} and {len(a)} rows")
    labels, groups = (torch.as_tensor(host(values), device=x.device).long() for values in (y, a))
    return x, labels, groups


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
