"""The groups of one protected attribute: which value belongs to which group, and which are unknown."""

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sevenfold.errors import InputError, shown, suggest

MISSING = ("", "?", "NA", "N/A", "NULL", "None", "nan", "unknown", "<NA>", "NaT")
"""Codes of an unknown value, in any case; ``missing_codes`` adds to them."""
MOST_LEVELS = 64
UNKNOWN = -1
OPTIONS = ("levels", "rest", "bins", "privileged", "unprivileged")
RANGE = re.compile(r"\s*(-?[\d.]+(?:e[-+]?\d+)?)\s*\.\.\s*(-?[\d.]+(?:e[-+]?\d+)?)\s*", re.IGNORECASE)
COMPARISON = re.compile(r"\s*(>=|<=|>|<)\s*(.+)")


def text_of(value: Any) -> str:
    """Return a value as the text that it is compared by: 1, 1.0, True and ``"1"`` are the same.

    >>> [text_of(v) for v in (1.0, True, " F ", 2.5)]
    ['1', '1', 'F', '2.5']
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return str(int(value)) if math.isfinite(value) and value == int(value) else str(float(value))
    return str(value).strip()


def column(values: Any, name: str) -> NDArray[Any]:
    """Return the values of one attribute, (n,), of an array, Series, list or tensor; (n, 1) is (n,)."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise InputError(
            f"protected attribute '{name}' has shape {array.shape}; expected one value a row, (n,). Give "
            "several attributes as a mapping name -> column, or as a table"
        )
    if array.dtype.kind not in "biufOUST":
        raise InputError(f"protected attribute '{name}' has values of type {array.dtype}; expected groups")
    return array


def texts(values: NDArray[Any], name: str, missing: Iterable[str] = ()) -> tuple[list[str], NDArray[Any]]:
    """Return the distinct known values as text, and for every row a position among them or -1.

    Raises ``InputError`` for an infinite value.
    """
    if values.dtype.kind in "biuf":
        # NaN differs from NaN: numbers are encoded by sorting, with all NaN as one value
        distinct, inverse = np.unique(values, return_inverse=True, equal_nan=True)
        raw: Sequence[Any] = distinct.tolist()
    else:
        place: dict[str, int] = {}
        inverse = np.array([place.setdefault(text_of(value), len(place)) for value in values], dtype=np.int64)
        raw = list(place)
    unknown = {text_of(code).casefold() for code in (*MISSING, *missing)}
    known: list[str] = []
    code = np.full(len(raw) + 1, UNKNOWN)
    for i, value in enumerate(raw):
        text = text_of(value)
        if text.casefold() in ("inf", "-inf", "+inf", "infinity", "-infinity"):
            row = int((inverse == i).argmax())
            raise InputError(f"protected attribute '{name}' is infinite in row {row}; correct or blank it")
        if text.casefold() not in unknown:
            code[i] = known.index(text) if text in known else len(known)
            known += [] if text in known else [text]
    return known, code[inverse]


