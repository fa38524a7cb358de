"""Equal mean predictions of a regression: the least change by a linear branch beside the network.

With H the inputs of the branch, S their covariance plus a ridge, D the groups' mean inputs (less the mean of
all) as columns, m the groups' mean predictions and m* the nearest means whose gap is the bound:

    w = S^{-1} D (D' S^{-1} D)^+ (m* - m),   f'(x) = f(x) + w'h + c

Among all linear branches with these group means this one changes predictions least, in S; c leaves the mean
of all predictions as it is. Of two groups m* - m is the clipping d'w - clip(d'w, -t, t) of their difference
(a least-norm problem with equality constraints; Boyd & Vandenberghe 2004, section 10.1).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.fairness.groups import Groups
from sevenfold.fairness.inputs import Inputs, groups_from
from sevenfold.fairness.network import logits_of
from sevenfold.fairness.outcomes import MeanGap, group_means, mean_gap, parts_of_groups
from sevenfold.fairness.steered import INPUTS, last_linear, pooled, tapped
from sevenfold.ranges import Checked, NonNegative, Positive

Floats = NDArray[np.float64]


class Branched(nn.Module):
    """A network with one number a row, and a linear branch that is added to it, in float64.

    Args:
        network: gives (n,) or (n, 1).
        slope: (features,).
        constant: added to all.
        tap: ``inputs``, or the name of the layer whose input the branch sees.

    Example:
        >>> branched = Branched(nn.Linear(2, 1), torch.zeros(2), 1.0)
        >>> x = torch.randn(3, 2)
        >>> bool(torch.allclose(branched(x), branched.network(x)[:, 0].double() + 1))
        True
    """

    slope: Tensor
    constant: Tensor

    def __init__(self, network: nn.Module, slope: Tensor, constant: float, tap: str = INPUTS) -> None:
        super().__init__()
        self.network, self.tap = network, tap
        self.register_buffer("slope", slope.double())
        self.register_buffer("constant", torch.tensor(constant, dtype=torch.float64))

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's predictions (n,) and what the branch sees (n, features), in float64."""
        if self.tap == INPUTS:
            out, h = self.network(x), x
        else:
            with tapped(self.network, self.tap) as taken:
                out = self.network(x)
            h = pooled(taken[0])
        values = logits_of(out)
        flat = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
        if flat.ndim != 1:
            raise InputError(f"the module returns {tuple(values.shape)}; expected one number a row")
        return flat.double(), h.double()

    def forward(self, x: Tensor) -> Tensor:
        """Return predictions (n,)."""
        values, h = self.parts(x)
        return values + h @ self.slope + self.constant


@dataclass(frozen=True)
class ParityResult:
    """A network whose mean predictions differ by the bound at most on the rows of the fit.

    Attributes:
        module: maps x to predictions (n,); no group is needed.
        before: the gap of the network given, with the interval of level 0.9.
        after: that of the new one; no estimate for new people.
        shift: root mean square of the change of predictions.
        groups: of the fit.
    """

    module: Branched
    before: MeanGap
    after: MeanGap
    shift: float
    groups: Groups


