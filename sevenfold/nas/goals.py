"""What a problem wants of the values of an evaluation: losses to be minimized, and constraints."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sevenfold.errors import ConfigError, shown

# This file imports neither NumPy nor torch: worker processes begin with it.

CONSTRAINT = re.compile(r"(<=|>=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")


@dataclass(frozen=True)
class Bound:
    """A value by name that must lie at or below a bound (``side`` 1), or at or above it (``side`` -1)."""

    name: str
    side: int
    bound: float

    def excess(self, value: Any) -> Any:
        """Return how far a value, or an array of them, is beyond the bound, in units of it (of 1 if it is 0).

        >>> Bound("params", 1, 0.5).excess(0.75), Bound("params", 1, 0.5).excess(0.25)
        (0.5, -0.5)
        """
        # g / scale (Deb, Pratap, Agarwal and Meyarivan 2002, section VI).
        return self.side * (value - self.bound) / (abs(self.bound) or 1.0)


@dataclass(frozen=True)
class Goals:
    """Names of values: those to minimize, those to maximize, and the bounds of others.

    Losses are the values to minimize, then the negative ones of those to maximize.
    """

    minimize: tuple[str, ...] = ("loss",)
    maximize: tuple[str, ...] = ()
    bounds: tuple[Bound, ...] = ()

    @property
    def losses(self) -> tuple[str, ...]:
        """The names of what is searched, in the order of losses."""
        return (*self.minimize, *self.maximize)

    @property
    def names(self) -> tuple[str, ...]:
        """All names that an evaluation must have."""
        return tuple(dict.fromkeys((*self.losses, *(bound.name for bound in self.bounds))))

    def of(self, values: Mapping[str, float]) -> tuple[list[float], float | None]:
        """Return the losses of the values of an evaluation, and the violation where there are bounds.

        >>> read_goals(["error"], ["speed"], {"size": "<= 2"}).of({"error": 1.0, "speed": 3.0, "size": 3.0})
        ([1.0, -3.0], 0.5)
        """
        losses = [values[name] for name in self.minimize] + [-values[name] for name in self.maximize]
        violation = sum(max(0.0, bound.excess(values[bound.name])) for bound in self.bounds)
        return losses, violation if self.bounds else None

    def unusable(self, values: Mapping[str, float]) -> str | None:
        """Return why the values of an evaluation are those of a failure; None if they are not."""
        for name in self.names:
            if not math.isfinite(values[name]):
                only = len(self.names) == 1
                return f"the objective returned {values[name]}" + ("" if only else f" for '{name}'")
        return None


def read_goals(
    minimize: str | Sequence[str] | None = None,
    maximize: str | Sequence[str] = (),
    constraints: Mapping[str, str] | None = None,
) -> Goals:
    """Return goals as a recipe writes them.

    Args:
        minimize: a name or several; None: ``loss``, or nothing where something is maximized.
        maximize: a name or several.
        constraints: bounds by name, such as ``{"params_m": "<= 0.5"}``.

    >>> read_goals(["val_error", "latency_ms"], constraints={"params_m": "<= 0.5"}).names
    ('val_error', 'latency_ms', 'params_m')
    """
    least, most = _names("minimize", minimize or []), _names("maximize", maximize)
    if not least and not most:
        least = ("loss",)
    if twice := sorted({name for name in (*least, *most) if (*least, *most).count(name) > 1}):
        raise ConfigError("minimize", f"'{twice[0]}' is named twice; name each value once")
    bounds = [_bound(name, text) for name, text in (constraints or {}).items()]
    return Goals(least, most, tuple(bounds))


def _names(key: str, given: Any) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given)
    if wrong := [name for name in names if not isinstance(name, str) or not name]:
        raise ConfigError(key, f"expected names of values, got {shown(wrong[0])}")
    return names


def _bound(name: str, text: Any) -> Bound:
    match = CONSTRAINT.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ConfigError(f"constraints.{name}", f"expected such as '<= 0.5' or '>= 80', got {shown(text)}")
    return Bound(name, 1 if match[1] == "<=" else -1, float(match[2]))
