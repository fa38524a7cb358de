"""A threshold for each group, exact for any number of groups where one gap is bounded.

All groups' rates lie in a window [t, t + eps]; t runs over the attainable rates, and every group takes its
best point within the window by a range maximum: O(n log n). Group thresholds are the form of the best rule
that uses the attribute (Hardt, Price & Srebro 2016, section 4; Corbett-Davies et al. 2017). Other criteria
are searched one threshold after another, each swept exactly, from three starts.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.fairness.confusion import Confusion
from sevenfold.fairness.expressions import Absolute, Difference, Expression, Gap
from sevenfold.fairness.groups import Groups, Layout, groups_of
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.threshold import best_threshold

Floats = NDArray[np.float64]
STRICT, ROUNDS = 1e-9, 10
OVER = {"selection": (0, 1), "tpr": (1,), "fpr": (0,)}


class Places(NamedTuple):
    """The thresholds of one cell, from nobody to everybody decided 1, and what is decided 1 at each."""

    thresholds: Floats
    positives: Floats  # (places, 2) by label
    totals: Floats  # (2,)


class GroupThresholds:
    """Thresholds by group, the best for the objective; the attribute is needed at prediction.

    Where nothing meets the bound, the thresholds that miss it least are chosen and ``met`` is False.

    Example:
        >>> import torch
        >>> y, a = torch.arange(200) % 2, torch.arange(200) // 100
        >>> post = GroupThresholds().fit(torch.rand(200) + 0.3 * a, y, a, Objective(margin=0.0))
        >>> post.met, post.predict_proba(torch.rand(5), a[:5]).shape
        (True, torch.Size([5]))
    """

    any_groups = True

    def __init__(self) -> None:
        self.thresholds, self.met = np.zeros(0), False

    def fit(self, scores: Tensor, y: Tensor, a: Tensor | Groups, objective: Objective) -> "GroupThresholds":
        """Choose the thresholds."""
        if objective.compares:
            raise ConfigError("constraints", "group_thresholds has no base network to compare losses with")
        people = groups_of(a)
        layout, s = people.layout, scores.double().cpu().numpy()
        code, label = (people.cell % layout.cells).cpu().numpy(), y.cpu().numpy()
        places = [cell_places(s[code == c], label[code == c]) for c in range(layout.cells)]
        counts = Table(places, layout, objective)
        rate = window_rate(objective, layout)
        chosen = None if rate is None else exact(places, layout, counts, rate)
        if chosen is None:
            common = float(best_threshold(scores[None], y, people, objective).threshold[0])
            above = [int((s[code == c] > common).sum()) for c in range(layout.cells)]
            # the best threshold for everybody is the first start, so that the result is no worse
            first = [int(np.searchsorted(p.positives.sum(1), n)) for p, n in zip(places, above, strict=True)]
            chosen = coordinates(counts, first)
        self.thresholds = np.array([p.thresholds[i] for p, i in zip(places, chosen, strict=True)])
        self.met = objective.met(counts.at(chosen))
        return self

    def predict_proba(self, scores: Tensor, a: Tensor | Groups) -> Tensor:
        """Return the decisions as probabilities 0 and 1."""
        people = groups_of(a)
        limits = torch.as_tensor(self.thresholds, device=scores.device)
        # an unknown group is the last cell
        return (scores.double() > limits[people.cell.to(scores.device)]).double()


def cell_places(scores: Floats, labels: NDArray[np.int64]) -> Places:
    """Return the distinct thresholds of a cell, descending, with the labels of people above each."""
    order = np.argsort(-scores, kind="stable")
    ordered, y = scores[order], labels[order]
    if not len(ordered):
        return Places(np.array([np.inf]), np.zeros((1, 2)), np.zeros(2))
    above = np.concatenate([[True], ordered[1:] < ordered[:-1], [True]])
    sums = np.concatenate([np.zeros((1, 2)), np.stack([1 - y, y], 1).cumsum(0)])
    middle = (ordered[1:] + ordered[:-1]) / 2
    # neighboring floats have no number between them
    middle = np.where(middle < ordered[:-1], middle, ordered[1:])
    return Places(np.concatenate([[np.inf], middle, [-np.inf]])[above], sums[above], sums[-1])


class Table:
    """The counts at a threshold for each cell, and their objective."""

    def __init__(self, places: list[Places], layout: Layout, objective: Objective) -> None:
        self.places, self.layout, self.objective = places, layout, objective
        self.totals = torch.as_tensor(np.stack([p.totals for p in places]))

    def at(self, chosen: list[int]) -> Confusion:
        """Return the counts at one place of every cell."""
        rows = np.stack([p.positives[i] for p, i in zip(self.places, chosen, strict=True)])
        return Confusion(torch.as_tensor(rows)[..., None], self.totals, self.layout)

    def along(self, chosen: list[int], cell: int) -> tuple[Tensor, Tensor]:
        """Return phi and how far bounds are missed at every place of one cell, the others as chosen."""
        start, line = self.at(chosen), torch.as_tensor(self.places[cell].positives)
        positives = start.positives.expand(len(line), *start.positives.shape).clone()
        positives[:, cell, :, 0] = line
        phi, _, _, missed = self.objective.evaluate(Confusion(positives, self.totals, self.layout))
        return phi, missed


def window_rate(objective: Objective, layout: Layout) -> str | None:
    """Return the rate whose gap is the only constraint and has an exact search, or None."""
    if len(objective.terms) != 1 or objective.goal not in ("balanced_accuracy", "accuracy"):
        return None
    expression: Expression = objective.terms[0].expression
    if isinstance(expression, Absolute):
        expression = expression.of[0]
    single = len(layout.families) == 1 and all(sum(row) == 1 for row in layout.member)
    fits = isinstance(expression, Gap) or (isinstance(expression, Difference) and len(layout.names) == 2)
    rate = getattr(expression, "rate", None)
    known = rate in OVER and objective.kind == "constrained" and objective.margin != "auto"
    return rate if single and fits and known else None


def exact(places: list[Places], layout: Layout, table: Table, rate: str) -> list[int] | None:
    """Return the best place of each cell with all rates in one window, None where there is no such window."""
    objective, totals = table.objective, table.totals.numpy().sum(0)
    term, labels = objective.terms[0], list(OVER[rate])
    margin = objective.margin[0] if isinstance(objective.margin, list | tuple) else objective.margin
    width = term.bound - float(margin) - (STRICT if term.sense == "<" else -STRICT)
    binding = [
        layout.member[g].index(True) for g in table.at([0] * len(places)).judged(rate, layout.family()[0])
    ]
    # balanced accuracy: each right favorable decision is worth 1 / (2 P), each wrong one -1 / (2 N)
    worth = np.array([-1.0, 1.0]) / (totals if objective.goal == "balanced_accuracy" else 1.0)
    gains = [p.positives @ worth for p in places]
    rates = {c: places[c].positives[:, labels].sum(1) / places[c].totals[labels].sum() for c in binding}
    if width < 0 or not binding or any(np.isnan(r).any() for r in rates.values()):
        return None
    starts = np.unique(np.concatenate(list(rates.values())))
    total = np.zeros(len(starts))
    best: dict[int, NDArray[np.int64]] = {}
    for c in binding:
        low = np.searchsorted(rates[c], starts - STRICT, side="left")
        high = np.searchsorted(rates[c], starts + width, side="right")
        best[c] = range_argmax(gains[c], low, high)
        total += np.where(best[c] < 0, -np.inf, gains[c][best[c]])
    window = int(total.argmax())
    if not np.isfinite(total[window]):
        return None
    free = [int(gain.argmax()) for gain in gains]
    return [int(best[c][window]) if c in best else free[c] for c in range(len(places))]


def range_argmax(values: Floats, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place of the largest of ``values[low:high]`` for many ranges, -1 for an empty one.

    A table of maxima over powers of two answers each range by two look-ups (Bender & Farach-Colton 2000).

    >>> range_argmax(np.array([1.0, 3.0, 2.0]), np.array([0, 2, 1]), np.array([3, 3, 1])).tolist()
    [1, 2, -1]
    """
    table = [np.arange(len(values))]
    while 2 ** len(table) <= len(values):
        half = 2 ** (len(table) - 1)
        left, right = table[-1][:-half], table[-1][half:]
        table.append(np.where(values[left] >= values[right], left, right))
    size = high - low
    level = np.where(size > 0, np.log2(np.maximum(size, 1)).astype(int), 0)
    out = np.full(len(low), -1)
    for k in np.unique(level[size > 0]):
        rows = (level == k) & (size > 0)
        left, right = table[k][low[rows]], table[k][high[rows] - 2**k]
        out[rows] = np.where(values[left] >= values[right], left, right)
    return out


def coordinates(table: Table, first: list[int]) -> list[int]:
    """Return the best places of a search of one cell's threshold after another, from three starts."""
    results = []
    ends = [len(p.thresholds) - 1 for p in table.places]
    for start in (first, [end // 3 for end in ends], [2 * end // 3 for end in ends]):
        chosen = list(start)
        value = (-np.inf, np.inf)
        for _ in range(ROUNDS):
            for cell in range(len(chosen)):
                phi, missed = table.along(chosen, cell)
                equal = phi >= phi.max() - 1e-12
                chosen[cell] = int(missed.masked_fill(~equal, torch.inf).argmin())
                now = float(phi[chosen[cell]]), float(missed[chosen[cell]])
            if (now[0], -now[1]) <= (value[0] + 1e-12, -value[1]):
                break
            value = now
        results.append((value[0], -value[1], list(chosen)))
    return max(results)[2]
