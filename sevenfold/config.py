"""Read, compose, override, validate and build configurations.

A configuration is plain YAML. Components are chosen by ``name`` from closed tables (``name ->
"module:attribute"``), and the chosen constructor's signature is the schema of its options: there is no other
place where an option is declared. OmegaConf checks types, choices, nested groups and unknown keys; this file
adds composition, the full key in every message, and the command line's ``key=value`` settings. Nothing here
imports torch.
"""

import dataclasses
import functools
import inspect
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import yaml
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from sevenfold.errors import ConfigError, one_line, shown, suggest
from sevenfold.layers import expanded_size, keep_only, laid_over, merge, nested, overlay
from sevenfold.ranges import Positive, Seed, inside, violations
from sevenfold.tables import Node, OneOf, OptionsOf, component, locate, mark_of
from sevenfold.yaml_files import LARGEST, check_plain, parse_yaml, read_file

__all__ = [
    "ConfigError",
    "RunConfig",
    "below",
    "build",
    "compose",
    "locate",
    "merge",
    "name_of",
    "Node",
    "named",
    "overlay",
    "parse_setting",
    "prepare",
    "read_file",
    "suggest",
    "validate",
]

Verb = Literal["fit", "validate", "test", "predict"]
# Constructors of other libraries do not know ConfigError: whatever they raise is about their options.
FOREIGN = ("pytorch_lightning", "torch", "torchmetrics")


@dataclasses.dataclass
class RunConfig:
    """Every top-level key of a configuration.

    Either ``study`` names a component of ``STUDIES``, and ``executor`` one of ``EXECUTORS`` that computes its
    pieces; or ``model`` and ``data`` name components of ``MODELS`` and ``DATAMODULES``. ``trainer`` holds
    options of Lightning's Trainer; ``callbacks`` and ``logger`` map names of ``CALLBACKS`` and ``LOGGERS`` to
    options, and a null value removes an entry that a base file brought in. A second entry of one class has a
    separate label and the class under ``_class``: ``hourly: {_class: checkpoint, ...}``. A training writes
    its last state after every epoch, and every ``checkpoint_minutes`` in between.

    Args:
        model: the Lightning module: its name in ``MODELS`` and its options.
        data: the data module: its name in ``DATAMODULES`` and its options.
        study: a study in place of model and data: its name in ``STUDIES`` and its options.
        executor: where pieces of a study are computed: a name in ``EXECUTORS`` and its options.
        name: of the run, and of its folder below ``output_dir``; by default the file's name.
        verb: what is done with a model.
        seed: of all random streams.
        checkpoint_minutes: minutes between two saved states within an epoch.
        output_dir: folder of all run folders.
        tags: words that trackers show with the run.
        test_after_fit: whether the best state is tested after a fit.
        trainer: options of Lightning's Trainer.
        callbacks: callbacks by name in ``CALLBACKS``, or by a label with ``_class``; null removes one of a
            base file.
        logger: loggers by name in ``LOGGERS``, or by a label with ``_class``; null removes one of a base
            file.
    """

    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    data: dict[str, Any] = dataclasses.field(default_factory=dict)
    study: dict[str, Any] = dataclasses.field(default_factory=dict)
    executor: dict[str, Any] = dataclasses.field(default_factory=lambda: {"name": "here"})
    name: str = "run"
    verb: Verb = "fit"
    seed: Seed = 0
    checkpoint_minutes: Positive = 15.0
    output_dir: str = "runs"
    tags: list[str] = dataclasses.field(default_factory=list)
    test_after_fit: bool = True
    trainer: dict[str, Any] = dataclasses.field(default_factory=dict)
    callbacks: dict[str, Any] = dataclasses.field(default_factory=dict)
    logger: dict[str, Any] = dataclasses.field(default_factory=dict)


def parse_setting(text: str) -> dict[str, Any]:
    """Turn ``model.solver.tol=1e-3`` into a nested mapping; values are YAML, and a bare ``None`` is null.

    List elements have an index: ``data.layers[0].width=8`` or ``data.layers.0.width=8``. A list of labels as
    ``study.algorithms._only=[a, b]`` (on the command line also ``--only study.algorithms=a,b``) sets all
    other entries of a mapping to null, which removes them.
    """
    key, _, value = text.removeprefix("--").partition("=")
    try:
        node = _without_none(parse_yaml(value))
    except yaml.YAMLError as error:
        raise ConfigError(key, f"cannot read the value {shown(value)}: {one_line(error)}") from None
    return nested(key, node)


