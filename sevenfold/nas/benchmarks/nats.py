"""Read NATS-Bench's topology space and NAS-Bench-201 (Dong and Yang 2020), one architecture at a time.

Both hold, for each architecture and schedule (epochs), one result for each (data set, seed). Data sets get
the schedule in their name (``cifar10-valid/200``), as the 12-epoch runs are not the beginning of the others,
and splits are called by what they are:

====================== ============================ ==========================================
data set               trained on                   splits (the benchmark's own names)
====================== ============================ ==========================================
cifar10-valid          half of the training images  val (x-valid), test (ori-test)
cifar10                all training images          test (ori-test); there is no validation set
cifar100,              the training images          val (x-valid), test (x-test) and their union
ImageNet16-120                                      val+test (ori-test)
====================== ============================ ==========================================

In 200-epoch runs only val of cifar10-valid, test of cifar10 and val+test of the others were measured after
every epoch, the rest after the last.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks import safe_pickle
from sevenfold.nas.spaces.nb201 import NB201

HALVES = {"x-valid": "val", "x-test": "test", "ori-test": "val+test"}
SPLITS = {
    "cifar10-valid": {"x-valid": "val", "ori-test": "test"},
    "cifar10": {"ori-test": "test"},
    "cifar100": HALVES,
    "ImageNet16-120": HALVES,
}
SCHEDULES = {"less": 12, "full": 200}
"""NAS-Bench-201's words for the two schedules; NATS-Bench gives the number."""


class Trial(NamedTuple):
    """One training: ``curves`` maps "split/metric" to {epoch from 1: value}, ``seconds`` is per epoch."""

    dataset: str
    seed: int
    epochs: int
    curves: dict[str, dict[int, float]]
    seconds: dict[int, float]
    properties: dict[str, float]


class Cell(NamedTuple):
    """One architecture with all its trainings."""

    arch: str
    trials: list[Trial]


def cell(content: Mapping[str, Any], source: str) -> Cell:
    """Make sense of the content of one architecture: {schedule: results}."""
    try:
        trials, names = [], set()
        for schedule, result in content.items():
            epochs = SCHEDULES.get(schedule) or int(schedule)
            names.add(result["arch_str"])
            for (dataset, seed), entry in result["all_results"].items():
                trials.append(_trial(dataset, int(seed), epochs, entry))
        # All schedules must name the same architecture; several, or none, is damage.
        (name,) = names
        return Cell(str(name), trials)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"'{source}' has no NATS-Bench results of one architecture ({type(error).__name__}: {error})"
        ) from None


def _trial(dataset: str, seed: int, epochs: int, entry: Mapping[str, Any]) -> Trial:
    curves: dict[str, dict[int, float]] = defaultdict(dict)
    for metric, key in (("acc", "acc1es"), ("loss", "losses")):
        for epoch, value in entry[f"train_{key}"].items():
            # The files count epochs from 0, we count completed ones.
            curves[f"train/{metric}"][int(epoch) + 1] = float(value)
        for place, value in entry[f"eval_{key}"].items():
            split, _, epoch = place.partition("@")
            curves[f"{SPLITS[dataset][split]}/{metric}"][int(epoch) + 1] = float(value)
    latency = [float(value) for value in entry.get("latency") or []]
    properties = {
        "params": float(entry["params"]),
        "flops": float(entry["flop"]),
        # Measured several times; a training without a measurement has NaN.
        "latency": float(np.mean(latency)) if latency else float("nan"),
    }
    seconds = {int(epoch) + 1: float(value) for epoch, value in (entry["train_times"] or {}).items()}
    return Trial(f"{dataset}/{epochs}", seed, epochs, dict(curves), seconds, properties)


def cells(path: str | Path, *, trust: bool = False) -> Iterator[Cell]:
    """Yield the architectures of a folder of ``NNNNNN.pickle.pbz2`` (NATS-Bench, simple) or
    ``NNNNNN-FULL.pth`` files, or of NAS-Bench-201's one large ``.pth``, in order of their numbers.
    """
    path = Path(path)
    if path.is_file():
        content = _load_torch(path, trust)
        infos = content.get("arch2infos") if isinstance(content, Mapping) else None
        if not isinstance(infos, Mapping):
            raise InputError(f"'{path}' has no 'arch2infos'; expected a .pth file of NAS-Bench-201")
        for number in sorted(infos):
            yield cell(infos[number], f"{path}, architecture {number}")
        return
    for file in item_files(path):
        load: Callable[..., Any] = _load_torch if file.suffix == ".pth" else _load_pickle
        yield cell(load(file, trust), str(file))


