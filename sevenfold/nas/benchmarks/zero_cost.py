"""Tables of zero-cost proxies with a trained accuracy: JSON {data set: {architecture: {name: value}}}.

The accuracy is the series ``val/acc``, everything else a property. An architecture that is listed in several
forms with different accuracies has several runs, as far as these differ.
"""

import ast
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.runs import Runs
from sevenfold.nas.benchmarks.table import Table
from sevenfold.nas.benchmarks.table_benchmark import TableBenchmark, build_space
from sevenfold.nas.spaces.base import Ints

SCORE = "val_accuracy"


def zc_nb201(
    *, root: str = "data/nas", path: str | None = None, dataset: str | None = None
) -> TableBenchmark:
    """Zero-cost proxies of 725 cells of NAS-Bench-201, with validation accuracy after 200 epochs.

    There are 12 proxies, 13 with synflow.

    Args:
        root: folder that holds the file ``naslib_zc_nb201.json.gz``.
        path: a file of this form instead, wherever it lies and whatever its name is.
        dataset: ``cifar10-valid/200`` or ``cifar100/200``; null where the file has only one.
    """
    names = {"cifar10": "cifar10-valid/200", "cifar100": "cifar100/200"}
    return _open(
        path or Path(root) / "naslib_zc_nb201.json.gz", {"name": "nb201"}, names, dataset, epochs=[200]
    )


def zc_nb101(
    *, root: str = "data/nas", path: str | None = None, dataset: str | None = None
) -> TableBenchmark:
    """Zero-cost proxies of 292 cells of NAS-Bench-101, with validation accuracy after 108 epochs.

    The cells are listed in 500 forms and have 1 to 3 runs.

    Args:
        root: folder that holds the file ``naslib_zc_nb101.json.gz``.
        path: a file of this form instead, wherever it lies and whatever its name is.
        dataset: data set, of which there is only ``cifar10``; null: that one.
    """
    return _open(path or Path(root) / "naslib_zc_nb101.json.gz", {"name": "nb101"}, {}, dataset, epochs=[108])


def zc_nb301(
    *, root: str = "data/nas", path: str | None = None, dataset: str | None = None
) -> TableBenchmark:
    """Zero-cost proxies of 725 DARTS architectures, 12 of them, with a trained validation accuracy.

    Args:
        root: folder that holds the file ``naslib_zc_nb301.json.gz``.
        path: a file of this form instead, wherever it lies and whatever its name is.
        dataset: data set, of which there is only ``cifar10``; null: that one.
    """
    return _open(path or Path(root) / "naslib_zc_nb301.json.gz", {"name": "darts"}, {}, dataset)


def zc_tnb_micro(*, dataset: str, root: str = "data/nas", path: str | None = None) -> TableBenchmark:
    """Zero-cost proxies of 711 cells of TransNAS-Bench-101 micro, with their scores on seven tasks.

    ``val/acc`` is each task's own score. More is better in all of them: accuracies in percent, similarities,
    for ``room_layout`` a negative loss.

    Args:
        dataset: task of the file: ``class_scene``, ``class_object``, ``autoencoder``, ``normal``, ``jigsaw``,
            ``room_layout`` or ``segmentsemantic``.
        root: folder that holds the file ``naslib_zc_tnb_micro.json.gz``.
        path: a file of this form instead, wherever it lies and whatever its name is.
    """
    return _open(path or Path(root) / "naslib_zc_tnb_micro.json.gz", {"name": "listed"}, {}, dataset)


def _open(
    path: str | Path,
    space: dict[str, Any],
    names: dict[str, str],
    dataset: str | None,
    *,
    epochs: list[int] | None = None,
) -> TableBenchmark:
    """Open a file whose architectures are in NASLib's notation.

    Its data sets are called by ``names``, others by their own name in lower case.
    """
    try:
        with gzip.open(path, "rt") as stream:
            content: dict[str, dict[str, dict[str, float]]] = json.load(stream)
    except FileNotFoundError:
        raise InputError(f"benchmark file '{path}' does not exist") from None
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"'{path}' cannot be read: {error}") from None
    texts = list(dict.fromkeys(text for table in content.values() for text in table))
    archs, keys = _architectures(texts, space)
    places: dict[tuple[Any, ...], int] = {}
    for row, (text, key) in enumerate(zip(texts, keys.tolist(), strict=True)):
        # Isomorphic forms with equal scores are one training listed twice, others are further runs.
        places.setdefault((key, *(table.get(text, {}).get(SCORE) for table in content.values())), row)
    texts, rows = [texts[row] for row in places.values()], list(places.values())
    runs = Runs(keys[rows])
    arrays: dict[str, Any] = {"archs": archs[rows][runs.first]}
    datasets = {}
    for own, table in content.items():
        name = names.get(own, own.lower())
        entries = [table.get(text, {}) for text in texts]
        columns = {}
        for quantity in sorted({quantity for entry in entries for quantity in entry}):
            array = f"{name}/{quantity}"
            arrays[array] = runs.table([entry.get(quantity, np.nan) for entry in entries])
            # Where the number of epochs is not known, values belong to the end of training.
            columns[quantity] = {"array": array, "axes": "nr", "at_end": epochs is None}
        score = columns.pop(SCORE, None)
        if score is None:
            raise InputError(
                f"'{path}': no architecture of '{own}' has a '{SCORE}'; it has {sorted(columns)}"
            )
        datasets[name] = {
            "seeds": runs.seeds,
            "epochs": epochs or [],
            "series": {"val/acc": score},
            "properties": columns,
        }
    description = {"space": space, "archs": "archs", "datasets": datasets}
    return TableBenchmark(Table(arrays, description, source=str(path)), dataset=dataset)


def _architectures(texts: list[str], space: dict[str, Any]) -> tuple[Ints, np.ndarray[Any, Any]]:
    """Return rows of the space, (n, width), and keys, (n,); listed ones are tuples of codes."""
    if space["name"] == "listed":
        # literal_eval reads numbers and tuples and runs nothing.
        codes = np.array([ast.literal_eval(text) for text in texts], np.int8)
        return codes, np.arange(len(codes))
    built = build_space(space)
    rows = built.from_strings(texts, notation="naslib")
    return rows, built.keys(rows)
