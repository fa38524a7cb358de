"""What is reported of a surrogate, and what its pictures show."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sevenfold.nas.x11.base import Floats
from sevenfold.nas.x11.ensemble import Ensemble
from sevenfold.nas.x11.scores import curve_scores, taus, top_scores
from sevenfold.nas.x11.surrogate import Surrogate
from sevenfold.nas.x11.tensor import CurveTensor

SHOWN = 6  # architectures in a picture
DRAWS = 200


@dataclass
class Judgement:
    """Scores by name, and arrays to draw."""

    scores: dict[str, float]
    arrays: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    """What fitting took."""

    def observe(self, surrogate: Surrogate, test: CurveTensor, chance: float | None) -> None:
        """Add what a fifth of the training, observed, makes of the end; and bands for pictures."""
        seen, first = max(1, test.epochs // 5), test.values[:, 0]
        rows = np.flatnonzero(~np.isnan(first[:, 0, 0]))
        truth = first[rows, :, 0]
        given: dict[int, Any] = {e: truth[:, e - 1] for e in range(1, seen + 1)}
        for name, observed in {"unobserved": None, "observed": given}.items():
            ends = surrogate.curves(test.archs[rows], observed=observed)[:, -1:, 0]
            scores = curve_scores(ends, truth[:, -1:], chance=chance)
            names = ("final_r2", "final_tau", "alive_final_r2", "alive_final_tau")
            self.scores |= {f"{name}/{key}": scores[key] for key in names if key in scores}
        order = np.argsort(self.arrays["predicted"][:, -1])
        chosen = order[np.linspace(0, len(order) - 1, SHOWN).round().astype(int)]
        many = np.repeat(test.archs[chosen], DRAWS, axis=0)
        drawn = surrogate.curves(many, seeds=list(range(DRAWS)) * SHOWN)[:, :, 0]
        self.arrays |= {
            "shown": chosen, "drawn": drawn.reshape(SHOWN, DRAWS, -1), "real": test.values[chosen, :, :, 0]
        }  # fmt: skip


def judge(ensemble: Ensemble, test: CurveTensor, *, chance: float | None) -> Judgement:
    """Score predictions against the mean curves of a test part, every metric; the first without a prefix."""
    members = ensemble.predict_members(test.archs)
    predicted, truth = members.mean(axis=0), test.means()
    scores: dict[str, float] = {}
    for place, metric in enumerate(test.metrics):
        prefix = "" if place == 0 else f"{metric}/"
        floor = chance if metric.endswith("/acc") else None
        scored = curve_scores(predicted[:, :, place], truth[:, :, place], chance=floor)
        scored |= top_scores(predicted[:, -1, place], truth[:, -1, place]) if metric.endswith("/acc") else {}
        scored["member_spread"] = float(members[:, :, -1, place].std(axis=0).mean())
        scores |= {f"{prefix}{key}": value for key, value in scored.items()}
    y, p = truth[:, :, 0], predicted[:, :, 0]
    return Judgement(scores, {"predicted": p, "truth": y, "tau": taus(p, y), "energy": energy(ensemble),
                              **between_runs(test)})  # fmt: skip


def energy(ensemble: Ensemble) -> Floats:
    """Return the share of centered variance of each component of the first member's SVD, if it is one."""
    return np.asarray(getattr(ensemble.members[0].compression, "energy", np.zeros(0)))


def between_runs(test: CurveTensor) -> dict[str, Floats]:
    """Return Kendall's tau between two runs by epoch, where there are two: hard to beat for a surrogate."""
    if test.values.shape[1] < 2:
        return {}
    both = test.values[~np.isnan(test.values[:, :2, 0, 0]).any(axis=1), :2, :, 0]
    return {"between_runs": taus(both[:, 0], both[:, 1])}
