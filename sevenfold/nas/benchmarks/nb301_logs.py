"""Read the training logs of NAS-Bench-301 (Siems et al. 2020).

A run is one ``results_*.json``, in a folder named after the optimizer that proposed its architecture.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.runs import Runs, ragged
from sevenfold.nas.spaces.darts import DARTS

CURVE = "Train/val_accuracy"


def pack(path: str | Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Convert the training logs of NAS-Bench-301; return description and arrays of the compact form.

    ``val/acc`` is the curve of each run (98 epochs as a rule; a shorter one is its own schedule),
    ``val/final_acc`` and ``test/acc`` what the run reported at its end. Runs of equal architectures are
    seeds. The property ``source`` numbers the folders, which the provenance lists.
    """
    # The order of files gives runs of one architecture their numbers.
    files = sorted(Path(path).rglob("results_*.json"))
    if not files:
        raise InputError(f"'{path}' holds no logs of NAS-Bench-301 (results_*.json)")
    sources = sorted({file.parent.name for file in files})
    configs, curves = list[str](), list[list[float]]()
    finals = np.empty((len(files), 4))
    for number, file in enumerate(files):
        try:
            log = json.loads(file.read_bytes())
            configs.append(json.dumps(log["optimized_hyperparamater_config"]))  # so spelt in the files
            curves.append([float(value) for value in log["learning_curves"][CURVE]])
            reported = (log["info"][0]["val_accuracy"], log["test_accuracy"], log["runtime"])
            finals[number] = (*reported, sources.index(file.parent.name))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            text = f"{type(error).__name__}: {error}"
            raise InputError(f"'{file}' is no log of NAS-Bench-301 ({text})") from None
        if not curves[-1]:
            raise InputError(f"'{file}' has an empty curve; remove the file")
    space = DARTS()
    archs = space.from_strings(configs, notation="configspace")
    runs = Runs(space.keys(archs))
    lengths = [len(curve) for curve in curves]
    arrays = {
        "archs": archs[runs.first],
        "val_acc": runs.table(ragged(curves, max(lengths))),
        # Runs that do not exist get the full length; their values are NaN whatever it is.
        "lengths": np.nan_to_num(runs.table(lengths), nan=max(lengths)).astype(np.int16),
    }
    for place, name in enumerate(("val_final_acc", "test_acc", "runtime", "source")):
        arrays[name] = runs.table(finals[:, place])
    return describe(runs.seeds, max(lengths), {"logs": len(files), "sources": sources}), arrays


def describe(seeds: list[int], epochs: int, provenance: dict[str, Any]) -> dict[str, Any]:
    """Describe the packed arrays."""
    cifar10 = {
        "seeds": seeds,
        "epochs": list(range(1, epochs + 1)),
        "lengths": "lengths",
        "series": {
            "val/acc": {"array": "val_acc"},
            "val/final_acc": {"array": "val_final_acc", "axes": "nr", "at_end": True},
            "test/acc": {"array": "test_acc", "axes": "nr", "at_end": True},
        },
        "seconds": {"array": "runtime", "axes": "nr", "per": "run"},
        "properties": {"source": {"array": "source", "axes": "nr"}},
    }
    return {
        "space": {"name": "darts"},
        "archs": "archs",
        "datasets": {"cifar10": cifar10},
        "provenance": provenance,
    }
