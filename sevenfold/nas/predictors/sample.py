"""Training and test cells for predictors, drawn from a benchmark without one network on both sides."""

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sevenfold.config import build
from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.benchmarks.networks import network_keys
from sevenfold.nas.encodings import ENCODINGS
from sevenfold.nas.spaces.base import Ints, Space
from sevenfold.seeding import numpy_generator


class Cells(NamedTuple):
    """Architectures (n, width) with their targets (n,)."""

    archs: Ints
    targets: NDArray[np.float64]

    def part(self, which: slice) -> "Cells":
        """Return some of the cells."""
        return Cells(self.archs[which], self.targets[which])


class Split(NamedTuple):
    """Cells of pairwise different networks; ``removed`` counts the drawn ones that repeated a network."""

    train: Cells
    test: Cells
    removed: int


def draw_split(
    benchmark: Benchmark,
    *,
    train: int,
    test: int,
    seed: int,
    split: str = "val",
    run: int | Literal["mean"] = "mean",
) -> Split:
    """Draw cells uniformly; their target is the final error, 100 - accuracy, of a run on a split.

    For the same seed, a smaller training set is the beginning of a larger one, and the test cells are those
    of the largest set as long as ``train`` + ``test`` stays the same. Cells without a value are
    left out.
    """
    archs = benchmark.archs
    values = benchmark.query(archs, split=split, metric="acc", epoch="last", seed=run)
    order = numpy_generator(seed, "predictor cells").permutation(len(archs))
    order = order[~np.isnan(values[order])]
    # Isomorphic cells in both sets would let a predictor look its test targets up.
    _, first = np.unique(network_keys(benchmark.space, archs[order]), return_index=True)
    rows = np.sort(first)
    if train + test > len(rows):
        raise InputError(
            f"{benchmark.dataset} has {len(rows)} different networks with a value; {train} for training and "
            f"{test} for testing were asked for"
        )
    removed = int(rows[train + test - 1]) + 1 - train - test
    chosen = order[rows[: train + test]]
    cells = Cells(archs[chosen], 100 - values[chosen])
    return Split(cells.part(slice(train)), cells.part(slice(train, None)), removed)


def encode(space: Space, archs: Ints, encoding: str) -> Tensor:
    """Return an encoding of ``sevenfold.nas.encodings`` (White et al. 2020) in float32, (n, d).

    >>> from sevenfold.nas import NB201, encode
    >>> space = NB201()
    >>> encode(space, space.archs([0, 1, 2]), "path").shape
    torch.Size([3, 155])
    """
    rows = build(ENCODINGS, {"name": encoding}, "encoding", space=space, archs=archs)
    return torch.as_tensor(np.asarray(rows, np.float32))