def compose(layers: Iterable[Mapping[str, Any]], settings: Iterable[str] = ()) -> dict[str, Any]:
    """Merge configuration ``layers`` and command-line ``settings`` into one resolved, plain configuration.

    Interpolation ``${key}`` refers to other keys of the configuration; resolvers such as ``${oc.env:...}``
    are refused (a resolved configuration is written to disk and to loggers, and so would be the secret).
    Then ``_only: [label, ...]`` in a mapping removes its other entries (see ``layers.keep_only``). Top-level
    keys and the shape of ``model``, ``data`` and the rest are checked here, their options by ``prepare``.
    """
    # Settings among themselves first: a later one may refine what an earlier one put there.
    config = merge(laid_over(layers), laid_over(map(parse_setting, settings)))
    plain = resolve(keep_only(config))
    checked = dataclasses.asdict(RunConfig(**validate(RunConfig, plain, "")))
    for part in ("callbacks", "logger"):
        checked[part] = entries(checked[part], part)
    check_name(checked["name"])
    return _one_kind(checked, "verb" in plain)


def resolve(config: Mapping[str, Any]) -> dict[str, Any]:
    """Replace every ``${key}`` by the value it refers to; nothing else is left to be given."""
    text = str(config)
    if resolver := re.search(r"\$\{\s*[\w.]+\s*:", text):
        raise ConfigError("", f"resolvers are not supported in configurations: {resolver.group()}...}}")
    try:
        # Before OmegaConf resolves: nested references can grow beyond memory ("billion laughs").
        if expanded_size(config, config) > LARGEST:
            raise ConfigError("", f"interpolations expand to more than {LARGEST} values")
        # Most files have nothing to resolve, and OmegaConf is slow on large ones.
        if "${" in text or "???" in text:
            config = OmegaConf.to_container(  # type: ignore[assignment]
                OmegaConf.create(dict(config)), resolve=True, throw_on_missing=True
            )
        check_plain(config)
    except MissingMandatoryValue as error:
        key = error.full_key or ""
        raise ConfigError(key, f"is required: give it as {key}=... or in a file") from None
    except OmegaConfBaseException as error:
        raise ConfigError(getattr(error, "full_key", None) or "", _one_line(error)) from None
    except yaml.YAMLError as error:
        raise ConfigError("", one_line(error)) from None
    except RecursionError:
        raise ConfigError("", "interpolations ${...} refer to each other in a circle") from None
    return dict(config)


def entries(nodes: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return the entries of ``callbacks`` or ``logger``: options, ``true`` for defaults, null for none.

    ``false`` and null both remove an entry that a base file brought in.
    """
    checked: dict[str, Any] = {}
    for name, node in nodes.items():
        key = f"{part}.{name}"
        if not (node is None or isinstance(node, bool | Mapping)):
            raise ConfigError(key, f"expected a mapping of options, true or false, got {shown(node)}")
        if isinstance(node, Mapping) and "name" in node:
            message = f"unknown key: the entry is called '{name}' already; another of its class has _class"
            raise ConfigError(f"{key}.name", message)
        if isinstance(node, Mapping) and not isinstance(node.get("_class", ""), str):
            raise ConfigError(f"{key}._class", f"expected the name of a class, got {shown(node['_class'])}")
        # Kept as null until the end: removing it here would lose that it was meant to be removed.
        checked[name] = {} if node is True else None if node is False else node
    return checked


def entry_node(label: str, options: Mapping[str, Any]) -> Node:
    """Return an entry of ``callbacks`` or ``logger`` as a node: its class is ``_class``, else its label.

    >>> entry_node("hourly", {"_class": "checkpoint", "monitor": "val/loss"})
    {'name': 'checkpoint', 'monitor': 'val/loss'}
    """
    rest = {option: value for option, value in options.items() if option != "_class"}
    return {"name": options.get("_class", label), **rest}


def check_name(name: str) -> None:
    """Refuse a run's name that would lead out of its output folder, or that no file system takes."""
    parts = name.split("/")
    plain = all(part and part.strip() == part and part not in (".", "..") for part in parts)
    if not plain or "\\" in name or not name.isprintable() or Path(name).is_absolute():
        raise ConfigError("name", f"must be a plain relative name, such as demo or study/demo, got {name!r}")


def _one_kind(config: dict[str, Any], verb_given: bool) -> dict[str, Any]:
    """Refuse what is neither a study nor a model with data; drop the keys of the other kind."""
    study, parts = config["study"], ("model", "data")
    if study and any(config[part] for part in parts):
        raise ConfigError("study", "stands for model and data together: leave these out")
    if study and verb_given and config["verb"] != "predict":
        raise ConfigError("verb", f"'{config['verb']}' is not for studies: leave it out")
    for part in ("study",) if study else parts:
        if not isinstance(config[part].get("name"), str):
            other = "" if study else " (or a study)"
            raise ConfigError(f"{part}.name", f"is missing: say which component to use{other}")
    dropped = parts if study else ("study", "executor")
    rest = {key: value for key, value in config.items() if key not in dropped}
    return {**rest, "verb": "predict"} if study else rest


def _without_none(value: Any) -> Any:
    """Read the word None as null, also inside lists: sweeps write values as Python text."""
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items()}
    return None if value == "None" else value


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(
        line for line in lines if line and not re.match(r"(full_key|object_type|reference_type)", line)
    )