def item_files(path: Path) -> list[Path]:
    """Return the files of single architectures in a folder, by number."""
    # By number, not by name: other files of the folder (its meta file, checksums) have none.
    pattern = re.compile(r"(?:^|\D)(\d{6})(?:\.pickle\.pbz2|-FULL\.pth)$")
    by_number = {int(m[1]): p for p in sorted(path.glob("*")) if (m := pattern.search(p.name))}
    if not by_number:
        raise InputError(
            f"'{path}' holds no NATS-Bench files; expected a .pth file, or a folder of NNNNNN.pickle.pbz2 or "
            "NNNNNN-FULL.pth"
        )
    return [by_number[number] for number in sorted(by_number)]


def _load_torch(path: Path, trust: bool) -> Any:
    from sevenfold.nas.benchmarks import safe_torch

    return safe_torch.load(path, trust=trust)


def _load_pickle(path: Path, trust: bool) -> Any:
    return safe_pickle.load(path, trust=trust)


class _Packed:
    """Arrays that grow by architectures, one for each data set, quantity and seed."""

    def __init__(self) -> None:
        self.archs: list[str] = []
        self.epochs: dict[str, int] = {}
        self.seeds: dict[str, set[int]] = defaultdict(set)
        self.rows: dict[tuple[str, str, int], dict[int, NDArray[np.float32]]] = defaultdict(dict)
        self.properties: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)

    def add(self, item: Cell) -> None:
        row = len(self.archs)
        self.archs.append(item.arch)
        for trial in item.trials:
            name = trial.dataset
            self.epochs[name] = trial.epochs
            self.seeds[name].add(trial.seed)
            for key, curve in {**trial.curves, "seconds": trial.seconds}.items():
                values = np.full(trial.epochs, np.nan, np.float32)
                # Epochs that were not evaluated stay NaN.
                values[np.fromiter(curve, int, len(curve)) - 1] = list(curve.values())
                self.rows[name, key, trial.seed][row] = values
            for key, value in trial.properties.items():
                self.properties[name, key][row] = value

    def curve(self, dataset: str, key: str) -> NDArray[np.float32]:
        """Return and forget one quantity, (n, seeds, epochs)."""
        seeds = sorted(self.seeds[dataset])
        shape = (len(self.archs), len(seeds), self.epochs[dataset])
        array = np.full(shape, np.nan, np.float32)
        for place, seed in enumerate(seeds):
            # Released while copied, so that the table of 15,625 cells is not in memory twice.
            for row, values in self.rows.pop((dataset, key, seed), {}).items():
                array[row, place] = values
        return array


def pack(path: str | Path, *, trust: bool = False) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Convert the files of NATS-Bench or NAS-Bench-201; return description and arrays of the compact form.

    Values become float32.

    Args:
        path: folder of NATS-Bench or NAS-Bench-201, or the one large ``.pth`` of NAS-Bench-201.
        trust: run what the pickles say instead of refusing all that is not on the allow-list; only for files
            of known origin, and in a separate process.
    """
    packed = _Packed()
    for item in cells(path, trust=trust):
        packed.add(item)
    arrays: dict[str, NDArray[Any]] = {"archs": NB201().from_strings(packed.archs)}
    datasets = {name: _dataset(packed, name, arrays) for name in sorted(packed.epochs)}
    return {"space": {"name": "nb201"}, "archs": "archs", "datasets": datasets}, arrays


def _dataset(packed: _Packed, name: str, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Move one data set from ``packed`` to ``arrays``; epochs at which nothing was measured are left out."""
    everything = list(range(1, packed.epochs[name] + 1))
    entry: dict[str, Any] = {"seeds": sorted(packed.seeds[name]), "epochs": everything, "series": {}}
    for key in dict.fromkeys(key for dataset, key, _ in packed.rows if dataset == name):
        array = packed.curve(name, key)
        column: dict[str, Any] = {"array": f"{name}/{key}"}
        # Most splits were evaluated after the last epoch only: 200 columns become one.
        known = np.flatnonzero(~np.isnan(array).all(axis=(0, 1)))
        arrays[column["array"]] = array[:, :, known]
        if len(known) < len(everything):
            column["epochs"] = (known + 1).tolist()
        if key == "seconds":
            entry["seconds"] = column
        else:
            entry["series"][key] = column
    entry["properties"] = {}
    for key in ("params", "flops", "latency"):
        values = packed.properties[name, key]
        column = {"array": f"{name}/{key}", "axes": "n"}
        arrays[column["array"]] = np.array([values.get(row, np.nan) for row in range(len(packed.archs))])
        entry["properties"][key] = column
    return entry
