"""Small public tables, each with a description of its file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sevenfold.nas.benchmarks.files import from_file
from sevenfold.nas.benchmarks.table_benchmark import TableBenchmark

NB201 = {"space": {"name": "nb201"}, "archs": "ops"}


def nb201_cifar(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """NAS-Bench-201 on CIFAR, final accuracies averaged over the benchmark's seeds.

    Test accuracies after 200 epochs, and validation and test accuracies of the 12-epoch schedule, which is
    not the beginning of a 200-epoch run. ``cifar10`` was trained on training and validation images, so only
    ``cifar10-valid`` has a validation accuracy.

    Args:
        root: folder that holds the file ``nb201_cifar.npz``.
        dataset: ``cifar10/200``, ``cifar100/200``, ``cifar10/12``, ``cifar10-valid/12`` or ``cifar100/12``;
            one must be chosen.
    """
    names = {
        "cifar10/200": ["cifar10_test_ep200"],
        "cifar100/200": ["cifar100_test_ep200"],
        "cifar10/12": ["cifar10_test_ep12"],
        "cifar10-valid/12": ["cifar10_val_ep12"],
        "cifar100/12": ["cifar100_val_ep12", "cifar100_test_ep12"],
    }
    datasets = {name: _nb201(name, arrays, ["mean"]) for name, arrays in names.items()}
    for entry in datasets.values():
        entry["properties"] = {"iso_class": {"array": "iso_class", "axes": "n"}}
    return _open(root, "nb201_cifar.npz", {**NB201, "datasets": datasets}, dataset)


def nb201_one_seed(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """NAS-Bench-201 on CIFAR, final validation accuracy of one 200-epoch run a cell; which one is unknown.

    Args:
        root: folder that holds the file ``nb201_val_one_seed.npz``.
        dataset: ``cifar10-valid/200`` or ``cifar100/200``; one must be chosen.
    """
    # The seed's number is not recorded: it is 0 here, and stands for no seed of the official files.
    names = {"cifar10-valid/200": "cifar10_val_ep200", "cifar100/200": "cifar100_val_ep200"}
    datasets = {name: _nb201(name, [array], [0]) for name, array in names.items()}
    return _open(root, "nb201_val_one_seed.npz", {**NB201, "datasets": datasets}, dataset)


def spikenas(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """SpikeNAS-Bench, learning curves of 11,000 spiking cells on CIFAR-10, one seed, 100 or 200 epochs.

    Args:
        root: folder that holds the file ``spikenas_cifar10_curves.npz``.
        dataset: data set, of which there is only ``cifar10``; null: that one.
    """

    def curve(array: str, scale: float) -> dict[str, Any]:
        # Accuracies in steps of .004 % and losses in thousandths, as 16-bit integers; the largest means none.
        return {"array": array, "axes": "ne", "scale": scale, "missing": 65535}

    cifar10 = {
        "seeds": [0],
        "epochs": list(range(1, 201)),
        "lengths": "epochs",
        "series": {
            "train/acc": curve("train_acc_x250", 1 / 250),
            "train/loss": curve("train_loss_x1000", 1e-3),
            "val/acc": curve("val_acc_x250", 1 / 250),
            "val/loss": curve("val_loss_x1000", 1e-3),
            "test/acc": {"array": "test_acc", "axes": "n", "at_end": True},
        },
        "seconds": {"array": "train_seconds", "axes": "n", "per": "run"},
        "properties": {"params": {"array": "params", "axes": "n"}},
    }
    description = {"space": {"name": "listed"}, "archs": "ops", "datasets": {"cifar10": cifar10}}
    return _open(root, "spikenas_cifar10_curves.npz", description, dataset)


def macro(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """NAS-Bench-Macro, 8 layers, each identity, MB3_K3 or MB6_K5, with three test accuracies on CIFAR-10.

    Args:
        root: folder that holds the file ``nasbench_macro_cifar10.csv.gz``.
        dataset: data set, of which there is only ``cifar10``; null: that one.
    """
    # Three columns of the file are the three seeds of one quantity.
    arrays = [f"test_acc_{run}" for run in (1, 2, 3)]
    cifar10 = {
        "seeds": [1, 2, 3],
        "epochs": [],
        "series": {"test/acc": {"array": arrays, "axes": "nr", "at_end": True}},
        "properties": {name: {"array": name, "axes": "n"} for name in ("params", "flops")},
    }
    description = {"space": {"name": "listed"}, "archs": "arch", "notation": "digits"}
    return _open(
        root, "nasbench_macro_cifar10.csv.gz", {**description, "datasets": {"cifar10": cifar10}}, dataset
    )


def graph(*, dataset: str, root: str = "data/nas") -> TableBenchmark:
    """NAS-Bench-Graph, light, accuracies of graph networks on graphs of citations, co-authors and products.

    A cell is the number of its graph (0..8) and four operations (0..8). Accuracies are percent, latency is
    seconds, parameters are millions.

    Args:
        dataset: ``cora``, ``citeseer``, ``pubmed``, ``cs``, ``physics`` or ``photo``.
        root: folder that holds the files ``nasbench_graph_DATASET.npz``.
    """
    entry = {
        "seeds": ["mean"],
        "epochs": [],
        "series": {
            split: {"array": array, "axes": "n", "scale": 100.0, "at_end": True}
            for split, array in (("val/acc", "valid_perf"), ("test/acc", "test_perf"))
        },
        "properties": {name: {"array": name, "axes": "n"} for name in ("latency", "params_million")},
    }
    description = {"space": {"name": "listed"}, "archs": "hash", "notation": "digits"}
    return _open(
        root, f"nasbench_graph_{dataset}.npz", {**description, "datasets": {dataset: entry}}, dataset
    )


def _nb201(name: str, arrays: Sequence[str], seeds: Sequence[int | str]) -> dict[str, Any]:
    """Describe final accuracies stored as ``DATA_SPLIT_epEPOCHS``, for the data set "DATA/EPOCHS"."""
    series = {f"{array.split('_')[1]}/acc": {"array": array, "axes": "n"} for array in arrays}
    return {"seeds": seeds, "epochs": [int(name.rpartition("/")[2])], "series": series}


def _open(root: str, file: str, description: dict[str, Any], dataset: str | None) -> TableBenchmark:
    return from_file(path=str(Path(root) / file), description=description, dataset=dataset)
