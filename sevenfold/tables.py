"""Tables of components: by which name a configuration calls each, where it is, and what it is given.

A table maps names to ``"package.module:attribute"``. An option that takes a component names its table in its
annotation, ``Annotated[Node, OneOf("sevenfold.deq:SOLVERS")]``; from there the configuration is checked at
every depth, described, and completed with defaults. Nothing here imports torch.
"""

import importlib
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sevenfold.errors import ConfigError, one_line, shown, suggest

Node = dict[str, Any]
"""A part of a configuration: plain values by option, a component's ``name`` among them."""


class ComponentTable(dict[str, str]):
    """Components of one kind: ``name -> "package.module:attribute"``.

    Args:
        entries: the components; one line registers one.
        holds: what they are, in a few words, in the plural.
        given: arguments of their constructors that come from the program and are no options.
        extras: for entries that need a package beyond the requirements, the extra of ``setup.cfg`` with it.

    >>> ComponentTable({"half": "my_package.solvers:Half"}, holds="fixed-point solvers")
    {'half': 'my_package.solvers:Half'}
    """

    def __init__(
        self,
        entries: Mapping[str, str],
        *,
        holds: str,
        given: tuple[str, ...] = (),
        extras: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(entries)
        self.holds, self.given, self.extras = holds, given, dict(extras or {})

    def __or__(self, other: Mapping[str, str]) -> "ComponentTable":  # type: ignore[override]
        """Join two tables."""
        both = ComponentTable({**self, **other}, holds=self.holds, given=self.given, extras=self.extras)
        if isinstance(other, ComponentTable):
            both.holds = f"{self.holds}, {other.holds}"
            # `given` stays the first table's: joined tables take the same arguments from the program.
            both.extras |= other.extras
        return both

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a plain mapping with its attributes."""
        return _table, (dict(self), self.holds, self.given, self.extras)


def _table(
    entries: Mapping[str, str], holds: str, given: tuple[str, ...], extras: Mapping[str, str]
) -> ComponentTable:
    return ComponentTable(entries, holds=holds, given=given, extras=extras)


@dataclass(frozen=True)
class OptionsOf:
    """Mark an option as the options of a class that stands in no table, all of them optional.

    Args:
        target: reference ``"package.module:Class"`` of the class.
    """

    target: str


@dataclass(frozen=True)
class OneOf:
    """Mark an option as the name of a component, or a node ``{"name": ..., option: value}``.

    Args:
        tables: references ``"package:TABLE"`` of the tables it is in.

    >>> OneOf("sevenfold.deq:SOLVERS").table()["anderson"]
    'sevenfold.deq.anderson:Anderson'
    """

    tables: tuple[str, ...]

    def __init__(self, *tables: str) -> None:
        object.__setattr__(self, "tables", tables)

    def table(self) -> ComponentTable:
        """Return the table, or all of them joined."""
        first, *rest = (locate(reference) for reference in self.tables)
        table: ComponentTable = first
        for other in rest:
            table = table | other
        return table


def locate(reference: str) -> Any:
    """Import what ``"package.module:attribute"`` stands for."""
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


_allowed: set[str] = set()


def allow(*packages: str) -> None:
    """Let names ``package.module:Class`` of these packages stand wherever a name of a table may.

    A configuration or checkpoint can come from somebody else, so it can never allow a package itself.
    Packages are looked for where Python looks, and in the current folder.

    >>> allow("my_package")
    """
    for package in packages:
        if not package.isidentifier():
            raise ConfigError(
                "--allow", f"expected the name of a package, such as my_package, got {package!r}"
            )
    # Last, so that a file of the current folder never hides an installed package.
    if packages and (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    _allowed.update(packages)


def allowed() -> tuple[str, ...]:
    """Return the packages allowed so far, for processes that this one starts."""
    return tuple(sorted(_allowed))


def component(table: Mapping[str, str], name: str, key: str) -> Any:
    """Import the component that a table calls ``name``, or one's own ``package.module:Class``.

    Raises ``ConfigError`` at ``key`` for an unknown name, a package that is not allowed, and a class that
    is not there.
    """
    if name in table:
        return locate(table[name])
    if ":" not in name:
        raise ConfigError(key, f"{shown(name)} is not known. {suggest(name, table)}")
    module, _, attribute = name.partition(":")
    package = module.split(".")[0]
    if package not in _allowed:
        raise ConfigError(
            key, f"{shown(name)} is code outside the suite: say --allow {package} if you trust it"
        )
    if not attribute.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ConfigError(key, f"expected package.module:Class, got {shown(name)}")
    try:
        target = locate(name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(key, f"cannot import {shown(name)}: {one_line(error)}") from None
    # The package may have imported it from elsewhere: `my_package:os.system` must not pass.
    home = str(getattr(target, "__module__", "")).split(".")[0]
    if not callable(target) or home not in _allowed:
        raise ConfigError(key, f"{shown(name)} is no class or function of package '{package}'")
    return target


def mark_of(annotation: Any) -> OneOf | OptionsOf | None:
    """Return the mark of an option itself: of its annotation, or of a member of its union."""
    for mark in getattr(annotation, "__metadata__", ()):
        if isinstance(mark, OneOf | OptionsOf):
            return mark
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            if (mark := mark_of(member)) is not None:
                return mark
    return None


TABLES: dict[str, str] = {
    "studies": "sevenfold.studies:STUDIES",
    "executors": "sevenfold.executors:EXECUTORS",
    "executors.calls": "sevenfold.executors:CALLS",
    "models": "lightning_modules:MODELS",
    "data": "datamodules:DATAMODULES",
    "callbacks": "callbacks:CALLBACKS",
    "loggers": "callbacks:LOGGERS",
    "strategies": "callbacks:STRATEGIES",
    "deq.solvers": "sevenfold.deq:SOLVERS",
    "deq.linear": "sevenfold.deq:LINEAR",
    "deq.backwards": "sevenfold.deq:BACKWARDS",
    "flow.networks": "sevenfold.flow:NETWORKS",
    "flow.sets": "sevenfold.flow.data:FLOW_SETS",
    "nas.spaces": "sevenfold.nas.spaces:SPACES",
    "nas.encodings": "sevenfold.nas.encodings:ENCODINGS",
    "nas.decoders": "sevenfold.nas.encodings:DECODERS",
    "nas.distances": "sevenfold.nas.encodings:DISTANCES",
    "nas.benchmarks": "sevenfold.nas.benchmarks:BENCHMARKS",
    "nas.converters": "sevenfold.nas.benchmarks:CONVERTERS",
    "nas.algorithms": "sevenfold.nas.algorithms:ALGORITHMS",
    "nas.surrogates": "sevenfold.nas.algorithms:SURROGATES",
    "nas.predictors": "sevenfold.nas.predictors:PREDICTORS",
    "nas.extrapolators": "sevenfold.nas.lce:EXTRAPOLATORS",
    "nas.multifidelity": "sevenfold.nas.lce:SEARCHES",
    "nas.compressions": "sevenfold.nas.x11:COMPRESSIONS",
    "nas.regressors": "sevenfold.nas.x11:REGRESSORS",
    "nas.noises": "sevenfold.nas.x11:NOISES",
    "fairness.methods": "sevenfold.fairness:METHODS",
    "fairness.postprocessors": "sevenfold.fairness:POSTPROCESSORS",
    "fairness.sources": "sevenfold.fairness.data:SOURCES",
    "fairness.optimizers": "sevenfold.fairness.intra.layerwise:OPTIMIZERS",
    "diffreps.priors": "sevenfold.diffreps:PRIORS",
    "diffreps.world_priors": "sevenfold.diffreps.worlds:WORLD_PRIORS",
    "diffreps.representations": "sevenfold.diffreps:REPRESENTATIONS",
    "diffreps.solvers": "sevenfold.diffreps:SOLVERS",
    "diffreps.view_noises": "sevenfold.diffreps:VIEW_NOISES",
    "diffreps.methods": "sevenfold.diffreps:METHODS",
    "diffreps.schedules": "sevenfold.diffreps:SCHEDULES",
    "diffreps.sources": "sevenfold.diffreps:SOURCES",
    "diffreps.networks": "sevenfold.diffreps:NETWORKS",
    "diffreps.processes": "sevenfold.diffreps:PROCESSES",
}
"""Every table by the name that ``list`` and ``describe`` call it."""
