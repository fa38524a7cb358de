"""Groups of people: any number, of any number of attributes, overlapping, with unknown and small ones."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sevenfold.errors import InputError, shown, suggest
from sevenfold.fairness.levels import MOST_LEVELS, Levels, column, levels

SMALL, FEW = 30, 10


@dataclass(frozen=True)
class Layout:
    """What groups there are.

    Attributes:
        names: of the groups, ``sex=F`` or ``sex=F & race=Black``.
        member: (groups, cells + 1), whether a cell is part of a group; the last cell is people whose group is
            unknown.
        families: by name, the groups that are compared with each other.
        small: groups of fewer rows are shown and not judged.
        few: so are rates over fewer rows.
    """

    names: tuple[str, ...]
    member: tuple[tuple[bool, ...], ...]
    families: Mapping[str, tuple[int, ...]]
    small: int = 0
    few: int = 0

    @property
    def cells(self) -> int:
        """Return the number of cells, that of unknown people included."""
        return len(self.member[0])

    def family(self, name: str | None = None) -> list[tuple[int, ...]]:
        """Return the groups of a family, or those of every family.

        >>> TWO.family()
        [(0, 1)]
        """
        if name is None:
            return list(self.families.values())
        if name not in self.families:
            raise InputError(f"no groups are defined by '{name}'. {suggest(name, self.families)}")
        return [self.families[name]]

    def group(self, name: str) -> int:
        """Return the position of a group."""
        if name not in self.names:
            raise InputError(f"there is no group '{name}'. {suggest(name, self.names)}")
        return self.names.index(name)


TWO = Layout(("a=0", "a=1"), ((True, False, False), (False, True, False)), {"a": (0, 1)})
"""The unprivileged group 0 and the privileged group 1 of one attribute."""


@dataclass(frozen=True)
class Groups:
    """People and their groups.

    Attributes:
        cell: (n,) the finest cell of each row, -1 where an attribute is unknown.
        layout: the groups, unions of cells.
        attributes: how values became groups; empty for plain 0/1 codes.
        flags: what to beware of, in words.

    Example:
        >>> groups = Groups.of({"sex": ["f", "m", "f", "?"]}, small=1)
        >>> groups.names, groups.cell.tolist()
        (('sex=f', 'sex=m'), [0, 1, 0, -1])
    """

    cell: Tensor
    layout: Layout = TWO
    attributes: tuple[Levels, ...] = ()
    flags: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        attributes: Any,
        *,
        spec: Mapping[str, Any] | None = None,
        cross: bool = False,
        small: int | Literal["merge"] = SMALL,
        missing_codes: Iterable[str] = (),
    ) -> "Groups":
        """Return the groups of people by one attribute or several.

        Args:
            attributes: a mapping name -> column (n,) of any type, a DataFrame, or one column.
            spec: by attribute, how values become groups (:func:`sevenfold.fairness.levels.levels`).
            cross: compare the crossings of all attributes, too.
            small: groups of fewer rows are shown and not judged; ``merge`` makes one group of them.
            missing_codes: codes of unknown values, beside NaN, "?", "NA", "unknown" and the like.

        Raises ``InputError`` naming values that belong to no group.
        """
        columns = named_columns(attributes)
        for name in spec or {}:
            if name not in columns:
                raise InputError(f"there is no protected attribute '{name}'. {suggest(name, columns)}")
        missing = [missing_codes] if isinstance(missing_codes, str) else list(missing_codes)
        rules = [levels(name, values, (spec or {}).get(name), missing) for name, values in columns.items()]
        if isinstance(small, str) and small == "merge":
            rules = [_merged(rule, columns[rule.name], missing) for rule in rules]
        elif not isinstance(small, int) or small < 0:
            raise InputError(f"small is {shown(small)}; expected a number of rows, or 'merge'")
        return assign(
            rules, columns, cross=cross, small=SMALL if small == "merge" else small, missing=missing
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the groups."""
        return self.layout.names

    @property
    def member(self) -> Tensor:
        """Return which cells a group has, (groups, cells) bool."""
        return torch.tensor(self.layout.member)[:, :-1]

    @property
    def families(self) -> list[tuple[int, ...]]:
        """Return the sets of groups that are compared with each other."""
        return self.layout.family()

    @property
    def unknown(self) -> int:
        """Return how many people have an unknown attribute."""
        return int((self.cell < 0).sum())

    def mask(self, group: int) -> Tensor:
        """Return who is in a group, (n,) bool."""
        return torch.tensor(self.layout.member[group], device=self.cell.device)[self.cell]

    def rows(self, index: Tensor) -> "Groups":
        """Return the groups of some rows."""
        return dataclasses.replace(self, cell=self.cell[index])

    def to(self, device: torch.device) -> "Groups":
        """Return the groups on a device."""
        return dataclasses.replace(self, cell=self.cell.to(device))

    def again(self, attributes: Any) -> "Groups":
        """Return other people in the same groups, by the same rules; a new value is refused by name."""
        if not self.attributes:
            raise InputError("plain codes 0 and 1 have no rules to apply again; make them with Groups.of")
        columns = named_columns(attributes, self.attributes[0].name)
        return assign(self.attributes, columns, cross=len(self.layout.families) > len(self.attributes),
                      small=self.layout.small)  # fmt: skip


