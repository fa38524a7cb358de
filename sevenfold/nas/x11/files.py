"""Curve tables from files, whatever their arrays are called."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.benchmarks.files import from_file

NAME = re.compile(r"(?P<split>train|val|test)_(?P<metric>acc|loss)(_x(?P<scale>\d+))?")


def open_curves(path: str) -> Benchmark:
    """Open a table with learning curves: any file of :mod:`sevenfold.nas.benchmarks.door`, or these arrays.

    ``ops`` (n, width): codes of the architectures. Curves (n, E) or (n, runs, E) called ``val_acc``,
    ``train_loss`` and so on; ``val_acc_x250`` holds 250 times the value, 65535 where nothing was measured.
    ``epochs`` (n,), if there, are the lengths of the schedules. Arrays (n,) of such names are final values.
    ``space``, a text, names the space of the rows ("nb201"); without it they are rows of codes.
    """
    if Path(path).suffix != ".npz":
        return from_file(path=path)
    try:
        with np.load(path, allow_pickle=False) as file:
            if "meta" in file.files:
                return from_file(path=path)
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise InputError(f"curve table '{path}' does not exist") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"'{path}' is no readable .npz without objects: {error}") from None
    return from_file(path=path, description=description(path, arrays))


def description(path: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Describe a table by the names and shapes of its arrays."""
    series, length, runs = {}, 0, 1
    for name, array in arrays.items():
        if not (match := NAME.fullmatch(name)) or array.ndim not in (1, 2, 3):
            continue
        column = {"array": name, "axes": {1: "n", 2: "ne", 3: "nre"}[array.ndim], "at_end": array.ndim == 1}
        column |= {"scale": 1 / int(match["scale"])} if match["scale"] else {}
        column |= {"missing": int(np.iinfo(array.dtype).max)} if array.dtype.kind == "u" else {}
        series[f"{match['split']}/{match['metric']}"] = column
        if array.ndim > 1:
            length, runs = array.shape[-1], max(runs, array.shape[1] if array.ndim == 3 else 1)
    if "ops" not in arrays or arrays["ops"].ndim != 2 or not length:
        raise InputError(
            f"'{path}' holds {', '.join(arrays) or 'nothing'}; expected ops (n, width) and curves such as "
            "val_acc (n, E) or val_acc_x250"
        )
    entry: dict[str, Any] = {
        "seeds": list(range(runs)), "epochs": list(range(1, length + 1)), "series": series,
        "lengths": "epochs" if "epochs" in arrays else "",
    }  # fmt: skip
    space = {"name": str(arrays["space"]) if "space" in arrays else "listed"}
    return {"space": space, "archs": "ops", "datasets": {Path(path).stem: entry}}
