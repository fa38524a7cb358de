"""Acquisition functions: scores of candidates from predictions of their loss, the lowest the best."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import norm

from sevenfold.config import ConfigError
from sevenfold.ranges import NonNegative, Positive

Floats = NDArray[np.floating]
Name = Literal["its", "ucb", "ei", "pi", "ts", "mean", "confidence", "percentile"]


@dataclass(frozen=True)
class Prediction:
    """Predicted losses of candidates: mean (m,), standard deviation (m,) and, of an ensemble, each member's
    predictions (members, m).
    """

    mean: Floats
    std: Floats
    members: Floats | None = None


@dataclass(frozen=True)
class Acquisition:
    """Acquisition function, which turns predictions into scores.

    Args:
        name: ``its``, a draw of every candidate's loss from its own normal distribution (independent Thompson
            sampling); ``ucb``, mean - ``beta`` std; ``ei``, expected improvement; ``pi``, probability of
            improvement; ``ts``, the prediction of one random member of the ensemble; ``percentile``, the
            lowest prediction of its members; ``mean``, the mean; ``confidence``, mean + 2 std.
        beta: weight of the standard deviation in ``ucb``.
        ei_scale: divisor of the standard deviation in ``ei``.
    """

    name: Name = "its"
    beta: NonNegative = 0.5
    ei_scale: Positive = 5.0

    def scores(self, given: Prediction, best: float, rng: Generator) -> Floats:
        """Return one score a candidate, (m,); ``best`` is the lowest loss so far in the model's unit."""
        return RULES[self.name](self, given, best, rng)


Rule = Callable[[Acquisition, Prediction, float, Generator], Floats]


def _its(rule: Acquisition, given: Prediction, best: float, rng: Generator) -> Floats:
    # a ~ N(mu, sigma^2), drawn for each candidate: independent Thompson sampling (White, Neiswanger and
    # Savani 2021).
    return given.mean + given.std * rng.standard_normal(len(given.mean))


def _ucb(rule: Acquisition, given: Prediction, best: float, rng: Generator) -> Floats:
    # mu - beta sigma: the confidence bound of GP-UCB, for losses (Srinivas et al. 2010).
    return given.mean - rule.beta * given.std


def _ei(rule: Acquisition, given: Prediction, best: float, rng: Generator) -> Floats:
    std = np.maximum(given.std / rule.ei_scale, 1e-12)
    gap = best - given.mean
    # EI = (l* - mu) Phi(z) + sigma phi(z), z = (l* - mu) / sigma (Jones, Schonlau and Welch 1998, eq. 15).
    return -(gap * norm.cdf(gap / std) + std * norm.pdf(gap / std))


def _pi(rule: Acquisition, given: Prediction, best: float, rng: Generator) -> Floats:
    return -norm.cdf((best - given.mean) / np.maximum(given.std, 1e-12))


def _ts(rule: Acquisition, given: Prediction, best: float, rng: Generator) -> Floats:
    members = _members(given)
    return members[rng.integers(len(members))]


def _percentile(rule: Acquisition, given: Prediction, best: float, rng: Generator) -> Floats:
    return _members(given).min(axis=0)


def _mean(rule: Acquisition, given: Prediction, best: float, rng: Generator) -> Floats:
    return given.mean


def _confidence(rule: Acquisition, given: Prediction, best: float, rng: Generator) -> Floats:
    return given.mean + 2 * given.std


def _members(given: Prediction) -> Floats:
    if given.members is None:
        raise ConfigError("acquisition.name", "ts and percentile need an ensemble of networks")
    return given.members


RULES: dict[str, Rule] = {
    "its": _its,
    "ucb": _ucb,
    "ei": _ei,
    "pi": _pi,
    "ts": _ts,
    "mean": _mean,
    "confidence": _confidence,
    "percentile": _percentile,
}