@dataclasses.dataclass(frozen=True)
class Field:
    """One option of a component: its annotation with ranges, what OmegaConf can hold of it, its default."""

    annotation: Any
    type: Any
    default: Any


def schema(target: Callable[..., Any]) -> dict[str, Field]:
    """Return ``{option: field}`` for the keyword arguments of a class or function."""
    function = target.__init__ if inspect.isclass(target) else target
    try:
        hints, types = (typing.get_type_hints(function, include_extras=extras) for extras in (True, False))
    except NameError:  # a name imported for type checkers only, in somebody else's class
        hints, types = {}, {}
    parts: Any = getattr(target, "__dataclass_fields__", {}).values()
    fields, made = {}, {part.name: part.default_factory() for part in parts if callable(part.default_factory)}
    for name, parameter in inspect.signature(function).parameters.items():
        # What takes **kwargs declares no options by them; those it passes on are not checked here.
        if name != "self" and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            default = MISSING if parameter.default is parameter.empty else made.get(name, parameter.default)
            fields[name] = Field(hints.get(name, Any), _expressible(types.get(name, Any)), default)
    return fields


@functools.cache
def _expressible(annotation: Any) -> Any:
    """Return the annotation if OmegaConf can hold it, else ``Any`` (classes of other libraries)."""
    try:
        OmegaConf.structured(dataclasses.make_dataclass("Probe", [("probe", annotation)]))
    except (OmegaConfBaseException, ValueError, TypeError):
        return Any
    return annotation


def validate(
    target: Callable[..., Any], options: Mapping[str, Any], key: str, given: Iterable[str] = ()
) -> dict[str, Any]:
    """Check ``options`` against the signature of ``target``; return them converted.

    Unknown keys, wrong types, values outside a ``Literal``, wrong tuple lengths and missing required options
    raise ``ConfigError`` with the full key, ``key`` being the path of the component itself. A ``dict``
    argument that names a component keeps the default's options as long as it keeps the default's name.
    Arguments ``given`` by the program are no options.
    """
    fields = {name: field for name, field in schema(target).items() if name not in set(given)}
    prefix, converted = f"{key}." if key else "", {}
    for option, value in options.items():
        if option not in fields:
            raise ConfigError(f"{prefix}{option}", f"unknown key. {suggest(option, fields)}")
        converted[option] = _convert(fields[option], value, f"{prefix}{option}")
        check_components(fields[option].annotation, converted[option], f"{prefix}{option}")
    for option, field in fields.items():
        if field.default is MISSING and option not in options:
            raise ConfigError(f"{prefix}{option}", "is required but missing")
    return converted


