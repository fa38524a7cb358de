"""One trial of an extrapolation study: learn from some trainings, predict the end of others."""

import numpy as np
from scipy.stats import kendalltau

from sevenfold.nas.lce.base import Extrapolator, Floats
from sevenfold.nas.lce.tables import CurveTable
from sevenfold.seeding import numpy_generator


def trial(
    table: CurveTable,
    extrapolator: Extrapolator,
    *,
    seen: int,
    train: int,
    test: int,
    seed: int,
    chance: float,
) -> dict[str, float]:
    """Return Kendall's tau with the final accuracy, and R2 and mean absolute error where these mean anything.

    Of an extrapolator with a density also ``nll``, the mean negative log density of the ends in nats of the
    curves' unit, and ``cover80``, the share of ends between its quantiles .1 and .9.

    ``alive_*`` are those of the trainings that end above ``chance`` + 2 points: failed ones inflate R2. The
    same seed draws the same trainings for every extrapolator and every ``seen``.
    """
    order = numpy_generator(seed, "lce split").permutation(len(table.curves))
    known, unseen = order[:train], order[train : train + test]
    losses = None if table.losses is None else table.losses[known]
    stream = numpy_generator(seed, "lce fit")
    extrapolator.fit(table.curves[known], losses, seen=seen, end=table.epochs, stream=stream)
    predicted, truth = extrapolator.predict(table.seen(unseen, seen)), table.curves[unseen, -1]
    alive = truth > chance + 2
    scores = {"tau": tau(predicted, truth), "alive_tau": tau(predicted[alive], truth[alive])}
    if not extrapolator.ranks_only:
        scores |= {"r2": r2(predicted, truth), "alive_r2": r2(predicted[alive], truth[alive])}
        scores["mae"] = float(np.abs(predicted - truth).mean())
    density = extrapolator.density(table.seen(unseen, seen))
    if density is not None:
        scores["nll"] = float(-density.log(truth).mean())
        inside = (density.quantile(0.1) <= truth) & (truth <= density.quantile(0.9))
        scores["cover80"] = float(inside.mean())
    return scores


def tau(predicted: Floats, truth: Floats) -> float:
    """Return Kendall's tau-b; 0 where all predictions are equal."""
    # tau-b = (concordant - discordant) / sqrt((n0 - n1)(n0 - n2)) (Kendall 1945).
    value = float(kendalltau(predicted, truth)[0])
    return 0.0 if np.isnan(value) else value


def r2(predicted: Floats, truth: Floats) -> float:
    """Return the coefficient of determination."""
    return float(1 - ((predicted - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
