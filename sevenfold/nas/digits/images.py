"""The images of handwritten digits that come with scikit-learn, split once and for all."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sevenfold.seeding import numpy_generator

SIZES = {"train": 600, "val": 598, "test": 599}


class Images(NamedTuple):
    """One split: ``patches`` (4, 16, n) are the four pixels of the 4x4 patches, ``labels`` (n,) are 0..9."""

    patches: Tensor
    labels: Tensor


@cache
def split_indices() -> dict[str, NDArray[np.int64]]:
    """Return the numbers of the images in each split, stratified: every class fills it at the same rate."""
    from sklearn.datasets import load_digits

    labels = load_digits().target
    rank = np.empty(len(labels))
    for digit in range(10):
        members = numpy_generator(0, "digits-nb201", "split", digit).permutation(
            np.flatnonzero(labels == digit)
        )
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = np.lexsort((labels, rank))
    ends = np.cumsum(list(SIZES.values()))[:-1]
    return {name: np.sort(part) for name, part in zip(SIZES, np.split(order, ends), strict=True)}


@cache
def load_images() -> dict[str, Images]:
    """Return train, val and test, standardized by the mean and deviation of all pixels of train."""
    from sklearn.datasets import load_digits

    digits, indices = load_digits(), split_indices()
    pixels = digits.images[indices["train"]]
    images = (digits.images - pixels.mean()) / pixels.std()
    # (n, row, y, column, x) -> (y, x, row, column, n): the inside of a patch first, images last
    patches = torch.as_tensor(images, dtype=torch.float32).view(-1, 4, 2, 4, 2).permute(2, 4, 1, 3, 0)
    patches = patches.reshape(4, 16, -1)
    labels = torch.as_tensor(digits.target)
    return {name: Images(patches[:, :, rows].contiguous(), labels[rows]) for name, rows in indices.items()}
