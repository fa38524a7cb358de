"""Counts of decisions by cell and label, from which every rate, measure and interval is computed.

Decisions may be probabilities: then counts are expectations. Label and decision 1 are the favorable ones.
"""

import dataclasses
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from sevenfold.errors import InputError, suggest
from sevenfold.fairness.groups import TWO, Groups, Layout, groups_of

Empty = Literal["nan", "zero"]
Mask = tuple[tuple[int, ...], ...]
"""Which (label, decision) pairs are counted, (classes, decisions) of 0 and 1."""

BINARY: dict[str, tuple[Mask, Mask]] = {
    "selection": (((0, 1), (0, 1)), ((1, 1), (1, 1))),
    "tpr": (((0, 0), (0, 1)), ((0, 0), (1, 1))),
    "fpr": (((0, 1), (0, 0)), ((1, 1), (0, 0))),
    "tnr": (((1, 0), (0, 0)), ((1, 1), (0, 0))),
    "fnr": (((0, 0), (1, 0)), ((0, 0), (1, 1))),
    "ppv": (((0, 0), (0, 1)), ((0, 1), (0, 1))),
    "npv": (((1, 0), (0, 0)), ((1, 0), (1, 0))),
    "accuracy": (((1, 0), (0, 1)), ((1, 1), (1, 1))),
    "error": (((0, 1), (1, 0)), ((1, 1), (1, 1))),
}
"""Numerator and denominator of every rate of two classes."""
OF_CLASS = re.compile(r"(selection|recall|precision)\[(\d+)\]")


@functools.cache
def rate_masks(name: str, classes: int) -> tuple[Mask, Mask]:
    """Return numerator and denominator of a rate, such as ``tpr``, or ``recall[2]`` of class 2.

    >>> rate_masks("recall[1]", 2) == rate_masks("tpr", 2)
    True
    """
    every = range(classes)
    if match := OF_CLASS.fullmatch(name):
        kind, c = match[1], int(match[2])
        if c >= classes:
            raise InputError(f"'{name}' is of class {c}; there are classes 0 to {classes - 1}")
        column = tuple(tuple(int(d == c) for d in every) for _ in every)
        cell = tuple(tuple(int(y == d == c) for d in every) for y in every)
        row = tuple(tuple(int(y == c) for _ in every) for y in every)
        whole = tuple((1,) * classes for _ in every)
        return {"selection": (column, whole), "recall": (cell, row), "precision": (cell, column)}[kind]
    if name in ("accuracy", "error"):
        right = tuple(tuple(int((y == d) == (name == "accuracy")) for d in every) for y in every)
        return right, tuple((1,) * classes for _ in every)
    if name not in BINARY or classes != 2:
        known = [*BINARY, "selection[1]", "recall[1]", "precision[1]"]
        of = "" if classes == 2 else f" of {classes} classes (recall[c], selection[c], precision[c])"
        raise InputError(f"'{name}' is no rate{of}. {suggest(name, known)}")
    return BINARY[name]


