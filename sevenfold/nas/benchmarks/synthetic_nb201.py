"""Synthetic tables in the shape of NAS-Bench-201, for tests and examples."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sevenfold.nas.benchmarks.table import Table
from sevenfold.nas.benchmarks.table_benchmark import TableBenchmark
from sevenfold.nas.spaces.nb201 import PATHS
from sevenfold.nas.spaces.nb201_keys import official_order
from sevenfold.ranges import NonNegative, Seed
from sevenfold.seeding import numpy_generator

EPOCHS = tuple(range(1, 21))
SEEDS = (0, 1, 2)
CHANCE = 10.0


class SyntheticNB201(TableBenchmark):
    """All 15,625 cells with synthetic curves of 20 epochs and 3 seeds, nearly additive in their edges.

    With Normal weights a of operations on edges (the best one of each edge gets 1 more), b of pairs of
    operations that follow each other, and noise, a final accuracy is

        94 - 3 (max - value),    value = sum_edges a[op] + sum_paths b[op, op'] + noise,

    and a cell without a path from input to output stays at 10 percent. Epoch e has accuracy
    final - (final - 10) exp(-rate e) with a rate that differs between cells, plus noise of the run with
    standard deviation 0.2 points. ``val`` and ``test`` differ by that noise only; ``loss`` is 100 - accuracy.
    An epoch takes 1 second and 2 for each 3x3 convolution, 1 for each 1x1. The optimum is that of the table.

    Args:
        stream: number of the random stream that the table is drawn from.
        roughness: standard deviation of the noise on the value of each cell; 0: additive but for pairs.
    """

    def __init__(self, *, stream: Seed = 0, roughness: NonNegative = 0.5) -> None:
        rng = numpy_generator(stream, "synthetic nb201")
        rows, _ = official_order()
        live = connected(rows)
        value = additive(rows, rng) + roughness * rng.standard_normal(len(rows))
        final = np.where(live, 94 - 3 * (value[live].max() - value), CHANCE).clip(CHANCE)
        rate = rng.uniform(0.1, 0.5, size=len(rows))
        rest = np.exp(-rate[:, None] * np.array(EPOCHS))
        mean = final[:, None] - (final - CHANCE)[:, None] * rest
        noise = rng.standard_normal((2, len(rows), len(SEEDS), len(EPOCHS)), dtype=np.float32)
        noise *= 0.2 * live[:, None, None]
        curves = mean[:, None].astype(np.float32) + noise
        arrays = {
            "ops": rows,
            "val": curves[0],
            "test": curves[1],
            "val_loss": 100 - curves[0],
            "test_loss": 100 - curves[1],
            "seconds": 1.0 + np.array([0, 0, 1, 2, 0])[rows].sum(1),
        }
        series = {"val/acc": "val", "test/acc": "test", "val/loss": "val_loss", "test/loss": "test_loss"}
        dataset = {
            "seeds": list(SEEDS),
            "epochs": list(EPOCHS),
            "series": {key: {"array": array} for key, array in series.items()},
            "seconds": {"array": "seconds", "axes": "n", "per": "epoch"},
        }
        super().__init__(_table(arrays, dataset))


class UniformNB201(TableBenchmark):
    """All 15,625 cells with independent losses, uniform on [0, 1], without structure that a search could use.

    Args:
        stream: number of the random stream that the table is drawn from.
    """

    def __init__(self, *, stream: Seed = 0) -> None:
        rows, _ = official_order()
        losses = numpy_generator(stream, "uniform nb201").random(len(rows))
        series = {"val/loss": {"array": "loss", "axes": "n"}}
        dataset = {"seeds": [0], "epochs": [1], "series": series}
        super().__init__(_table({"ops": rows, "loss": losses}, dataset))


def _table(arrays: dict[str, NDArray[np.generic]], dataset: Mapping[str, object]) -> Table:
    description = {"space": {"name": "nb201"}, "archs": "ops", "datasets": {"synthetic": dataset}}
    return Table(arrays, description, source="synthetic table")


def additive(rows: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the sum of edge weights and of weights of consecutive pairs on the paths, (n,)."""
    edges = rng.standard_normal((6, 5)) + np.array([-1.0, 0.5, 0.3, 0.8, -0.5])
    edges[np.arange(6), edges.argmax(axis=1)] += 1  # so that climbing leads somewhere
    pairs = 0.5 * rng.standard_normal((5, 5))
    value = edges[np.arange(6), rows].sum(axis=1)
    for path in PATHS:
        for first, second in zip(path, path[1:], strict=False):
            value += pairs[rows[:, first], rows[:, second]]
    return value


def connected(rows: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Return which cells have a path without ``none``, (n,)."""
    return np.any([(rows[:, path] != 0).all(axis=1) for path in PATHS], axis=0)
