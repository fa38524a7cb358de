"""The exact best decision threshold, by one sort and cumulative counts of the cells of group and label.

Decisions are 1 where score > threshold. Candidates are the first dimension: scores are (K, n).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor

from sevenfold.fairness.confusion import Confusion
from sevenfold.fairness.groups import Groups, groups_of
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
    """The best threshold of each candidate: all (K,). ``missed`` is how far the bounds are missed."""

    threshold: Tensor
    phi: Tensor
    rho: Tensor
    mu: Tensor
    missed: Tensor

    def argmax(self) -> int:
        """Return the candidate of the largest phi; among equals, the one that misses least, the first."""
        return int(_argbest(self.phi[None], self.missed[None])[0])

    def take(self, i: int) -> "Best":
        """Return one candidate."""
        return Best(*(getattr(self, f.name)[i : i + 1] for f in fields(self)))

    @classmethod
    def join(cls, parts: Sequence["Best"]) -> "Best":
        """Return the candidates of some parts, one after another."""
        return cls(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)))


@dataclass(frozen=True)
class Sweep:
    """The objective at every threshold; all fields are (K, n + 1).

    Place i decides 1 for the i highest scores; it is not ``valid`` where that would separate equal scores.
    """

    thresholds: Tensor
    phi: Tensor
    rho: Tensor
    mu: Tensor
    missed: Tensor
    valid: Tensor

    def best(self) -> Best:
        """Return the best valid place of each candidate."""
        phi = self.phi.masked_fill(~self.valid, -torch.inf)
        place = _argbest(phi, self.missed)[:, None]
        columns = (self.thresholds, self.phi, self.rho, self.mu, self.missed)
        return Best(*(v.gather(1, place)[:, 0] for v in columns))


def _argbest(phi: Tensor, missed: Tensor) -> Tensor:
    """Return the place of the largest phi in each row; among equals, the one that misses the bounds least."""
    equal = phi >= phi.max(1, keepdim=True).values - TIE
    return missed.masked_fill(~equal, torch.inf).argmin(1)


def sweep(
    scores: Tensor,
    y: Tensor,
    a: Tensor | Groups,
    objective: Objective,
    resampled: Tensor | None = None,
    *,
    weights: Tensor | None = None,
    base: Confusion | None = None,
) -> Sweep:
    """Evaluate ``objective`` at every distinct score of every candidate.

    Thresholds lie midway between neighboring scores; the ends are infinite.

    Args:
        scores: (K, n).
        y: labels, (n,).
        a: groups of any number, or 0/1 codes of two.
        objective: what is evaluated.
        resampled: (B, n), how often each row occurs in samples over which phi is averaged.
        weights: of the people, (n,).
        base: decisions of the base network, for constraints that compare with them.
    """
    # With scores sorted, the counts of a threshold are cumulative sums, so that all n + 1 thresholds cost
    # O(n log n) and the result is exact, unlike that of a grid (Savani et al. 2020 use 501 or 1001 points).
    descending, order = scores.double().sort(dim=1, descending=True)
    people = groups_of(a)
    curve = Curve(order, y.to(order.device), people.to(order.device), weights)
    phi, rho, mu, missed = objective.evaluate(curve.confusion(), base=base)
    if resampled is not None:
        phi = torch.stack([objective.evaluate(curve.confusion(w), base=base)[0] for w in resampled]).mean(0)
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
        missed,
        torch.cat([everything, above > below, everything], 1),
    )


class Curve:
    """People in the order of their scores, and the counts at every threshold."""

    def __init__(self, order: Tensor, y: Tensor, people: Groups, weights: Tensor | None) -> None:
        self.layout, self.order, self.weights = people.layout, order, weights
        code = people.cell % people.layout.cells * 2 + y
        self.code = code.to(torch.int16)[order]
        self.present = torch.bincount(code, minlength=2 * people.layout.cells)
        self.totals = self._totals(code, weights)
        self.rows = code

    def _totals(self, code: Tensor, weights: Tensor | None) -> Tensor:
        whole = None if weights is None else weights.double()
        return torch.bincount(code, whole, 2 * self.layout.cells).double().view(-1, 2)

    def confusion(self, resampled: Tensor | None = None) -> Confusion:
        """Return the counts of the i highest scores decided 1, (K, n + 1, ...)."""
        if resampled is not None:
            return Confusion(self._counts(resampled), self._totals(self.rows, resampled), self.layout)
        if self.weights is None:
            return Confusion(self._counts(None), self.totals, self.layout)
        square = self.weights.double() ** 2
        squares = self._counts(square), self._totals(self.rows, square)
        return Confusion(self._counts(self.weights), self.totals, self.layout, squares)

    def _counts(self, weights: Tensor | None) -> Tensor:
        # One array a cell, of whole numbers where rows count alike: half the memory of doubles, and exact.
        kind = torch.int32 if weights is None else torch.float64
        k, n = self.code.shape
        out = torch.zeros(2 * self.layout.cells, k, n + 1, dtype=kind, device=self.code.device)
        sorted_weights = None if weights is None else weights.to(kind)[self.order]
        for c, size in enumerate(self.present.tolist()):
            if size:
                hit = self.code == c
                one = hit if sorted_weights is None else torch.where(hit, sorted_weights, 0.0)
                out[c, :, 1:] = one.cumsum(1, dtype=kind)
        return out.view(-1, 2, 1, k, n + 1).permute(3, 4, 0, 1, 2)


def resamples(n: int, bootstrap: int, seed: int) -> Tensor:
    """Return how often each of n rows occurs in each of ``bootstrap`` resamples, (B, n)."""
    generator = torch_generator(seed, "threshold bootstrap")
    rows = torch.randint(n, (bootstrap, n), generator=generator)
    return torch.zeros(bootstrap, n).scatter_add_(1, rows, torch.ones(bootstrap, n))


def best_threshold(
    scores: Tensor,
    y: Tensor,
    a: Tensor | Groups,
    objective: Objective,
    how: Search = Search(),
    *,
    weights: Tensor | None = None,
    base: Confusion | None = None,
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
    repeats = resamples(scores.shape[1], how.bootstrap, how.seed).to(scores.device) if how.bootstrap else None
    people = groups_of(a)
    size = max(1, CHUNK // (2 * (people.layout.cells - 1) * scores.shape[1]))
    find = _on_grid if how.search == "grid" else _exact

    def swept(chunk: Tensor) -> Best:
        return find(sweep(chunk, y, people, objective, repeats, weights=weights, base=base), chunk, how)

    return Best.join([swept(chunk) for chunk in scores.split(size)])


def _exact(full: Sweep, scores: Tensor, how: Search) -> Best:
    return full.best()


def _on_grid(full: Sweep, scores: Tensor, how: Search) -> Best:
    """Return the best point of a grid of probabilities, looked up in the exact sweep of logits."""
    grid = torch.logit(torch.linspace(0, 1, how.points, dtype=torch.float64, device=scores.device))
    ascending = scores.double().sort(dim=1).values
    repeated = grid.expand(len(scores), -1).contiguous()
    place = scores.shape[1] - torch.searchsorted(ascending, repeated, right=True)
    phi, rho, mu, missed = (v.gather(1, place) for v in (full.phi, full.rho, full.mu, full.missed))
    return Sweep(repeated, phi, rho, mu, missed, torch.ones_like(repeated, dtype=torch.bool)).best()