@dataclass(frozen=True)
class Confusion:
    """Sums over people, by the cell of their groups, their label and their decision.

    Attributes:
        positives: (..., cells, classes, decisions - 1), the sums by decision 1 and further. The last cell is
            people whose group is unknown.
        totals: (..., cells, classes), the sums of everybody.
        layout: which groups the cells make.
        squares: the same two sums of squared weights; None where all weights are 1.
        empty: what a rate over nobody is.

    Example:
        >>> counts([1, 0, 1, 1], [1, 0, 1, 0], torch.tensor([0, 0, 1, 1])).rate("selection").tolist()
        [0.5, 1.0]
    """

    positives: Tensor
    totals: Tensor
    layout: Layout = TWO
    squares: tuple[Tensor, Tensor] | None = None
    empty: Empty = "nan"

    @classmethod
    def two(cls, positives: Tensor, totals: Tensor) -> "Confusion":
        """Return the counts of two groups from tables (..., 2, 2) by group and label."""
        if bool((positives < 0).any()) or bool((positives > totals * (1 + 1e-9)).any()):
            raise InputError("more positives than rows, or fewer than none: are the two counts exchanged?")
        pad = torch.nn.functional.pad
        return cls(pad(positives, (0, 0, 0, 1))[..., None], pad(totals, (0, 0, 0, 1)))

    @property
    def classes(self) -> int:
        """Return the number of classes."""
        return self.totals.shape[-1]

    @property
    def table(self) -> Tensor:
        """Return the counts (..., cells, classes, decisions)."""
        zero = (self.totals - self.positives.sum(-1))[..., None]
        return torch.cat([zero, self.positives.to(zero.dtype)], -1)

    def within(self, mask: Mask, *, squared: bool = False) -> list[Tensor]:
        """Return the sum over some (label, decision) pairs for each group, (...) each."""
        return [self._sum(mask, cells, squared) for cells in self._cells]

    @property
    def _cells(self) -> list[list[int]]:
        return [[c for c, inside in enumerate(row) if inside] for row in self.layout.member]

    def _sum(self, mask: Mask, cells: Sequence[int], squared: bool = False) -> Tensor:
        plain = self.positives, self.totals
        positives, totals = (self.squares or plain) if squared else plain
        terms: list[Tensor] = []
        for cell in cells:
            for y, row in enumerate(mask):
                # decision 0 is everybody less the others, so that it needs no array
                if row[0]:
                    terms.append(totals[..., cell, y])
                terms += [
                    sign * positives[..., cell, y, d - 1] if sign < 0 else positives[..., cell, y, d - 1]
                    for d in range(1, len(row))
                    if (sign := row[d] - row[0])
                ]
        return functools.reduce(torch.add, terms) if terms else torch.zeros_like(totals[..., 0, 0])

    def rate(self, name: str) -> Tensor:
        """Return a rate of every group, (..., groups); NaN (or 0, by ``empty``) where it is over nobody."""
        numerator, denominator = rate_masks(name, self.classes)
        rates = [
            _share(up, down)
            for up, down in zip(self.within(numerator), self.within(denominator), strict=True)
        ]
        stacked = torch.stack(torch.broadcast_tensors(*rates), 0).movedim(0, -1)
        return torch.nan_to_num(stacked, nan=0.0) if self.empty == "zero" else stacked

    def rates(self) -> dict[str, Tensor]:
        """Return every rate of every group, (..., groups) by name."""
        of_class = [
            f"{kind}[{c}]" for kind in ("selection", "recall", "precision") for c in range(self.classes)
        ]
        names = list(BINARY) if self.classes == 2 else [*of_class, "accuracy", "error"]
        return {name: self.rate(name) for name in names}

    def overall(self, name: str) -> Tensor:
        """Return a rate of everybody, people of unknown groups included, (...)."""
        everyone = range(self.layout.cells)
        numerator, denominator = rate_masks(name, self.classes)
        return _share(self._sum(numerator, everyone), self._sum(denominator, everyone))

    def effective(self, name: str) -> Tensor:
        """Return how many people of weight 1 a rate's denominator is worth, (..., groups)."""
        mask = rate_masks(name, self.classes)[1]
        n = torch.stack(torch.broadcast_tensors(*self.within(mask)), 0).movedim(0, -1)
        if self.squares is None:
            return n
        squares = torch.stack(torch.broadcast_tensors(*self.within(mask, squared=True)), 0).movedim(0, -1)
        # n_eff = (sum w)^2 / sum w^2   (Kish 1965)
        return torch.where(squares > 0, n**2 / squares.clamp(min=1e-300), 0.0)

    def judged(self, name: str, family: Sequence[int]) -> list[int]:
        """Return the groups of a family that have people enough for a rate to be judged."""
        if not self.layout.small:
            return list(family)
        size = self.effective("accuracy").reshape(-1, len(self.layout.names)).amin(0)
        # a denominator that depends on decisions is no reason: deciding 0 for all must not free a group
        by_label = all(len(set(row)) == 1 for row in rate_masks(name, self.classes)[1])
        rows = self.effective(name).reshape(-1, len(self.layout.names)).amin(0) if by_label else size
        return [g for g in family if size[g] >= self.layout.small and rows[g] >= self.layout.few]

    def defined(self, empty: Empty) -> "Confusion":
        """Return the counts with another meaning of a rate over nobody."""
        return dataclasses.replace(self, empty=empty)