def number_of(text: str) -> float | None:
    """Return a text as a number, or None; a decimal comma is none.

    >>> number_of("2.5"), number_of("2,5")
    (2.5, None)
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Interval:
    """Numbers between two ends; ``open`` names the ends that are not in it: '', 'low', 'high' or 'both'."""

    low: float
    high: float
    open: str = ""

    def __contains__(self, value: float) -> bool:
        """Tell whether a number lies between the ends."""
        above = value > self.low if self.open in ("low", "both") else value >= self.low
        return above and (value < self.high if self.open in ("high", "both") else value <= self.high)


@dataclass(frozen=True)
class Levels:
    """The groups of one attribute.

    Attributes:
        name: of the attribute.
        groups: names of its groups, ``sex=F``; where one is privileged it is the last.
        values: the group of each value, a position in ``groups`` or -1 for unknown; None where groups are
            ranges of numbers.
        ranges: what numbers are in each group, tried in order; the last group takes the others if ``rest`` is
            its position.
        rest: the group of values that are not listed; None refuses them.
    """

    name: str
    groups: tuple[str, ...]
    values: Mapping[str, int] | None = None
    ranges: tuple[tuple[Interval, int], ...] = ()
    rest: int | None = None

    def codes(self, values: Any, missing: Iterable[str] = ()) -> NDArray[np.int64]:
        """Return for every row a position in ``groups``, -1 where the value is unknown.

        Raises ``InputError`` naming the values that belong to no group.
        """
        known, code = texts(column(values, self.name), self.name, missing)
        group = [self._group(text) for text in known]
        lost = [i for i, g in enumerate(group) if g is None]
        if lost:
            sizes = ", ".join(f"'{known[i]}' ({int((code == i).sum())} rows)" for i in lost[:6])
            near = "" if self.values is None else f" {suggest(known[lost[0]], self.values)}"
            raise InputError(
                f"protected attribute '{self.name}' has values in no group: {sizes}.{near} Name them under "
                "levels or unprivileged, or set rest: other or rest: unknown"
            )
        return np.array([*group, UNKNOWN], dtype=np.int64)[code]

    def _group(self, text: str) -> int | None:
        if self.values is not None:
            return self.values.get(text, self.rest)
        value = number_of(text)
        if value is None:
            raise InputError(
                f"protected attribute '{self.name}' is compared with numbers but has the value '{text}'"
                + ("; use a decimal point" if "," in text else "; map it, or add it to missing_codes")
            )
        return next((group for interval, group in self.ranges if value in interval), self.rest)


def levels(name: str, values: Any, rule: Any = None, missing: Iterable[str] = ()) -> Levels:
    """Return the groups of an attribute by a rule, or, without one, a group for each of its values.

    Args:
        name: of the attribute.
        values: its column, (n,).
        rule: ``{levels: {group: [values]}, rest: other | unknown | refuse}``, ``{bins: [25, 60]}``,
            ``{privileged: value, [values] or a range ">= 25", "25..59"}`` with ``unprivileged`` beside it; a
            value alone is short for ``privileged``.
        missing: codes of unknown values, beside the usual ones.

    Example:
        >>> levels("age", [19, 30, 70], {"bins": [25, 60]}).groups
        ('age<25', 'age=25..60', 'age>=60')
        >>> levels("sex", ["m", "f", "?"], "m").groups
        ('sex=f', 'sex=m')
    """
    if rule is not None and not isinstance(rule, Mapping):
        rule = {"privileged": rule}
    rule = dict(rule or {})
    for key in rule:
        if key not in OPTIONS:
            raise InputError(f"protected attribute '{name}': no option '{key}'. {suggest(key, OPTIONS)}")
    forms = [key for key in ("levels", "bins", "privileged") if key in rule]
    if len(forms) > 1 or (rule and not forms):
        raise InputError(
            f"protected attribute '{name}': give one of levels, bins and privileged, got {forms}"
        )
    if forms == ["bins"]:
        return _bins(name, rule["bins"])
    if forms == ["levels"]:
        return _listed(name, rule["levels"], rule.get("rest", "refuse"))
    known, code = texts(column(values, name), name, missing)
    if forms == ["privileged"]:
        return _privileged(name, known, rule)
    if len(known) > MOST_LEVELS:
        raise InputError(
            f"protected attribute '{name}' has {len(known)} different values ({shown(known[:3])}, ...); give "
            "bins: [..] for numbers, or levels: {group: [values]}"
        )
    _refuse_doubles(name, known)
    numbers = [number_of(text) for text in known]
    known = sorted(known, key=lambda t: (number_of(t), t) if None not in numbers else (0.0, t))
    return Levels(name, tuple(f"{name}={text}" for text in known), {text: i for i, text in enumerate(known)})


def _refuse_doubles(name: str, known: Sequence[str]) -> None:
    """Raise where two values differ only in case or blanks, which is a slip and not two groups."""
    seen: dict[str, str] = {}
    for text in known:
        other = seen.setdefault(" ".join(text.split()).casefold(), text)
        if other != text:
            raise InputError(
                f"protected attribute '{name}' has the values '{other}' and '{text}', which differ only in "
                f"case or blanks; make them one, or set levels: {{{other}: [{other}, {text}]}}"
            )


def _bins(name: str, edges: Any) -> Levels:
    numbers = [number_of(text_of(edge)) for edge in edges] if isinstance(edges, list | tuple) else []
    if not numbers or None in numbers or any(a >= b for a, b in zip(numbers, numbers[1:], strict=False)):  # type: ignore[operator]
        raise InputError(f"protected attribute '{name}': bins are increasing numbers, got {shown(edges)}")
    ends = [-math.inf, *(e for e in numbers if e is not None), math.inf]
    t = [text_of(end) for end in ends]
    inner = [f"{name}={low}..{high}" for low, high in zip(t[1:-2], t[2:-1], strict=True)]
    ranges = tuple(
        (Interval(low, high, "high"), i) for i, (low, high) in enumerate(zip(ends, ends[1:], strict=False))
    )
    return Levels(name, (f"{name}<{t[1]}", *inner, f"{name}>={t[-2]}"), ranges=ranges)


def _listed(name: str, listed: Any, rest: str) -> Levels:
    if not isinstance(listed, Mapping) or not listed or rest not in ("other", "unknown", "refuse"):
        raise InputError(
            f"protected attribute '{name}': levels is a mapping group -> values and rest one of other, "
            f"unknown and refuse; got {shown(listed)} and {shown(rest)}"
        )
    values: dict[str, int] = {}
    for i, members in enumerate(listed.values()):
        for value in members if isinstance(members, list | tuple) else [members]:
            if values.setdefault(text_of(value), i) != i:
                raise InputError(f"protected attribute '{name}': '{text_of(value)}' is listed in two groups")
    names = [f"{name}={text_of(group)}" for group in listed] + [f"{name}=other"] * (rest == "other")
    return Levels(name, tuple(names), values, rest={"other": len(listed), "unknown": UNKNOWN}.get(rest))


def _privileged(name: str, known: Sequence[str], rule: Mapping[str, Any]) -> Levels:
    """Return two groups, the privileged one last: a bias is the first's rate minus the last's."""
    privileged, others = rule["privileged"], rule.get("unprivileged")
    _refuse_doubles(name, known)
    if isinstance(privileged, str) and (range_ := _range(name, privileged)):
        outside, inside = (f"{name} not {privileged.strip()}", f"{name} {privileged.strip()}")
        return Levels(name, (outside, inside), ranges=((range_, 1),), rest=0)
    values = [text_of(v) for v in (privileged if isinstance(privileged, list | tuple) else [privileged])]
    absent = [value for value in values if value not in known]
    if absent:
        raise InputError(
            f"protected attribute '{name}': no row has the privileged value '{absent[0]}'. "
            f"{suggest(absent[0], known)}"
        )
    remaining = [text for text in known if text not in values]
    if others is None and len(remaining) > 1 and rule.get("rest", "refuse") == "refuse":
        near = difflib.get_close_matches(values[0], remaining, 1, 0.6)
        raise InputError(
            f"protected attribute '{name}': {shown(sorted(remaining))} are not the privileged "
            f"{shown(values[0])}, and none of them was named"
            + (f" (is '{near[0]}' a slip of the pen?)" if near else "")
            + "; name them under unprivileged: [..], or set rest: other or rest: unknown"
        )
    listed = {
        "other" if others is None and len(remaining) > 1 else " or ".join(_list(others, remaining)): (
            _list(others, [] if rule.get("rest") == "unknown" else remaining)
        ),
        " or ".join(values): values,
    }
    return _listed(name, listed, "unknown" if rule.get("rest") == "unknown" else "refuse")


def _list(others: Any, remaining: Sequence[str]) -> list[str]:
    if others is None:
        return list(remaining)
    return [text_of(v) for v in (others if isinstance(others, list | tuple) else [others])]


def _range(name: str, text: str) -> Interval | None:
    """Return the range that a text such as ``>= 25`` or ``25..59`` stands for, None for a plain value."""
    if between := RANGE.fullmatch(text):
        return Interval(float(between[1]), float(between[2]))
    if not (comparison := COMPARISON.fullmatch(text)):
        return None
    bound = number_of(comparison[2])
    if bound is None:
        raise InputError(f"protected attribute '{name}': '{text}' compares with no number")
    ends = {">=": (bound, math.inf, ""), ">": (bound, math.inf, "low"),
            "<=": (-math.inf, bound, ""), "<": (-math.inf, bound, "high")}  # fmt: skip
    return Interval(*ends[comparison[1]])
