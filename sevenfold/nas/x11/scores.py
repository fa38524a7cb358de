"""How well predicted curves match: by epoch, at the end, above chance, at the top."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def r2(predicted: Floats, truth: Floats) -> Floats:
    """Return the coefficient of determination of each column."""
    spread = ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
    return np.asarray(1 - ((predicted - truth) ** 2).sum(axis=0) / np.maximum(spread, 1e-12))


def tau(predicted: Floats, truth: Floats) -> float:
    """Return Kendall's tau-b; 0 where one side is constant."""
    value = float(kendalltau(predicted, truth)[0])
    return 0.0 if np.isnan(value) else value


def taus(predicted: Floats, truth: Floats, decimals: int | None = None) -> Floats:
    """Return Kendall's tau-b of each column, predictions rounded if ``digits`` says so."""
    given = predicted if decimals is None else predicted.round(decimals)
    return np.array([tau(p, t) for p, t in zip(given.T, truth.T, strict=True)])


def alive(truth: Floats, chance: float) -> Flags:
    """Return which curves end more than 2 points above chance."""
    return np.asarray(truth[:, -1] > chance + 2)


def curve_scores(predicted: Floats, truth: Floats, *, chance: float | None) -> dict[str, float]:
    """Compare curves (n, E) of one metric.

    ``avg_*`` are means over epochs, ``final_*`` the last epoch; ``tau_2`` and ``tau_1`` round predictions to
    so many decimals. ``alive_*`` are the same of the curves that end above ``chance`` + 2 points (None:
    left out): failed ones inflate R2.
    """
    scores = _scores(predicted, truth)
    if chance is not None:
        selected = alive(truth, chance)
        scores["alive"] = float(selected.mean())
        if selected.sum() > 2:
            part = _scores(predicted[selected], truth[selected])
            scores |= {f"alive_{name}": value for name, value in part.items()}
    return scores


def _scores(predicted: Floats, truth: Floats) -> dict[str, float]:
    # R2_e = 1 - sum (y - y^)^2 / sum (y - mean)^2 and Kendall's tau at each epoch (Yan et al. 2021, table 2).
    fit, ranks = r2(predicted, truth), taus(predicted, truth)
    mse = ((predicted - truth) ** 2).mean(axis=0)
    return {
        "avg_r2": float(fit.mean()),
        "final_r2": float(fit[-1]),
        "avg_tau": float(ranks.mean()),
        "final_tau": float(ranks[-1]),
        "final_tau_2": float(taus(predicted[:, -1:], truth[:, -1:], 2)[0]),
        "final_tau_1": float(taus(predicted[:, -1:], truth[:, -1:], 1)[0]),
        "final_spearman": _spearman(predicted[:, -1], truth[:, -1]),
        "avg_rmse": float(np.sqrt(mse).mean()),
        "final_rmse": float(np.sqrt(mse[-1])),
    }


def _spearman(predicted: Floats, truth: Floats) -> float:
    if np.ptp(predicted) == 0 or np.ptp(truth) == 0:
        return 0.0
    result: Any = spearmanr(predicted, truth)
    return float(result.statistic)


def top_scores(predicted: Floats, truth: Floats, *, share: float = 0.01) -> dict[str, float]:
    """Return calibration at the top, from final values (n,): trees cannot predict beyond what they saw.

    ``top_bias`` is the mean of predicted - true over the truly best ``share``, ``picked_bias`` over those
    predicted best, ``top_found`` the share of the truly best among those predicted best.
    """
    count = max(1, round(share * len(truth)))
    best, picked = np.argsort(-truth)[:count], np.argsort(-predicted)[:count]
    return {
        "top_bias": float((predicted - truth)[best].mean()),
        "picked_bias": float((predicted - truth)[picked].mean()),
        "top_found": float(np.isin(best, picked).mean()),
    }
