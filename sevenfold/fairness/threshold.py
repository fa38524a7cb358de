"""The exact best decision threshold, by one sort and cumulative counts of the four cells (a, y).

Decisions are 1 where score > threshold. Candidates are the first dimension: scores are (K, n).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sevenfold.fairness.measures import cells
from sevenfold.fairness.objective import Objective
from sevenfold.ranges import AtLeastTwo, NonNegativeInt, Seed
from sevenfold.seeding import torch_generator

TIE = 1e-12
CHUNK = 2**24  # numbers in the largest temporary of a sweep


@dataclass(frozen=True)
class Search:
    """Options of the search for a threshold.

    Args:
        search: all thresholds (``exact``), or a ``grid``.
        points: of the grid in [0, 1].
        bootstrap: number of resamples over which the objective is averaged, the same for all candidates.
        seed: of the resamples.
    """

    search: Literal["exact", "grid"] = "exact"
    points: AtLeastTwo = 501
    bootstrap: NonNegativeInt = 0
    seed: Seed = 0


@dataclass(frozen=True)
class Best:
    """The best threshold of each candidate: all (K,)."""

    threshold: Tensor
    phi: Tensor
    rho: Tensor
    mu: Tensor

    def argmax(self) -> int:
        """Return the candidate of the largest phi; among equals, the one of the least |mu|, the first."""
        return int(_argbest(self.phi[None], self.mu[None])[0])


@dataclass(frozen=True)
class Sweep:
    """The objective at every threshold; all fields are (K, n + 1).

    Place i decides 1 for the i highest scores; it is not ``valid`` where that would separate equal scores.
    """

    thresholds: Tensor
    phi: Tensor
    rho: Tensor
    mu: Tensor
    valid: Tensor

    def best(self) -> Best:
        """Return the best valid place of each candidate."""
        phi = self.phi.masked_fill(~self.valid, -torch.inf)
        place = _argbest(phi, self.mu)[:, None]
        return Best(*(v.gather(1, place)[:, 0] for v in (self.thresholds, self.phi, self.rho, self.mu)))


def _argbest(phi: Tensor, mu: Tensor) -> Tensor:
    """Return the place of the largest phi in each row; among equals, the one of the least |mu|."""
    equal = phi >= phi.max(1, keepdim=True).values - TIE
    distance = mu.abs().nan_to_num(nan=1e9)
    return distance.masked_fill(~equal, torch.inf).argmin(1)


def sweep(scores: Tensor, y: Tensor, a: Tensor, objective: Objective, weights: Tensor | None = None) -> Sweep:
    """Evaluate ``objective`` at every distinct score of every candidate.

    ``scores`` (K, n); ``weights`` (B, n), whole numbers, make phi the mean over B weighted samples.
    Thresholds lie midway between neighboring scores; the ends are infinite.
    """
    # With scores sorted, the counts of a threshold are cumulative sums, so that all n + 1 thresholds cost
    # O(n log n) and the result is exact, unlike that of a grid (Savani et al. 2020 use 501 or 1001 points).
    descending, order = scores.double().sort(dim=1, descending=True)
    member = cells(y, a).to(descending.device)
    positives = _cumulative(member, order)
    phi, rho, mu = objective.value(positives, member.sum(0).view(2, 2))
    if weights is not None:
        sampled = [
            objective.value(_cumulative(member * w[:, None], order), (member * w[:, None]).sum(0).view(2, 2))[
                0
            ]
            for w in weights.double()
        ]
        phi = torch.stack(sampled).mean(0)
    above, below = descending[:, :-1], descending[:, 1:]
    middle = below + (above - below) / 2
    # neighboring floats have no number between them
    middle = torch.where(middle < above, middle, below)
    end = descending.new_full((len(descending), 1), torch.inf)
    everything = torch.ones_like(end, dtype=torch.bool)
    return Sweep(
        torch.cat([end, middle, -end], 1),
        phi,
        rho,
        mu,
        torch.cat([everything, above > below, everything], 1),
    )


def _cumulative(member: Tensor, order: Tensor) -> Tensor:
    """Return counts of each cell among the i highest scores, (K, n + 1, 2, 2)."""
    counts = member[order].cumsum(1)
    counts = torch.cat([counts.new_zeros(len(counts), 1, 4), counts], 1)
    return counts.unflatten(-1, (2, 2))


def resamples(n: int, bootstrap: int, seed: int) -> Tensor:
    """Return how often each of n rows occurs in each of ``bootstrap`` resamples, (B, n)."""
    generator = torch_generator(seed, "threshold bootstrap")
    rows = torch.randint(n, (bootstrap, n), generator=generator)
    return torch.zeros(bootstrap, n).scatter_add_(1, rows, torch.ones(bootstrap, n))


def best_threshold(
    scores: Tensor, y: Tensor, a: Tensor, objective: Objective, how: Search = Search()
) -> Best:
    """Return the best threshold of each candidate, (K, n) scores, in chunks of candidates.

    Example:
        >>> import torch
        >>> from sevenfold.fairness import Objective
        >>> y, a = torch.arange(100) % 2, torch.arange(100) // 50
        >>> best = best_threshold((y - 0.5)[None], y, a, Objective())
        >>> float(best.rho[0])  # balanced accuracy
        1.0
    """
    weights = resamples(scores.shape[1], how.bootstrap, how.seed).to(scores.device) if how.bootstrap else None
    size = max(1, CHUNK // (4 * scores.shape[1]))
    find = _on_grid if how.search == "grid" else _exact
    parts = [find(chunk, y, a, objective, how, weights) for chunk in scores.split(size)]
    fields = zip(*((p.threshold, p.phi, p.rho, p.mu) for p in parts), strict=True)
    return Best(*(torch.cat(field) for field in fields))


def _exact(
    scores: Tensor, y: Tensor, a: Tensor, objective: Objective, how: Search, weights: Tensor | None
) -> Best:
    return sweep(scores, y, a, objective, weights).best()


def _on_grid(
    scores: Tensor, y: Tensor, a: Tensor, objective: Objective, how: Search, weights: Tensor | None
) -> Best:
    """Return the best point of a grid of probabilities, looked up in the exact sweep of logits."""
    full = sweep(scores, y, a, objective, weights)
    grid = torch.logit(torch.linspace(0, 1, how.points, dtype=torch.float64, device=scores.device))
    ascending = scores.double().sort(dim=1).values
    repeated = grid.expand(len(scores), -1).contiguous()
    place = scores.shape[1] - torch.searchsorted(ascending, repeated, right=True)
    phi, rho, mu = (v.gather(1, place) for v in (full.phi, full.rho, full.mu))
    return Sweep(repeated, phi, rho, mu, torch.ones_like(repeated, dtype=torch.bool)).best()
