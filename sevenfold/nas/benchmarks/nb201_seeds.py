"""NAS-Bench-201 with each of its trainings apart, and with latencies measured on 27 devices."""

from pathlib import Path
from typing import Any

import numpy as np

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.table import Table
from sevenfold.nas.benchmarks.table_benchmark import TableBenchmark

SEEDS, DEVICES = "nb201_val_seeds.npz", "nb201_latency_27_devices.npz"
LATENCY = "latency_ms_"


def nb201_seeds(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """NAS-Bench-201 on CIFAR, final validation accuracy of two or three 200-epoch runs a cell.

    The seeds ``a``, ``b``, ``c`` are places in the file and no numbers of trainings: 7,456 of the 15,625
    cells have two runs, and it is always ``c`` that is missing there. The mean is over the runs there are.

    Args:
        root: folder that holds the file ``nb201_val_seeds.npz``.
        dataset: ``cifar10-valid/200`` or ``cifar100/200``; one must be chosen.
    """
    return _open(root, dataset, devices=False)


def nb201_devices(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """NAS-Bench-201 as ``nb201-seeds`` opens it, with each cell's latency on 27 devices.

    Properties ``latency_ms/DEVICE`` are milliseconds. About 1 % of those on ``pixel3`` and ``raspi4`` are
    below .1 ms, which are failed measurements; they are left as they are. Many cells share a latency:
    ``eyeriss`` has 27 different ones.

    Args:
        root: folder that holds the files ``nb201_val_seeds.npz`` and ``nb201_latency_27_devices.npz``.
        dataset: ``cifar10-valid/200`` or ``cifar100/200``; one must be chosen.
    """
    return _open(root, dataset, devices=True)


def _open(root: str, dataset: str | None, *, devices: bool) -> TableBenchmark:
    arrays = _arrays(Path(root) / SEEDS)
    properties: dict[str, Any] = {}
    if devices:
        measured = _arrays(Path(root) / DEVICES)
        # Both files list the cells in the benchmark's order; a row of one must be that of the other.
        if not np.array_equal(measured.pop("ops"), arrays["ops"]):
            raise InputError(f"'{SEEDS}' and '{DEVICES}' in {root} list different cells; restore them")
        arrays |= measured
        for array in measured:
            properties[f"latency_ms/{array.removeprefix(LATENCY)}"] = {"array": array, "axes": "n"}
    datasets = {"cifar10-valid/200": "cifar10", "cifar100/200": "cifar100"}
    description = {
        "space": {"name": "nb201"},
        "archs": "ops",
        "datasets": {name: _dataset(data, properties) for name, data in datasets.items()},
    }
    return TableBenchmark(Table(arrays, description, source=str(Path(root) / SEEDS)), dataset=dataset)


def _dataset(data: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Describe the runs on one set of images."""
    known = {"params": f"{data}_params_m", "latency": f"{data}_latency_s"}
    return {
        "seeds": ["a", "b", "c"],
        "epochs": [200],
        "series": {"val/acc": {"array": f"{data}_val_ep200_seeds", "axes": "nr"}},
        "seconds": {"array": f"{data}_train_seconds", "axes": "n", "per": "run"},
        "properties": {name: {"array": array, "axes": "n"} for name, array in known.items()} | properties,
    }


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError:
        raise InputError(f"benchmark file '{path}' does not exist") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"'{path}' cannot be read: {error}") from None