def _convert(field: Field, value: Any, full: str) -> Any:
    """Let OmegaConf check a value's type, then its numbers' ranges; return it plain, or as the dataclass."""
    if isinstance(field.default, Mapping | list | tuple) and isinstance(value, Mapping):
        default = field.default if isinstance(field.default, Mapping) else list(field.default)
        value = overlay(default, value, full)
    # A group's default keeps its own values where the configuration names only some.
    start = field.default if dataclasses.is_dataclass(field.default) else MISSING
    holder = dataclasses.field(default_factory=lambda: start)
    structure = OmegaConf.structured(dataclasses.make_dataclass("Schema", [("v", field.type, holder)]))
    try:
        merged, content = _merged(structure, value)
        if problem := next(violations(field.annotation, content["v"], ""), None):
            raise ConfigError(*problem)
        checked: Any = OmegaConf.to_object(merged)
        return checked.v
    except ConfigError as error:  # of a range, or raised by a group's __post_init__
        dot = "." if error.key and error.key[0] not in ".[" else ""
        raise ConfigError(f"{full}{dot}{error.key}", error.message) from None
    except OmegaConfBaseException as error:
        inner = (getattr(error, "full_key", None) or "v").removeprefix("v")
        message = _one_line(error).replace("'$VALUE' of type '$VALUE_TYPE'", shown(value))
        if "is not a ListConfig" in message:
            message = f"expected a list, got {shown(value)}"
        raise ConfigError(full + inner, message[0].lower() + message[1:]) from None
    except (OverflowError, RecursionError) as error:
        raise ConfigError(full, f"cannot use {shown(value)}: {one_line(error)}") from None


def _merged(structure: Any, value: Any) -> tuple[Any, Any]:
    """Lay a value over its structure; a list in place of a mapping is a mistake too."""
    try:
        merged = OmegaConf.merge(structure, {"v": value})
        return merged, OmegaConf.to_container(merged)
    except (TypeError, ValueError, AttributeError) as error:
        if isinstance(error, OmegaConfBaseException):
            raise
        raise ConfigError("", f"cannot use {shown(value)}: {one_line(error)}") from None


def check_components(annotation: Any, value: Any, key: str) -> None:
    """Check the components named inside an option's value, and their options, at every depth.

    A node without a name leaves the choice to its owner; only the owner can check it.
    """
    mark = mark_of(annotation)
    if mark is None:
        for part, inner, place in inside(annotation, value):
            check_components(part, inner, f"{key}{place}")
    elif isinstance(value, Mapping) and isinstance(mark, OneOf):
        if "name" in value:
            table = mark.table()
            options = {option: inner for option, inner in value.items() if option != "name"}
            validate(named(table, value, key), options, key, table.given)
    elif isinstance(value, Mapping) and isinstance(mark, OptionsOf):
        if value:
            validate(locate(mark.target), value, key)
    elif isinstance(value, str) and isinstance(mark, OneOf):
        component(mark.table(), value, key)


def name_of(node: Any, key: str, table: Iterable[str] = ()) -> str:
    """Return the name of a component from its node ``{"name": ..., option: value, ...}``."""
    if isinstance(node, Mapping) and isinstance(node.get("name"), str):
        return str(node["name"])
    raise ConfigError(key, f"expected a mapping with a 'name', got {shown(node)}. {suggest('', table)}")


def named(table: Mapping[str, str], node: Any, key: str) -> Any:
    """Import and return the component of ``table`` that ``node`` names; ``key`` is where it stands."""
    return component(table, name_of(node, key, table), f"{key}.name")


@contextmanager
def below(key: str) -> Iterator[None]:
    """Put ``key`` before the key of a ``ConfigError`` that is raised inside."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{key}.{error.key}" if error.key else key, error.message) from None


def prepare(table: Mapping[str, str], node: Mapping[str, Any], key: str, **given: Any) -> Callable[[], Any]:
    """Check the component that ``node`` names in ``table`` and return a function that constructs it.

    ``node`` is ``{"name": ..., option: value, ...}``; ``key`` is where it stands in the configuration, for
    messages. ``given`` are arguments that come from the program rather than from the configuration.
    """
    target = named(table, node, key)
    options = {option: value for option, value in node.items() if option != "name"}
    # They come from the program: a configuration that sets one is refused as an unknown key.
    supplied = {*given, *getattr(table, "given", ())}
    converted = validate(target, options, key, supplied)

    def construct() -> Any:
        try:
            with below(key):
                return target(**converted, **given)
        except ConfigError:
            raise
        except Exception as error:
            if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
                raise ConfigError(key, f"does not fit into memory: {one_line(error)}") from None
            if not table.get(node["name"], "").startswith(FOREIGN):
                raise
            raise ConfigError(key, one_line(error)) from None

    return construct


def build(table: Mapping[str, str], node: Mapping[str, Any], key: str, **given: Any) -> Any:
    """Construct the component that ``node`` names in ``table``: ``prepare`` and call."""
    return prepare(table, node, key, **given)()
