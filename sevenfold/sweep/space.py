"""Read a sweep file in W&B's schema and say what its parameters range over.

What W&B accepts and this reader does not is refused by name: a key passed over in silence would change the
experiment.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sevenfold.config import ConfigError, read_file, suggest
from sevenfold.seeding import numpy_generator

DESCRIPTIVE = {"name", "description", "project", "entity"}
KEYS = DESCRIPTIVE | {"program", "method", "metric", "parameters", "command", "run_cap"}
DEFAULT_COMMAND = ["${env}", "${interpreter}", "${program}", "${args}"]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter: ``name`` is its dotted key, ``options`` hold what its ``distribution`` needs."""

    name: str
    distribution: str
    options: Mapping[str, Any]

    def grid(self) -> list[Any]:
        """Return every value, for a grid search; continuous parameters have no grid."""
        options = self.options
        if self.distribution == "constant":
            return [options["value"]]
        if self.distribution == "categorical" and "probabilities" not in options:
            return list(options["values"])
        if self.distribution == "int_uniform":
            return list(range(options["min"], options["max"] + 1))
        if self.distribution == "q_uniform":
            return np.arange(options["min"], options["max"], options.get("q", 1.0)).tolist()
        raise ConfigError(f"parameters.{self.name}", f"a grid needs listed values, not {self.distribution}")

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
        value = _CONTINUOUS[self.distribution.removeprefix("q_")](random, options)
        if self.distribution.startswith("q_"):
            step = options.get("q", 1.0)
            value = round(value / step) * step
        return float(value)


_CONTINUOUS = {
    "uniform": lambda random, o: random.uniform(o["min"], o["max"]),
    "log_uniform": lambda random, o: math.exp(random.uniform(o["min"], o["max"])),  # bounds are exponents
    "log_uniform_values": lambda random, o: math.exp(random.uniform(math.log(o["min"]), math.log(o["max"]))),
    "normal": lambda random, o: random.normal(o.get("mu", 0.0), o.get("sigma", 1.0)),
    "log_normal": lambda random, o: random.lognormal(o.get("mu", 0.0), o.get("sigma", 1.0)),
}
_OPTIONS = {
    "constant": ({"value"}, set()),
    "categorical": ({"values"}, {"probabilities"}),
    "int_uniform": ({"min", "max"}, set()),
    "uniform": ({"min", "max"}, set()),
    "log_uniform": ({"min", "max"}, set()),
    "log_uniform_values": ({"min", "max"}, set()),
    "normal": (set(), {"mu", "sigma"}),
    "log_normal": (set(), {"mu", "sigma"}),
}
_OPTIONS |= {
    f"q_{name}": (need, may | {"q"}) for name, (need, may) in _OPTIONS.items() if name in _CONTINUOUS
}


@dataclasses.dataclass(frozen=True)
class SweepFile:
    """A checked sweep: its method, parameters in order of their names, metric, and the command of a trial."""

    path: Path
    method: Literal["grid", "random", "bayes"]
    parameters: tuple[Parameter, ...]
    metric: str | None
    maximize: bool
    command: tuple[str, ...]
    run_cap: int | None

    def grid(self) -> list[dict[str, Any]]:
        """Return all combinations, the last parameter varying fastest."""
        names = [parameter.name for parameter in self.parameters]
        values = [parameter.grid() for parameter in self.parameters]
        return [dict(zip(names, combination, strict=True)) for combination in itertools.product(*values)]

    def sample(self, trial: int) -> dict[str, Any]:
        """Draw trial number ``trial`` of a random search; it depends on nothing else."""
        random = numpy_generator(0, "sweep", trial)
        return {parameter.name: parameter.sample(random) for parameter in self.parameters}


def read_sweep(path: str | Path) -> SweepFile:
    """Read and check a sweep file; unknown keys, methods and distributions raise ``ConfigError`` by name."""
    content = read_file(path)
    for key in content:
        if key not in KEYS:
            raise ConfigError(key, f"is not supported in a local sweep. {suggest(key, KEYS)}")
    method, metric = content.get("method"), content.get("metric") or {}
    if method not in ("grid", "random", "bayes"):
        raise ConfigError("method", f"expected grid, random or bayes, got {method!r}")
    if unknown := set(metric) - {"name", "goal"}:
        raise ConfigError(f"metric.{unknown.pop()}", "is not supported in a local sweep. Known: goal, name.")
    if metric.get("goal", "minimize") not in ("minimize", "maximize"):
        raise ConfigError("metric.goal", f"expected minimize or maximize, got {metric['goal']!r}")
    if method == "bayes" and "name" not in metric:
        raise ConfigError("metric.name", "is required by method bayes: say which metric to optimize")
    if not isinstance(content.get("parameters"), Mapping) or not content["parameters"]:
        raise ConfigError("parameters", "expected a mapping of dotted keys to what they range over")
    return SweepFile(
        path=Path(path),
        method=method,
        parameters=tuple(
            _parameter(name, content["parameters"][name]) for name in sorted(content["parameters"])
        ),
        metric=metric.get("name"),
        maximize=metric.get("goal") == "maximize",
        command=tuple(map(str, content.get("command", DEFAULT_COMMAND))),
        run_cap=content.get("run_cap"),
    )


def _parameter(name: str, node: Any) -> Parameter:
    """Check one parameter, its distribution inferred as W&B does where it is not said."""
    key = f"parameters.{name}"
    if not isinstance(node, Mapping):
        raise ConfigError(key, f"expected a mapping such as 'values: [1, 2]', got {node!r}")
    if "parameters" in node:
        raise ConfigError(key, "nested parameters: use dotted names, such as model.optim.lr")
    options = {option: value for option, value in node.items() if option != "distribution"}
    distribution = node.get("distribution") or _infer(options)
    if distribution not in _OPTIONS:
        raise ConfigError(
            f"{key}.distribution", f"'{distribution}' is not supported. {suggest(distribution, _OPTIONS)}"
        )
    needed, allowed = _OPTIONS[distribution]
    if missing := needed - set(options):
        raise ConfigError(f"{key}.{sorted(missing)[0]}", f"is required by distribution {distribution}")
    if unknown := set(options) - needed - allowed:
        option = sorted(unknown)[0]
        raise ConfigError(
            f"{key}.{option}", f"unknown with {distribution}. {suggest(option, needed | allowed)}"
        )
    if "min" in options and not options["min"] <= options["max"]:
        raise ConfigError(key, f"min {options['min']} is above max {options['max']}")
    return Parameter(name, distribution, options)


def _infer(options: Mapping[str, Any]) -> str:
    if "value" in options:
        return "constant"
    if "min" in options or "max" in options:
        whole = all(isinstance(options.get(bound), int) for bound in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    return "categorical"
