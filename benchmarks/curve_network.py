"""The curve network beside ridge regression and their pool: densities and ranks of the ends of trainings.

``PYTHONPATH=. python benchmarks/curve_network.py [--root FOLDER] [--draws 5]``; FOLDER has
``spikenas_cifar10_curves.npz``. One JSON line a table, number of known curves and extrapolator: means over
the draws and over four cuts (a tenth, a fifth, a half and four fifths of the epochs) of the negative log
density in nats of percent, of Kendall's tau with the end, and of the share of ends in the middle 80 %.
"""

import argparse
import json

import numpy as np

from sevenfold.config import build
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.lce import EXTRAPOLATORS
from sevenfold.nas.lce.study import trial
from sevenfold.nas.lce.tables import CurveTable, curve_table

CUTS = (0.1, 0.2, 0.5, 0.8)
KNOWN = (0, 10, 30, 100)
FIELDS = ("nll", "tau", "cover80")


def figures(table: CurveTable, name: str, known: int, draws: int, test: int = 300) -> dict[str, float]:
    """Return the mean of each figure over draws and cuts; those that the extrapolator has."""
    rows = [
        trial(
            table,
            build(EXTRAPOLATORS, {"name": name}, "extrapolator"),
            seen=max(1, round(cut * table.epochs)),
            train=known,
            test=test,
            seed=seed,
            chance=10.0,
        )
        for cut in CUTS
        for seed in range(draws)
    ]
    return {field: float(np.mean([row[field] for row in rows])) for field in FIELDS if field in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", help="folder with spikenas_cifar10_curves.npz")
    parser.add_argument("--draws", type=int, default=5)
    options = parser.parse_args()
    tables = {"digits-nb201": curve_table(load_benchmark("digits-nb201"))}
    if options.root:
        tables["spikenas"] = curve_table(load_benchmark("spikenas", root=options.root))
    for label, table in tables.items():
        for known in KNOWN:
            for name in ("last", "best", "pfn", *(("ridge", "pool") if known else ())):
                row = figures(table, name, known, options.draws)
                print(json.dumps({"table": label, "known": known, "extrapolator": name, **row}), flush=True)


if __name__ == "__main__":
    main()
