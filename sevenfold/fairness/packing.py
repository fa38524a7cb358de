"""A method's result as a debiased network with its card: what to know of it, of plain values."""

import copy
import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sevenfold.fairness.artefact import NOT_FOR, Debiased, groups_card, network_card
from sevenfold.fairness.audit import Audit, audit
from sevenfold.fairness.calibration import Isotonic
from sevenfold.fairness.data.encoder import Encoder
from sevenfold.fairness.drift import quantiles
from sevenfold.fairness.groups import Groups
from sevenfold.fairness.inputs import Inputs
from sevenfold.fairness.intra.base import DebiasingResult, Problem
from sevenfold.fairness.network import Shifted
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.steered import Steered


@dataclass(frozen=True)
class Purpose:
    """What a card says beside the numbers of a fit.

    Attributes:
        method: its name and options.
        favorable: the good one of two values of the label, null for 1 of 0 and 1.
        purpose: what the decisions are for, in words.
        encoder: what makes rows of a file's columns; None where rows are numbers already.
        batch_size: rows of a forward pass.
    """

    method: Mapping[str, Any]
    favorable: Any = None
    purpose: str = "not stated"
    encoder: Encoder | None = None
    batch_size: int = 4096


def packed(
    problem: Problem, result: DebiasingResult, inputs: Inputs, people: Groups, what: Purpose
) -> tuple[Debiased, Audit]:
    """Return a debiased network with its card, and the audit of the rows of the fit.

    The audit is no estimate for new people: the search saw these rows.
    """
    whole = whole_module(problem, result)
    scores = problem.scores_of(result).double().cpu() - result.threshold
    labels = problem.y.cpu()
    weights = None if problem.weights is None else problem.weights.cpu()
    cells = Groups(problem.a.cpu(), problem.layout, people.attributes, people.flags)
    on_fit = audit((scores > 0).long(), labels, cells, problem.objective, weights)
    numbers = scores.numpy()
    favorable = what.favorable if what.encoder is None else what.encoder.label["favorable"]
    plain = np.clip(numbers, -1e300, 1e300)
    card = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "purpose": what.purpose,
        "not_for": NOT_FOR,
        "kind": "steered" if isinstance(whole, Steered) else "shifted",
        "tap": whole.tap if isinstance(whole, Steered) else None,
        "network": network_card(whole.network),
        "inputs": {
            "shape": list(inputs.shape),
            "dtype": str(inputs.dtype).removeprefix("torch."),
            "columns": list(inputs.columns),
        },
        "table": None if what.encoder is None else asdict(what.encoder),
        "label": {"favorable": plain_value(favorable)},
        "groups": groups_card(people),
        "objective": objective_options(problem.objective),
        "method": dict(what.method),
        "estimates_attribute": result.estimated,
        "threshold": result.threshold if np.isfinite(result.threshold) else None,
        "constant": result.constant,
        "rows": len(labels),
        "data": hashlib.sha256(np.sort(numbers).tobytes()).hexdigest(),
        "seed": problem.seed,
        "validation": {"verdicts": on_fit.verdicts, "groups": on_fit.table,
                       "performance": on_fit.performance},
        "calibration": Isotonic.fit(
            plain, labels.numpy(), None if weights is None else weights.numpy()
        )._asdict(),
        "quantiles": quantiles(plain),
    }  # fmt: skip
    return Debiased(whole, card, what.batch_size), on_fit


def whole_module(problem: Problem, result: DebiasingResult) -> Any:
    """Return a module that gives scores above 0 for decision 1."""
    if isinstance(result.network, Steered):
        whole = copy.deepcopy(result.network)
        whole.offset += result.threshold
        return whole.eval()
    adapted = problem.clone()
    # A method returns only the parameters that it changed; buffers stay those of the clone.
    adapted.load_state_dict({**adapted.state_dict(), **result.state})
    return Shifted(adapted, result.threshold).eval().to(problem.x.device)


def objective_options(objective: Objective) -> dict[str, Any]:
    """Return the options of an objective as plain values."""
    names = Objective.__dataclass_fields__
    values = {name: getattr(objective, name) for name in names}
    return {name: list(v) if isinstance(v, tuple | list) else v for name, v in values.items()}


def plain_value(value: Any) -> Any:
    """Return a value that JSON holds; others become text."""
    return value if isinstance(value, str | int | float | bool | Mapping | None) else str(value)
