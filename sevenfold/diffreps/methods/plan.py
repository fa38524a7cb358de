"""The noise levels a run visits, in order, with its rounds of resampling."""

from dataclasses import dataclass

from torch import Tensor

from sevenfold.ranges import Count, Limit, NonNegative, NonNegativeInt


@dataclass(frozen=True)
class Rounds:
    """Resampling (RePaint): after some levels go back up to where they began, several times.

    The step to 0 is never repeated. Rounds want a second-order step: first-order ones lose variance each
    time.

    Args:
        rounds: how often levels are repeated; 0: never.
        jump: levels after which a round goes back up to where it began.
        low, high: bounds of sigma between which levels are repeated.
    """

    rounds: NonNegativeInt = 0
    jump: Count = 1
    low: NonNegative = 0.0
    high: Limit = float("inf")


@dataclass(frozen=True)
class Step:
    """One step down from ``sigma`` to ``next``; first back up from ``back`` unless that is None."""

    sigma: float
    next: float
    back: float | None = None


def plan(sigmas: Tensor, rounds: Rounds) -> list[Step]:
    """Return the steps through falling ``sigmas`` (levels + 1), the last of which is 0."""
    levels, steps, at = sigmas.tolist(), [], 0
    while at < len(levels) - 1:
        end = min(at + rounds.jump, len(levels) - 1)
        block = [Step(levels[i], levels[i + 1]) for i in range(at, end)]
        steps += block
        if levels[end] > 0 and rounds.low <= levels[at] <= rounds.high:
            for _ in range(rounds.rounds):
                steps += [Step(block[0].sigma, block[0].next, back=levels[end]), *block[1:]]
        at = end
    return steps
