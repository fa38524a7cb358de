"""Read the training logs of NAS-Bench-NLP (Klyuchnikov et al. 2020).

A log is a JSON object with ``recepie`` (so spelt; an object, or its text), ``num_params``, ``wall_times``,
``train_losses``, ``val_losses``, ``test_losses`` (nats per token, one an epoch) and ``status``; a run whose
status is not "OK" broke off, and what follows is missing.
"""

import gzip
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.runs import Runs, ragged
from sevenfold.nas.benchmarks.table import Table
from sevenfold.nas.benchmarks.table_benchmark import TableBenchmark
from sevenfold.nas.spaces.nlp import NLP

CURVES = {"train/loss": "train_losses", "val/loss": "val_losses", "test/loss": "test_losses"}


def logs(path: str | Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (name, log) from a folder of ``.json`` files, a ``.zip`` of them, or a ``.json.gz`` list."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"'{path}' does not exist")
    if path.is_dir():
        # The order decides the numbers of runs, so it must not depend on the file system.
        for file in sorted(path.rglob("*.json")):
            yield str(file), _parse(file.read_bytes(), str(file))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for name in sorted(name for name in archive.namelist() if name.endswith(".json")):
                yield f"{path}:{name}", _parse(archive.read(name), f"{path}:{name}")
    else:
        raw = path.read_bytes()
        content = _parse(gzip.decompress(raw) if path.suffix == ".gz" else raw, str(path))
        for number, log in enumerate(content):
            yield f"{path}, log {number}", log


def _parse(content: str | bytes, source: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise InputError(f"'{source}' is no JSON: {error}") from None


def pack(path: str | Path, *, name: str = "nas-bench-nlp") -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Convert the training logs of NAS-Bench-NLP; return description and arrays of the compact form.

    Recipes that differ in the names of vertices only are runs of one cell. The description's provenance
    counts logs, cells and runs that broke off.

    Args:
        path: folder of ``.json`` files, ``.zip`` of them, or ``.json.gz`` with a list.
        name: name of the data set in the table.
    """
    recipes, params, broken = list[str](), list[int](), 0
    curves: dict[str, list[list[float]]] = {key: [] for key in (*CURVES, "seconds")}
    for source, log in logs(path):
        try:
            recipe = log["recepie"]
            recipes.append(recipe if isinstance(recipe, str) else json.dumps(recipe))
            params.append(int(log["num_params"]))
            broken += log["status"] != "OK"
            for key, field in {**CURVES, "seconds": "wall_times"}.items():
                curves[key].append([float("nan") if v is None else float(v) for v in log[field]])
        except (KeyError, TypeError, ValueError) as error:
            text = f"{type(error).__name__}: {error}"
            raise InputError(f"'{source}' is no log of NAS-Bench-NLP ({text})") from None
    if not recipes:
        raise InputError(f"'{path}' holds no logs (.json)")
    # Room for the longest recipe, and for a mutation that adds to it.
    nodes = max(len(json.loads(recipe)) for recipe in recipes)
    space = NLP(max_nodes=max(12, nodes + 3))
    archs = space.from_strings(recipes)
    runs = Runs(space.keys(archs))
    # Runs that broke off are shorter: they are filled with NaN.
    epochs = max(len(curve) for kind in curves.values() for curve in kind)
    arrays: dict[str, NDArray[Any]] = {
        key: runs.table(ragged(curve, epochs)) for key, curve in curves.items()
    }
    arrays |= {"archs": archs[runs.first], "params": np.array(params)[runs.first]}
    dataset = {
        "seeds": runs.seeds,
        "epochs": list(range(1, epochs + 1)),
        "series": {key: {"array": key} for key in CURVES},
        "seconds": {"array": "seconds", "per": "epoch"},
        "properties": {"params": {"array": "params", "axes": "n"}},
    }
    description = {
        "space": {"name": "nlp", "max_nodes": space.max_nodes},
        "archs": "archs",
        "datasets": {name: dataset},
        "provenance": {"logs": len(recipes), "cells": len(runs.first), "broken_off": broken},
    }
    return description, arrays


def nlp_wikitext2(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """NAS-Bench-NLP on WikiText-2, 250 runs of 50 epochs; a few broke off with a loss that is no number.

    Args:
        root: folder that holds the file ``nasbench_nlp_wikitext2_curves.json.gz``.
        dataset: data set, of which there is only ``wikitext-2``; null: that one.
    """
    path = Path(root) / "nasbench_nlp_wikitext2_curves.json.gz"
    description, arrays = pack(path, name="wikitext-2")
    return TableBenchmark(Table(arrays, description, source=str(path)), dataset=dataset)
