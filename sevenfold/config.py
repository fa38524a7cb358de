"""Read, compose, override, validate and build configurations.

A configuration is plain YAML. Components are chosen by ``name`` from closed tables (``name ->
"module:attribute"``), and the chosen constructor's signature is the schema of its options: there is no other
place where an option is declared. OmegaConf checks types, choices, nested groups and unknown keys; this file
adds composition, the full key in every message, and the command line's ``key=value`` settings. Nothing here
imports torch.
"""

import dataclasses
import difflib
import importlib
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

from sevenfold.errors import InputError

Verb = Literal["fit", "validate", "test", "predict"]


class ConfigError(InputError):
    """A mistake in a configuration, carrying the full dotted ``key`` it was found at."""

    def __init__(self, key: str, message: str):
        super().__init__(f"{key}: {message}" if key else message)
        self.key, self.message = key, message


@dataclasses.dataclass
class RunConfig:
    """Every top-level key of a configuration.

    Either ``study`` names a component of ``STUDIES``, and ``executor`` one of ``EXECUTORS`` that computes its
    pieces; or ``model`` and ``data`` name components of ``MODELS`` and ``DATAMODULES``. ``trainer`` holds
    options of Lightning's Trainer; ``callbacks`` and ``logger`` map names of ``CALLBACKS`` and ``LOGGERS`` to
    options, and a null value removes an entry that a base file brought in.
    """

    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    data: dict[str, Any] = dataclasses.field(default_factory=dict)
    study: dict[str, Any] = dataclasses.field(default_factory=dict)
    executor: dict[str, Any] = dataclasses.field(default_factory=lambda: {"name": "here"})
    name: str = "run"
    verb: Verb = "fit"
    seed: int = 0
    output_dir: str = "runs"
    tags: list[str] = dataclasses.field(default_factory=list)
    test_after_fit: bool = True
    trainer: dict[str, Any] = dataclasses.field(default_factory=dict)
    callbacks: dict[str, Any] = dataclasses.field(default_factory=dict)
    logger: dict[str, Any] = dataclasses.field(default_factory=dict)


def suggest(word: str, known: Iterable[str]) -> str:
    """Say which known word is meant, or list them all when none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(known) or 'none'}."


def merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the configuration ``new`` over ``old``, key by key; see ``overlay`` for what becomes of a key."""
    return {**old, **{key: overlay(old.get(key), value) for key, value in new.items()}}


def overlay(old: Any, new: Any) -> Any:
    """Lay one value over another: mappings merge, everything else (lists too) is replaced.

    A mapping that changes its ``name`` chooses another component, so the old component's options are dropped.
    """
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    another = "name" in old and "name" in new and old["name"] != new["name"]
    return new if another else merge(old, new)


