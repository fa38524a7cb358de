"""Read a sweep file in W&B's schema.

What W&B accepts and this reader does not is refused by name: a key passed over in silence would change the
experiment.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from sevenfold.errors import ConfigError, shown, suggest
from sevenfold.seeding import numpy_generator
from sevenfold.sweep.hyperband import Hyperband, read_hyperband
from sevenfold.sweep.space import LONGEST_GRID, Parameter, read_parameter
from sevenfold.yaml_files import read_file

DESCRIPTIVE = {"name", "description", "project", "entity"}
KEYS = DESCRIPTIVE | {"program", "method", "metric", "parameters", "command", "run_cap", "early_terminate"}
DEFAULT_COMMAND = ["${env}", "${interpreter}", "${program}", "${args}"]
_NAME = re.compile(r"[A-Za-z_][\w./\[\]-]*", re.ASCII)


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
    early_terminate: Hyperband | None = None

    def grid(self) -> list[dict[str, Any]]:
        """Return all combinations, the last parameter varying fastest."""
        names = [parameter.name for parameter in self.parameters]
        values = [parameter.grid() for parameter in self.parameters]
        if math.prod(map(len, values)) > LONGEST_GRID:
            raise ConfigError("parameters", f"the grid has more than {LONGEST_GRID} combinations")
        return [dict(zip(names, combination, strict=True)) for combination in itertools.product(*values)]

    def sample(self, trial: int) -> dict[str, Any]:
        """Draw trial number ``trial`` of a random search; it depends on nothing else."""
        # By number: the draw is the same however many trials run at once or ran before.
        random = numpy_generator(0, "sweep", trial)
        return {parameter.name: parameter.sample(random) for parameter in self.parameters}


def read_sweep(path: str | Path) -> SweepFile:
    """Read and check a sweep file; unknown keys, methods and distributions raise ``ConfigError`` by name."""
    content = read_file(path)
    for key in content:
        if key not in KEYS:
            raise ConfigError(key, f"is not supported in a local sweep. {suggest(key, KEYS)}")
    method = content.get("method")
    if method not in ("grid", "random", "bayes"):
        raise ConfigError("method", f"expected grid, random or bayes, got {shown(method)}")
    metric, maximize = _metric(content.get("metric") or {})
    if method == "bayes" and metric is None:
        raise ConfigError("metric.name", "is required by method bayes: say which metric to optimize")
    stop = content.get("early_terminate")
    if stop is not None and metric is None:
        raise ConfigError("metric.name", "is required by early_terminate: say by which metric trials stop")
    return SweepFile(
        path=Path(path),
        method=method,
        parameters=_parameters(content.get("parameters")),
        metric=metric,
        maximize=maximize,
        command=_command(content.get("command", DEFAULT_COMMAND)),
        run_cap=_run_cap(content.get("run_cap")),
        early_terminate=None if stop is None else read_hyperband(stop),
    )


def _metric(metric: Any) -> tuple[str | None, bool]:
    if not isinstance(metric, Mapping):
        raise ConfigError("metric", f"expected a mapping with a name and a goal, got {shown(metric)}")
    if unknown := sorted(map(str, set(metric) - {"name", "goal"})):
        raise ConfigError(f"metric.{unknown[0]}", "is not supported in a local sweep. Known: goal, name.")
    if "name" in metric and not (isinstance(metric["name"], str) and metric["name"]):
        raise ConfigError("metric.name", f"expected the name of a metric, got {shown(metric['name'])}")
    if metric.get("goal", "minimize") not in ("minimize", "maximize"):
        raise ConfigError("metric.goal", f"expected minimize or maximize, got {shown(metric['goal'])}")
    return metric.get("name"), metric.get("goal") == "maximize"


def _parameters(nodes: Any) -> tuple[Parameter, ...]:
    if not isinstance(nodes, Mapping) or not nodes:
        raise ConfigError("parameters", "expected a mapping of dotted keys to what they range over")
    # By name, so that a grid does not depend on the order of keys in the file.
    checked = sorted(_unnested(nodes, ""), key=lambda parameter: parameter.name)
    # Sorted, so that equal names are neighbors.
    for one, next_one in itertools.pairwise(checked):
        if one.name == next_one.name:
            raise ConfigError(f"parameters.{one.name}", "is there twice, nested and with a dotted name")
    return tuple(checked)


def _unnested(nodes: Mapping[str, Any], prefix: str) -> Iterator[Parameter]:
    """Yield parameters with dotted names: ``optim: {parameters: {lr: ...}}`` is ``optim.lr``."""
    for name, node in nodes.items():
        full = f"{prefix}{name}"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigError(f"parameters.{full}", "is no name of an option, such as model.optim.lr")
        if not isinstance(node, Mapping):
            message = f"expected a mapping such as 'values: [1, 2]', got {shown(node)}"
            raise ConfigError(f"parameters.{full}", message)
        if "parameters" not in node:
            yield read_parameter(full, node)
        elif len(node) == 1 and isinstance(node["parameters"], Mapping) and node["parameters"]:
            yield from _unnested(node["parameters"], f"{full}.")
        else:
            message = f"expected 'parameters: {{name: ...}}' alone, got {shown(dict(node))}"
            raise ConfigError(f"parameters.{full}", message)


def _command(words: Any) -> tuple[str, ...]:
    if not isinstance(words, list) or not words or not all(isinstance(w, str | int | float) for w in words):
        raise ConfigError("command", f"expected a list of words, got {shown(words)}")
    return tuple(map(str, words))


def _run_cap(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ConfigError("run_cap", f"expected a positive whole number, got {shown(value)}")
