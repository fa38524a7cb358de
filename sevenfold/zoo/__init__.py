"""Trained weights that come with the suite, and cards that say what they are.

A name has a card ``<name>.json``, beside its file ``<name>.safetensors`` or with the file's address.
``sevenfold.load(name)`` opens it; ``python -m sevenfold.zoo.pack`` makes a file of a checkpoint.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sevenfold.errors import InputError, suggest
from sevenfold.files import file_hash

FOLDER = Path(__file__).parent
CACHE = Path("~/.cache/sevenfold/zoo")


@dataclass(frozen=True)
class Card:
    """A published file and what one must know to use it.

    Args:
        name: such as ``flow/demo``.
        line: one sentence that says what it is.
        kind: ``module`` (a trained Lightning module), ``benchmark`` (a table, see ``load_benchmark``) or
            ``extrapolator`` (of learning curves).
        file: name of the file in the package; empty for a benchmark that is part of it.
        sha256: checksum of the file.
        licence: of the weights.
        trained_on: data, with their licence.
        command: what made it.
        seeds: of the training.
        figures: measured quantities by name, on which data.
        limits: what it is not good for.
        extra: extra of the package that it needs; empty for none.
        url: where the file is, if it is not in the package.
    """

    name: str
    line: str
    kind: str
    licence: str
    trained_on: str
    command: str
    seeds: str
    figures: Mapping[str, float]
    limits: str
    file: str = ""
    sha256: str = ""
    extra: str = ""
    url: str = ""


def names() -> list[str]:
    """Return the names of everything published.

    >>> "flow/demo" in names()
    True
    """
    return sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.json"))


def card(name: str) -> Card:
    """Return the card of a name; an unknown one raises ``InputError``."""
    if name not in names():
        raise InputError(f"'{name}' is not in the zoo. {suggest(name, names())}")
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    known = {field.name for field in fields(Card)}
    return Card(**{"name": name, **{key: value for key, value in content.items() if key in known}})


def weights(entry: Card) -> Path:
    """Return the file of a card, its checksum compared.

    A file that is not in the package is looked for in ``~/.cache/sevenfold/zoo``; nothing is downloaded.
    """
    path = FOLDER / entry.file
    if entry.url:
        path = CACHE.expanduser() / os.path.basename(entry.file)
        if not path.is_file():
            raise InputError(f"'{entry.name}' is not in the package: download {entry.url} to '{path}'")
    if not path.is_file():
        raise InputError(f"'{entry.name}': the file '{path}' is missing; install the package again")
    if file_hash(path) != entry.sha256:
        raise InputError(f"'{path}' is damaged: its sha256 is not that of the card of '{entry.name}'")
    return path