def read_file(path: str | Path, below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read one YAML file with the files of its ``base:`` list merged beneath it, left to right.

    Base paths are relative to the file that names them. Absent files, circles, YAML errors and files whose
    content is not a mapping raise ``ConfigError``.
    """
    path = Path(path)
    if path.resolve() in below:
        raise ConfigError("base", f"'{path}' includes itself through {' -> '.join(p.name for p in below)}")
    if not path.is_file():
        siblings = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise ConfigError("", f"configuration file '{path}' does not exist. {suggest(path.name, siblings)}")
    try:
        own = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise ConfigError("", f"'{path}' is not valid YAML: {_one_line(error)}") from None
    if not isinstance(own, dict) or not all(isinstance(key, str) for key in own):
        raise ConfigError("", f"'{path}' must hold a mapping of option names to values")
    content: dict[str, Any] = {str(key): value for key, value in own.items()}
    bases = content.pop("base", [])
    merged: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases:
        merged = merge(merged, read_file(path.parent / base, (*below, path.resolve())))
    return merge(merged, content)


def parse_setting(text: str) -> dict[str, Any]:
    """Turn ``model.solver.tol=1e-3`` into a nested mapping; values are YAML, and a bare ``None`` is null."""
    key, _, value = text.removeprefix("--").partition("=")
    try:
        node = _without_none(OmegaConf.from_dotlist([f"v={value}"]))["v"]
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(key, f"cannot read the value {value!r}: {_one_line(error)}") from None
    for part in reversed(key.split(".")):
        node = {part: node}
    return node


def compose(layers: Iterable[Mapping[str, Any]], settings: Iterable[str] = ()) -> dict[str, Any]:
    """Merge configuration ``layers`` and command-line ``settings`` into one resolved, plain configuration.

    Interpolation ``${key}`` refers to other keys of the configuration; resolvers such as ``${oc.env:...}``
    are refused (a resolved configuration is written to disk and to loggers, and so would be the secret).
    Top-level keys and the shape of ``model``, ``data`` and the rest are checked here, their options by
    ``prepare``.
    """
    config: dict[str, Any] = {}
    for layer in layers:
        config = merge(config, layer)
    overlay: dict[str, Any] = {}
    for setting in settings:
        overlay = merge(overlay, parse_setting(setting))
    config = merge(config, overlay)
    if resolver := re.search(r"\$\{\s*[\w.]+\s*:", str(config)):
        raise ConfigError("", f"resolvers are not supported in configurations: {resolver.group()}...}}")
    try:
        plain: Any = OmegaConf.to_container(OmegaConf.create(config), resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = error.full_key or ""
        raise ConfigError(key, f"is required: give it as {key}=... or in a file") from None
    except OmegaConfBaseException as error:
        raise ConfigError(getattr(error, "full_key", None) or "", _one_line(error)) from None
    checked = dataclasses.asdict(RunConfig(**validate(RunConfig, plain, "")))
    check_name(checked["name"])
    return _one_kind(checked, "verb" in plain)


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
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=False)
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


def locate(reference: str) -> Any:
    """Import what a table entry ``"package.module:attribute"`` stands for; a missing optional package is
    explained.
    """
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _fields(target: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Return ``{argument: (annotation, default or MISSING)}`` for the keyword arguments of a class or
    function.
    """
    function = target.__init__ if inspect.isclass(target) else target
    try:
        hints = typing.get_type_hints(function)
    except NameError:  # a name imported for type checkers only, in somebody else's class
        hints = {}
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name != "self" and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            default = MISSING if parameter.default is parameter.empty else parameter.default
            found[name] = (_expressible(hints.get(name, Any)), default)
    return found


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
    fields = {name: field for name, field in _fields(target).items() if name not in set(given)}
    prefix, converted = f"{key}." if key else "", {}
    for option, value in options.items():
        if option not in fields:
            raise ConfigError(f"{prefix}{option}", f"unknown key. {suggest(str(option), fields)}")
        annotation, default = fields[option]
        if isinstance(default, Mapping) and isinstance(value, Mapping):
            value = overlay(default, value)
        converted[option] = _convert(annotation, default, value, f"{prefix}{option}")
    for option, (_, default) in fields.items():
        if default is MISSING and option not in options:
            raise ConfigError(f"{prefix}{option}", "is required but missing")
    return converted


def _convert(annotation: Any, default: Any, value: Any, full: str) -> Any:
    """Let OmegaConf check a value against its annotation; return it plain, or as the annotated dataclass."""
    start = default if dataclasses.is_dataclass(default) else MISSING
    field = dataclasses.field(default_factory=lambda: start)
    schema = OmegaConf.structured(dataclasses.make_dataclass("Schema", [("v", annotation, field)]))
    try:
        checked: Any = OmegaConf.to_object(OmegaConf.merge(schema, {"v": value}))
        return checked.v
    except ConfigError as error:  # raised by a group's __post_init__
        raise ConfigError(f"{full}.{error.key}", error.message) from None
    except OmegaConfBaseException as error:
        inner = (getattr(error, "full_key", None) or "v").removeprefix("v")
        message = _one_line(error).replace("'$VALUE' of type '$VALUE_TYPE'", repr(value))
        if "is not a ListConfig" in message:
            message = f"expected a list, got {value!r}"
        raise ConfigError(full + inner, message[0].lower() + message[1:]) from None


def named(table: Mapping[str, str], node: Any, key: str) -> Any:
    """Import and return the component of ``table`` that ``node`` names; ``key`` is where it stands."""
    if not isinstance(node, Mapping) or not isinstance(node.get("name"), str):
        raise ConfigError(
            key, f"expected a mapping with a 'name', got {node!r}. Known: {', '.join(sorted(table))}."
        )
    if node["name"] not in table:
        raise ConfigError(f"{key}.name", f"'{node['name']}' is not known. {suggest(node['name'], table)}")
    return locate(table[node["name"]])


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
    converted = validate(target, options, key, given)

    def construct() -> Any:
        with below(key):
            return target(**converted, **given)

    return construct


def build(table: Mapping[str, str], node: Mapping[str, Any], key: str, **given: Any) -> Any:
    """Construct the component that ``node`` names in ``table``: ``prepare`` and call."""
    return prepare(table, node, key, **given)()