class MeanParity(Checked):
    """Bound the largest gap of the groups' mean predictions of a regression, for any number of groups.

    Args:
        bound: the gap, in units of the outcome.
        where: the branch sees the ``input``, or what the last linear layer (``head``) sees.
        ridge: of the covariance, in units of its mean eigenvalue.
        batch_size: rows of a forward pass.

    Example:
        >>> x, a = torch.randn(400, 3), torch.arange(400) % 2
        >>> x[:, 0] += a
        >>> result = MeanParity(bound=0.1).fit(nn.Linear(3, 1), x, a)
        >>> result.after.gap <= 0.1 + 1e-9
        True
    """

    def __init__(
        self,
        *,
        bound: NonNegative = 0.0,
        where: Literal["input", "head"] = "input",
        ridge: Positive = 0.1,
        batch_size: int = 4096,
    ) -> None:
        if batch_size < 1:
            raise ConfigError("batch_size", f"must be at least 1, got {batch_size}")
        self.bound, self.where, self.ridge, self.batch_size = bound, where, ridge, batch_size

    def fit(self, module: nn.Module, x: Any, sensitive_features: Any, weights: Any = None) -> ParityResult:
        """Return the network with its branch, fitted to rows x and groups; outcomes are not needed."""
        rows = Inputs.of(module, x).convert(x)
        people = groups_from(sensitive_features, None)
        tap = INPUTS if self.where == "input" else last_linear(module)
        if tap == INPUTS and rows.ndim != 2:
            raise ConfigError("where", f"inputs have shape {tuple(rows.shape)}; use head")
        plain = Branched(module.eval(), torch.zeros(1), 0.0, tap)
        with torch.no_grad():
            both = [plain.parts(part) for part in rows.split(self.batch_size)]
        f, h = (torch.cat([pair[i] for pair in both]).cpu() for i in (0, 1))
        slope = self.slope(f, h, people, weights)
        known = people.cell.cpu() >= 0
        w = torch.ones(len(f)) if weights is None else torch.as_tensor(np.asarray(weights))
        center = (w[known].double() / w[known].double().sum()) @ h[known]
        constant = -float(center @ slope)
        branched = Branched(module, slope.to(rows.device), constant, tap).to(rows.device)
        edited = f + h @ slope + constant
        before, after = (mean_gap(values, people, weights=weights) for values in (f, edited))
        return ParityResult(branched, before, after, float((edited - f).square().mean().sqrt()), people)

    def slope(self, f: Tensor, h: Tensor, people: Groups, weights: Any = None) -> Tensor:
        """Return the branch (features,) for predictions f (n,) and features h (n, features)."""
        means = group_means(f, people, weights)
        if means.max() - means.min() <= self.bound:
            return torch.zeros(h.shape[1], dtype=torch.float64)
        columns = [group_means(column, people, weights) for column in h.T]
        sizes = np.array([w.sum() for _, w in parts_of_groups(f, people, weights)])
        share = sizes / sizes.sum()
        d = np.array(columns)
        d = d - (d @ share)[:, None]
        s = np.atleast_2d(np.cov(h.numpy().T))
        s += self.ridge * max(np.diag(s).mean(), 1e-12) * np.eye(len(s))
        reach = np.linalg.solve(s, d)
        # D' S^{-1} D has the rank of the groups less one
        inverse = np.linalg.pinv(d.T @ reach, rcond=1e-10)
        # the mean of all predictions stays, so that a common shift of the groups' means is no change
        still = np.eye(len(means)) - np.outer(np.ones(len(means)), share)
        change = still @ (nearest(means, self.bound, still.T @ inverse @ still) - means)
        slope = reach @ (inverse @ change)
        moved = means + d.T @ slope
        if abs(moved.max() - moved.min() - self.bound) > 1e-9 * max(1.0, np.abs(means).max()):
            raise InputError(
                "no linear branch can bring the groups' means together: their mean inputs are the same; "
                "use where: head, or inputs that differ between groups"
            )
        return torch.as_tensor(slope)


def nearest(means: Floats, bound: float, metric: Floats) -> Floats:
    """Return means clipped to the window of a given width that changes them least, in a metric.

    >>> nearest(np.array([0.0, 1.0]), 0.5, np.eye(2)).tolist()
    [0.25, 0.75]
    """
    from scipy.optimize import minimize_scalar

    low, high = float(means.min()), float(means.max()) - bound

    def cost(start: float) -> float:
        change = np.clip(means, start, start + bound) - means
        return float(change @ metric @ change)

    start = minimize_scalar(cost, bounds=(low, high), method="bounded", options={"xatol": 1e-10}).x
    # of two groups any window is as good: the metric does not see a common shift
    middle = (low + high) / 2
    start = middle if cost(middle) <= cost(start) * (1 + 1e-9) else float(start)
    return np.clip(means, start, start + bound)