def _share(numerator: Tensor, denominator: Tensor) -> Tensor:
    whole = not numerator.is_floating_point()
    return (numerator.double() if whole else numerator) / denominator


def counts(
    decisions: Tensor,
    y: Tensor,
    groups: Tensor | Groups,
    weights: Tensor | None = None,
    *,
    classes: int = 2,
    dtype: torch.dtype = torch.float64,
) -> Confusion:
    """Return the counts of decisions (..., n), or of class probabilities (..., n, classes).

    Args:
        decisions: 0/1, probabilities of 1, or, of more than two classes, whole numbers or probabilities.
        y: labels, (n,).
        groups: :class:`Groups`, or 0/1 codes, 1 the privileged group.
        weights: of the people, above 0; None: all 1.
        classes: how many.
        dtype: of the sums; soft decisions in their type have gradients.

    Example:
        >>> y, a = torch.tensor([1, 0, 1, 0]), torch.tensor([0, 0, 1, 1])
        >>> counts(torch.tensor([0, 0, 1, 0]), y, a).positives.sum().item()
        1.0
    """
    people, y = groups_of(groups), _tensor(y).long()
    decided = _tensor(decisions).to(y.device)
    _check_people(decided, y, people, classes)
    if classes > 2 and not decided.is_floating_point():
        decided = torch.nn.functional.one_hot(decided.long(), classes)
    chosen = decided[..., 1:] if classes > 2 else decided[..., None]
    cells = people.layout.cells
    # an unknown group is -1, the last cell
    place = people.cell.to(y.device).long() % cells * classes + y
    member = torch.nn.functional.one_hot(place, cells * classes).to(dtype)
    weighted = member if weights is None else member * check_weights(weights, len(y)).to(member)[:, None]

    def sums(of: Tensor) -> tuple[Tensor, Tensor]:
        positives = chosen.to(dtype).movedim(-1, 0) @ of
        return positives.movedim(0, -1).unflatten(-2, (cells, classes)), of.sum(0).view(cells, classes)

    squares = None if weights is None else sums(weighted**2 / member.clamp(min=1))
    return Confusion(*sums(weighted), people.layout, squares)


def _check_people(decided: Tensor, y: Tensor, people: Groups, classes: int) -> None:
    """Refuse decisions, labels and groups that are no such, or of other numbers of people."""
    probabilities = classes > 2 and decided.is_floating_point()
    if y.ndim != 1 or people.cell.shape != y.shape or decided.shape[-1 - probabilities :][:1] != y.shape:
        shapes = ", ".join(str(tuple(part.shape)) for part in (decided, y, people.cell))
        raise InputError(f"decisions, labels and groups have shapes {shapes}; expected one of each a person")
    most = classes - 1 if classes > 2 and not probabilities else 1
    given = {"decisions": (decided.detach(), 0, most), "labels": (y, 0, classes - 1),
             "groups (-1: unknown)": (people.cell, -1, people.layout.cells - 2)}  # fmt: skip
    for name, (values, low, high) in given.items():
        if not bool(((values >= low - 1e-6) & (values <= high + 1e-6)).all()):
            ends = f"{float(values.min()):g} to {float(values.max()):g}"
            raise InputError(f"{name} are {ends}; expected {low} to {high}")


def _tensor(values: Any) -> Tensor:
    return values if isinstance(values, Tensor) else torch.as_tensor(values)


def check_weights(weights: Tensor, n: int) -> Tensor:
    """Return weights of people, (n,), after refusing what is not above 0 and finite."""
    weights = torch.as_tensor(weights)
    if weights.shape != (n,) or not bool((weights > 0).all()) or not bool(weights.double().isfinite().all()):
        raise InputError(
            f"weights must be {n} finite numbers above 0, got shape {tuple(weights.shape)}"
            + ("" if weights.numel() == 0 else f" from {float(weights.min()):g} to {float(weights.max()):g}")
        )
    return weights
