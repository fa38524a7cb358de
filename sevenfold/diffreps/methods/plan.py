"""The sequence of noise levels of a run, with rounds of resampling (Lugmayr et al. 2022, RePaint)."""

import math
from dataclasses import dataclass

from torch import Tensor

from sevenfold.ranges import Count, Limit, NonNegative, NonNegativeInt


@dataclass(frozen=True)
class Rounds:
    """Options of resampling (RePaint), which raises the noise again after some levels, several times.

    The step to 0 is never repeated. Rounds need a second-order step, because each first-order step loses
    variance.

    Args:
        rounds: number of repetitions; 0: none.
        jump: levels in a round before the noise is raised again.
        low, high: bounds of sigma between which levels are repeated.
    """

    rounds: NonNegativeInt = 0
    jump: Count = 1
    low: NonNegative = 0.0
    high: Limit = float("inf")


@dataclass(frozen=True)
class Step:
    """One step from ``sigma`` down to ``next``; before it the noise rises from ``back``, unless None."""

    sigma: float
    next: float
    back: float | None = None


def plan(sigmas: Tensor, rounds: Rounds) -> list[Step]:
    """Return the steps through falling ``sigmas`` (levels + 1), the last of which is 0."""
    levels, steps, at = sigmas.tolist(), [], 0
    while at < len(levels) - 1:
        # noise is never raised to infinity again: that would forget everything
        end = at + 1 if math.isinf(levels[at]) else min(at + rounds.jump, len(levels) - 1)
        block = [Step(levels[i], levels[i + 1]) for i in range(at, end)]
        steps += block
        # x_t ~ N(sqrt(1 - beta_t) x_{t-1}, beta_t I), then the step down again, U times
        # (Lugmayr et al. 2022, algorithm 1)
        if levels[end] > 0 and rounds.low <= levels[at] <= rounds.high and not math.isinf(levels[at]):
            for _ in range(rounds.rounds):
                steps += [Step(block[0].sigma, block[0].next, back=levels[end]), *block[1:]]
        at = end
    return steps
