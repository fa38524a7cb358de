"""Check that a module, its data and its callbacks exchange the same types, by their classes alone.

A module and a data module name the type of batch they exchange as ``batch``; a module names what its test
steps return as ``outputs``; a callback names as ``needs`` the type, of batches or outputs, that it works on.
A class that names nothing is not checked.
"""

from collections.abc import Mapping
from typing import Protocol, TypeVar, runtime_checkable

from sevenfold.config import ConfigError, Node, entry_node
from sevenfold.errors import InputError
from sevenfold.tables import component

Facts = TypeVar("Facts")
FactsIn = TypeVar("FactsIn", contravariant=True)


@runtime_checkable
class TakesFacts(Protocol[FactsIn]):
    """A module that must know facts of its data before it is set up.

    Data modules of the suite hand them over in their ``setup``; with other loaders, call ``prepare_for``.
    """

    def prepare_for(self, facts: FactsIn) -> None:
        """Keep the facts."""


def required(facts: Facts | None, module: object) -> Facts:
    """Return a module's facts; ``InputError`` if nobody has handed them over."""
    if facts is None:
        raise InputError(
            f"{type(module).__name__} knows nothing of its data: use a data module of the suite, or call "
            "prepare_for() first"
        )
    return facts


def check_exchange(config: Node, tables: Mapping[str, Mapping[str, str]]) -> None:
    """Raise ``ConfigError`` if parts of a run do not fit together; nothing is constructed.

    ``tables``: by the keys ``model``, ``data`` and ``callbacks`` of the configuration. A study has neither
    model nor data, so a callback that needs anything of them does not fit.
    """
    kinds = [_named(tables[part], config[part]) for part in ("model", "data") if part in config]
    batches = [getattr(kind, "batch", None) for kind in kinds]
    if None in batches:
        return
    if len(set(batches)) > 1:
        takes, gives = (kind.__name__ for kind in batches if kind is not None)
        data, model = config["data"]["name"], config["model"]["name"]
        raise ConfigError("data.name", f"'{data}' gives {gives}, and model '{model}' takes {takes}")
    available = {*batches, *(kind.outputs for kind in kinds if hasattr(kind, "outputs"))}
    for key, options in config["callbacks"].items():
        kind = None if options is None else _named(tables["callbacks"], entry_node(key, options))
        needs = getattr(kind, "needs", None)
        if needs is not None and needs not in available:
            names = " and ".join(sorted(kind.__name__ for kind in available if kind is not None))
            source = "a study gives records" if "study" in config else f"this run gives {names}"
            raise ConfigError(f"callbacks.{key}", f"needs {needs.__name__}, and {source}")


def _named(table: Mapping[str, str], node: Node) -> object:
    """Return the class that a node names; None if there is none, which is reported elsewhere."""
    try:
        return component(table, node["name"], "name")
    except ConfigError:
        return None
