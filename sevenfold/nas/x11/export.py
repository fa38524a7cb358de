"""A fitted surrogate as two plain files: ``surrogate.json`` and ``surrogate.npz``; nothing is unpickled."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.config import schema
from sevenfold.errors import InputError
from sevenfold.files import write_text
from sevenfold.nas.benchmarks.listed import Listed
from sevenfold.nas.benchmarks.table import digest
from sevenfold.nas.benchmarks.table_benchmark import build_space
from sevenfold.nas.spaces import SPACES
from sevenfold.nas.spaces.base import Space
from sevenfold.nas.x11.base import State
from sevenfold.nas.x11.ensemble import Ensemble
from sevenfold.nas.x11.surrogate import Surrogate

FORMAT = "sevenfold x11 1"
ALL = 50_000
"""Combinations of codes up to which the space of a listed table is completed."""


def save(surrogate: Surrogate, folder: str | Path, *, provenance: dict[str, Any] | None = None) -> Path:
    """Write a surrogate into a folder, which is created; boosters are text, everything else arrays."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    space, arrays = space_state(surrogate.ensemble.space)
    arrays |= {name: packed(value) for name, value in surrogate.state().items()}
    content = {
        "format": FORMAT,
        "space": space,
        "surrogate": surrogate.options(),
        "provenance": provenance or {},
        "sha256": {name: digest(value) for name, value in arrays.items()},
    }
    temporary = folder / f".surrogate.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        # The arrays first: a folder with surrogate.json is complete.
        os.replace(temporary, folder / "surrogate.npz")
    finally:
        temporary.unlink(missing_ok=True)
    write_text(folder / "surrogate.json", json.dumps(content, indent=1, sort_keys=True) + "\n")
    return folder


def load(folder: str | Path) -> Surrogate:
    """Open a folder that :func:`save` wrote, or the only one below it.

    Raises ``InputError`` for absent, foreign or damaged files.
    """
    path = find(folder)
    content = json.loads((path / "surrogate.json").read_text())
    if content.get("format") != FORMAT:
        raise InputError(f"'{path}' has format {content.get('format')!r}; expected {FORMAT!r}")
    arrays = read_arrays(path / "surrogate.npz", content["sha256"])
    options = content["surrogate"]
    ensemble = Ensemble(read_space(content["space"], arrays), **options["ensemble"])
    surrogate = Surrogate(ensemble, **{key: value for key, value in options.items() if key != "ensemble"})
    surrogate.load({name: unpacked(name, value) for name, value in arrays.items()})
    return surrogate


def find(folder: str | Path) -> Path:
    """Return the folder itself or the one below it that holds a surrogate."""
    folder = Path(folder)
    places = sorted(path.parent for path in folder.rglob("surrogate.json")) if folder.is_dir() else []
    if folder in places:
        return folder
    if len(places) != 1:
        raise InputError(f"'{folder}' holds {len(places)} exported surrogates; expected one surrogate.json")
    return places[0]


def read_arrays(path: Path, sums: dict[str, str]) -> dict[str, NDArray[Any]]:
    """Read arrays and compare their sums."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"'{path}' is no readable .npz without objects: {error}") from None
    wrong = [
        name for name in {*arrays, *sums} if name not in arrays or digest(arrays[name]) != sums.get(name)
    ]
    if wrong:
        raise InputError(f"'{path}', array '{sorted(wrong)[0]}': wrong checksum; the file is damaged")
    return arrays


TEXT = "text:"


def packed(value: Any) -> NDArray[Any]:
    """Return an array as it is and a text as its bytes."""
    if isinstance(value, str):
        return np.frombuffer((TEXT + value).encode(), np.uint8)
    return np.asarray(value)


def unpacked(name: str, value: NDArray[Any]) -> Any:
    """Return what :func:`packed` was given."""
    if value.dtype == np.uint8 and value.ndim == 1 and value[: len(TEXT)].tobytes() == TEXT.encode():
        return value.tobytes().decode().removeprefix(TEXT)
    return value


def space_state(space: Space) -> tuple[dict[str, Any], State]:
    """Return what a space is built from: its name and options, or the rows of a listed one.

    A space of one's own has its ``package.module:Class`` as name, and its options as attributes.
    """
    if isinstance(space, Listed):
        return {"name": "listed"}, {"space/archs": complete(space)}
    kind = type(space)
    home = f"{kind.__module__}:{kind.__qualname__}"
    name = next((name for name, reference in SPACES.items() if reference == home), home)
    if absent := [option for option in schema(kind) if not hasattr(space, option)]:
        raise InputError(f"{kind.__name__} keeps no attribute '{absent[0]}' with its option; exports need it")
    return {"name": name, **{option: getattr(space, option) for option in schema(kind)}}, {}


def complete(space: Listed) -> NDArray[Any]:
    """Return all combinations of the codes that occur, the listed rows first; only those if too many.

    A surrogate answers for rows that no table lists.
    """
    rows = space.archs(np.arange(space.size))
    levels = rows.max(axis=0).astype(int) + 1
    if np.prod(levels.astype(float)) > ALL:
        return rows
    # The listed rows come first, so that their numbers stay those of the table.
    every = np.indices(levels).reshape(len(levels), -1).T.astype(rows.dtype)
    whole = Listed(every)
    absent = np.ones(len(every), bool)
    absent[whole.index(rows)] = False
    return np.concatenate([rows, every[absent]])


def read_space(node: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Space:
    """Return the space of :func:`space_state`."""
    return Listed(arrays["space/archs"]) if node.get("name") == "listed" else build_space(node)