def groups_of(a: "Tensor | Groups") -> Groups:
    """Return groups as they are, and 0/1 codes as two groups."""
    return a if isinstance(a, Groups) else Groups(a.long())


def named_columns(attributes: Any, name: str = "a") -> dict[str, Any]:
    """Return columns by name from a mapping, a DataFrame or one column."""
    if isinstance(attributes, Mapping):
        columns = {str(key): values for key, values in attributes.items()}
    elif hasattr(attributes, "columns") and hasattr(attributes, "to_numpy"):
        columns = {str(key): attributes[key] for key in attributes.columns}
    else:
        columns = {str(getattr(attributes, "name", None) or name): attributes}
    if not columns:
        raise InputError("no protected attribute was given; expected a mapping name -> column")
    arrays = {key: column(values, key) for key, values in columns.items()}
    if len(sizes := {len(values) for values in arrays.values()}) > 1:
        raise InputError(f"protected attributes have {shown(sorted(sizes))} rows; expected one number")
    return arrays


def assign(
    rules: Sequence[Levels],
    columns: Mapping[str, Any],
    *,
    cross: bool,
    small: int,
    missing: Iterable[str] = (),
) -> Groups:
    """Return the groups of people by rules that are made already."""
    for rule in rules:
        if rule.name not in columns:
            raise InputError(
                f"the protected attribute '{rule.name}' is missing. {suggest(rule.name, columns)}"
            )
    codes = np.stack([rule.codes(columns[rule.name], missing) for rule in rules], axis=1)
    known = (codes >= 0).all(1)
    combinations, place = np.unique(codes[known], axis=0, return_inverse=True)
    cell = np.full(len(codes), -1, dtype=np.int64)
    cell[known] = place.ravel()
    names, member, families = _groups(rules, combinations, cross)
    layout = Layout(names, member, families, small, FEW if small else 0)
    flags = [f"{int((~known).sum())} rows have an unknown attribute"] if not known.all() else []
    sizes = np.bincount(cell[known], minlength=len(combinations))
    for name, cells in zip(names, member, strict=True):
        n = int(sizes[np.array(cells[:-1], dtype=bool)].sum())
        flags += [f"few rows, {name}: {n}, shown and not judged"] if n < small else []
    groups = Groups(torch.as_tensor(cell), layout, tuple(rules), tuple(flags))
    for name, family in families.items():
        present = sum(bool(sizes[np.array(member[g][:-1], dtype=bool)].sum()) for g in family)
        if present < 2:
            raise InputError(
                f"protected attribute '{name}' has one group only ({', '.join(names[g] for g in family)}); "
                "nothing can be compared. Choose another attribute or another definition of its groups"
            )
    return groups


def _groups(
    rules: Sequence[Levels], combinations: NDArray[np.int64], cross: bool
) -> tuple[tuple[str, ...], tuple[tuple[bool, ...], ...], dict[str, tuple[int, ...]]]:
    """Return names, members and families of the groups of every attribute, and of their crossing."""
    names: list[str] = []
    member: list[tuple[bool, ...]] = []
    families: dict[str, tuple[int, ...]] = {}
    for i, rule in enumerate(rules):
        families[rule.name] = tuple(range(len(names), len(names) + len(rule.groups)))
        names += rule.groups
        member += [(*(combinations[:, i] == g).tolist(), False) for g in range(len(rule.groups))]
    if cross and len(rules) > 1:
        if len(combinations) > MOST_LEVELS:
            raise InputError(f"{len(combinations)} crossings of groups; expected at most {MOST_LEVELS}")
        families[" & ".join(rule.name for rule in rules)] = tuple(
            range(len(names), len(names) + len(combinations))
        )
        for j, combination in enumerate(combinations):
            names.append(" & ".join(rule.groups[g] for rule, g in zip(rules, combination, strict=True)))
            member.append((*(k == j for k in range(len(combinations))), False))
    return tuple(names), tuple(member), families


def _merged(rule: Levels, values: Any, missing: Iterable[str]) -> Levels:
    """Return a rule whose groups of fewer than 30 rows are one, ``other``."""
    sizes = np.bincount(rule.codes(values, missing) + 1, minlength=len(rule.groups) + 1)[1:]
    tiny = [g for g in range(len(rule.groups)) if sizes[g] < SMALL]
    if rule.values is None or not tiny:
        return rule
    large = [g for g in range(len(rule.groups)) if g not in tiny]
    place = {g: i for i, g in enumerate(large)} | dict.fromkeys(tiny, len(large))
    values_now = {text: place[g] for text, g in rule.values.items() if g >= 0}
    names = [*itertools.chain(rule.groups[g] for g in large), f"{rule.name}=other"]
    return dataclasses.replace(rule, groups=tuple(names), values=values_now)
