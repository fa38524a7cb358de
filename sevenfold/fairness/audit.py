"""An audit of decisions about labelled people: every group's rates, the criterion's verdict, and drift."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from sevenfold.fairness.confusion import Confusion, counts
from sevenfold.fairness.drift import Drift
from sevenfold.fairness.expressions import Loss
from sevenfold.fairness.groups import Groups
from sevenfold.fairness.inference import (
    ALPHA,
    VERDICTS,
    few_rows,
    interval,
    noise_floor,
    rows_needed,
    verdict,
    wilson,
)
from sevenfold.fairness.measures import performance
from sevenfold.fairness.objective import Constraint, Objective

SHOWN = ("selection", "tpr", "fpr", "ppv", "accuracy")


@dataclass
class Audit:
    """What decisions about people say.

    Attributes:
        table: a row for each group: its name, n, rates, the ends of the selection rate, and whether it is
            large enough to be judged.
        verdicts: a row for each bound: the criterion, its estimate, the interval that the verdict uses, the
            verdict, the noise floor, and the rows that could tell.
        performance: balanced accuracy and accuracy of everybody.
        flags: what to beware of, in words.
    """

    table: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    performance: dict[str, float]
    flags: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return the audit in sentences."""
        lines = [
            f"{v['criterion']}: {v['verdict']}; {v['estimate']:+.3f}, 90 % interval [{v['low']:+.3f}, "
            f"{v['high']:+.3f}] (the one that the verdict uses), noise floor {v['floor']:.3f}"
            + (f"; about {v['rows_needed']:,.0f} people could tell" if could_tell(v) else "")
            for v in self.verdicts
        ]
        accuracy = ", ".join(f"{name.replace('_', ' ')} {v:.3f}" for name, v in self.performance.items())
        return "\n".join([*lines, accuracy, *self.flags])


def audit(
    decisions: Tensor,
    y: Tensor,
    groups: Groups,
    objective: Objective,
    weights: Tensor | None = None,
    moved: Drift | None = None,
) -> Audit:
    """Return the audit of decisions, (n,), about people with labels y, (n,).

    Args:
        decisions: 0 and 1.
        y: labels.
        groups: of the people.
        objective: its constraints are judged.
        weights: of the people.
        moved: how far scores are from those of the fit.

    Example:
        >>> from sevenfold.fairness.groups import Groups
        >>> y, a = torch.arange(400) % 2, torch.arange(400) // 200
        >>> audit(y, y, Groups(a), Objective()).verdicts[0]["verdict"]
        'cannot tell'
    """
    table = counts(decisions, y, groups, weights)
    flags = list(groups.flags)
    if moved is not None and moved.warns:
        flags.append(
            f"these people are unlike those of the fit: the distributions of scores are {moved.distance:.2f} "
            f"apart (1 % critical value {moved.critical:.2f})"
        )
    judged = [judge(term, table) for term in objective.terms if not isinstance(term.expression, Loss)]
    few = sorted({name for term in objective.terms for name in few_rows(term.expression, table)})
    flags += [f"too few people to judge: {', '.join(few)}"] if few else []
    scores = {name: float(performance(name, table)) for name in ("balanced_accuracy", "accuracy")}
    return Audit(group_rows(table, groups), judged, scores, flags)


def could_tell(row: dict[str, Any]) -> bool:
    """Tell whether more people would settle a verdict, and how many is known."""
    return row["verdict"] == "cannot tell" and row["rows_needed"] is not None


def judge(term: Constraint, table: Confusion) -> dict[str, Any]:
    """Return the estimate of a constraint's expression, its interval and its verdict."""
    level = 1 - 2 * ALPHA
    low, high = map(float, interval(term.expression, table, level=level))
    code = int(verdict(term.expression, table, term.bound, sense=term.sense))
    row = {"criterion": str(term), "estimate": float(term.expression.value(table)), "low": low, "high": high}
    row |= {
        "bound": term.bound,
        "verdict": VERDICTS[code],
        "floor": noise_floor(term.expression, table),
        "rows_needed": None,
    }
    if term.sense.startswith("<"):
        row["rows_needed"] = rows_needed(term.expression, table, term.bound)
    return row


def group_rows(table: Confusion, groups: Groups) -> list[dict[str, Any]]:
    """Return the figures of every group."""
    n, selection = table.effective("selection"), table.rate("selection")
    low, high = wilson(selection.nan_to_num() * n, n)
    rates = {name: table.rate(name) for name in SHOWN}
    rows = []
    for g, name in enumerate(groups.names):
        row: dict[str, Any] = {"group": name, "n": int(groups.mask(g).sum())}
        row |= {rate: float(values[g]) for rate, values in rates.items()}
        row |= {"selection_low": float(low[g]), "selection_high": float(high[g])}
        rows.append({**row, "judged": int(row["n"]) >= table.layout.small})
    return rows
