"""What a parameter of a sweep ranges over: every distribution of W&B's schema."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sevenfold.errors import ConfigError, shown, suggest

Options = Mapping[str, Any]
Draw = Callable[[np.random.Generator, Options], float]
LONGEST_GRID = 1_000_000


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter: ``name`` is its dotted key, ``options`` hold what its ``distribution`` needs."""

    name: str
    distribution: str
    options: Options

    def grid(self) -> list[Any]:
        """Return every value, for a grid search; continuous parameters have no grid."""
        options = self.options
        if self.distribution == "constant":
            return [options["value"]]
        if self.distribution == "categorical" and "probabilities" not in options:
            return list(options["values"])
        if self.distribution not in ("int_uniform", "q_uniform"):
            message = f"a grid needs listed values, not {self.distribution}"
            raise ConfigError(f"parameters.{self.name}", message)
        low, high, step = options["min"], options["max"], options.get("q", 1.0)
        if self.distribution == "int_uniform":
            # arange leaves its end out, and whole numbers include theirs.
            high, step = high + 1, 1
        if (high - low) / step > LONGEST_GRID:
            raise ConfigError(f"parameters.{self.name}", f"its grid has more than {LONGEST_GRID} values")
        return np.arange(low, high, step).tolist()

    def sample(self, random: np.random.Generator) -> Any:
        """Draw one value as a plain Python object."""
        options = self.options
        if self.distribution == "constant":
            return options["value"]
        if self.distribution == "categorical":
            chosen = random.choice(len(options["values"]), p=options.get("probabilities"))
            return options["values"][int(chosen)]
        if self.distribution == "int_uniform":
            return int(random.integers(options["min"], options["max"] + 1))
        value = float(_CONTINUOUS[self.distribution.removeprefix("q_")](random, options))
        if not self.distribution.startswith("q_"):
            return value
        step = options.get("q", 1.0)
        # Rounded to a multiple of q from zero, as W&B does, not from the lower bound.
        rounded = round(value / step) * step
        return int(rounded) if isinstance(step, int) else float(rounded)

    def interval(self) -> tuple[float, float]:
        """Return the bounds of a log-uniform distribution as values, however they are written."""
        low, high = self.options["min"], self.options["max"]
        if self.distribution.endswith("_values"):
            return low, high
        if self.distribution.removeprefix("q_").startswith("inv_"):
            low, high = -high, -low
        return math.exp(low), math.exp(high)


def _log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    return math.exp(random.uniform(low, high))


# Bounds are exponents of e, except under the names with ``_values``; of the inverse distributions W&B says
# that log(1/x) is uniform, between -max and -min where the bounds are values.
_CONTINUOUS: dict[str, Draw] = {
    "uniform": lambda random, o: random.uniform(o["min"], o["max"]),
    "log_uniform": lambda random, o: _log_uniform(random, o["min"], o["max"]),
    "log_uniform_values": lambda random, o: _log_uniform(random, math.log(o["min"]), math.log(o["max"])),
    "inv_log_uniform": lambda random, o: 1 / _log_uniform(random, o["min"], o["max"]),
    "inv_log_uniform_values": (
        lambda random, o: 1 / _log_uniform(random, -math.log(o["max"]), -math.log(o["min"]))
    ),
    "normal": lambda random, o: random.normal(o.get("mu", 0.0), o.get("sigma", 1.0)),
    "log_normal": lambda random, o: random.lognormal(o.get("mu", 0.0), o.get("sigma", 1.0)),
    "beta": lambda random, o: random.beta(o.get("a", 1.0), o.get("b", 1.0)),
}
_BOUNDS: tuple[set[str], set[str]] = ({"min", "max"}, set())
_OPTIONS: dict[str, tuple[set[str], set[str]]] = {
    "constant": ({"value"}, set()),
    "categorical": ({"values"}, {"probabilities"}),
    "int_uniform": _BOUNDS,
    "uniform": _BOUNDS,
    "log_uniform": _BOUNDS,
    "log_uniform_values": _BOUNDS,
    "inv_log_uniform": _BOUNDS,
    "inv_log_uniform_values": _BOUNDS,
    "normal": (set(), {"mu", "sigma"}),
    "log_normal": (set(), {"mu", "sigma"}),
    "beta": (set(), {"a", "b"}),
}
_QUANTIZED = ("uniform", "log_uniform", "log_uniform_values", "normal", "log_normal", "beta")
_OPTIONS |= {f"q_{name}": (_OPTIONS[name][0], _OPTIONS[name][1] | {"q"}) for name in _QUANTIZED}


def read_parameter(name: str, node: Mapping[str, Any]) -> Parameter:
    """Check one parameter, its distribution inferred as W&B does where it is not given."""
    key = f"parameters.{name}"
    options = {option: value for option, value in node.items() if option != "distribution"}
    distribution = node.get("distribution") or _infer(options)
    if distribution == "categorical_w_probabilities":
        distribution = "categorical"
    if not isinstance(distribution, str) or distribution not in _OPTIONS:
        message = f"{shown(distribution)} is not supported. {suggest(distribution, _OPTIONS)}"
        raise ConfigError(f"{key}.distribution", message)
    needed, allowed = _OPTIONS[distribution]
    if missing := sorted(needed - set(options)):
        raise ConfigError(f"{key}.{missing[0]}", f"is required by distribution {distribution}")
    if unknown := sorted(map(str, set(options) - needed - allowed)):
        message = f"unknown with {distribution}. {suggest(unknown[0], needed | allowed)}"
        raise ConfigError(f"{key}.{unknown[0]}", message)
    if "values" in options:
        _check_values(options, key)
    elif distribution != "constant":
        _check_numbers(distribution, options, key)
    return Parameter(name, distribution, options)


def _infer(options: Options) -> str:
    if "value" in options:
        return "constant"
    if "min" in options or "max" in options:
        whole = all(isinstance(options.get(bound), int) for bound in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    return "categorical"


def _check_values(options: Options, key: str) -> None:
    values, shares = options["values"], options.get("probabilities")
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{key}.values", f"expected a list of values, got {shown(values)}")
    if shares is None:
        return
    good = isinstance(shares, list) and len(shares) == len(values) and all(map(_is_number, shares))
    if not good or min(shares) < 0 or abs(sum(shares) - 1) > 1e-8:
        message = f"expected {len(values)} shares that add up to 1, got {shown(shares)}"
        raise ConfigError(f"{key}.probabilities", message)


def _check_numbers(distribution: str, options: Options, key: str) -> None:
    for option, value in options.items():
        if not _is_number(value) or (distribution == "int_uniform" and not isinstance(value, int)):
            kind = "whole" if distribution == "int_uniform" else "finite"
            raise ConfigError(f"{key}.{option}", f"expected a {kind} number, got {shown(value)}")
        if option in ("q", "a", "b") and value <= 0:
            raise ConfigError(f"{key}.{option}", f"must be above 0, got {value}")
        if option == "sigma" and value < 0:
            raise ConfigError(f"{key}.sigma", f"must not be negative, got {value}")
    if "min" not in options:
        return
    if not options["min"] <= options["max"]:
        raise ConfigError(key, f"min {options['min']} is above max {options['max']}")
    if distribution.endswith("_values") and options["min"] <= 0:
        raise ConfigError(f"{key}.min", f"must be above 0, got {options['min']}")
    if (
        "log_" in distribution
        and not distribution.endswith("_values")
        and max(map(abs, options.values())) > 700
    ):
        raise ConfigError(key, f"bounds of {distribution} are exponents; values go by {distribution}_values")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18
