"""What a cell's network costs, by count: parameters, operations and a time that is the same everywhere."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sevenfold.nas.digits.images import SIZES
from sevenfold.nas.spaces.base import Ints
from sevenfold.nas.spaces.nb201_keys import OPS

PIXELS = 16
RATE = 1e9
"""Operations a second of the imagined machine."""


class Cost(NamedTuple):
    """Per network, (n,): trainable ``params``, ``flops`` of one image, simulated ``seconds`` an epoch."""

    params: NDArray[np.int32]
    flops: NDArray[np.int32]
    seconds: NDArray[np.float32]


def count_cost(archs: Ints, *, channels: int) -> Cost:
    """Count for cells (n, 6) whose dead edges are ``none``.

    A multiplication and an addition are two operations; a ReLU, a sum and each end of a normalization one;
    pooling nine. ``seconds`` are those of training on all images, backward passes taken as two forward
    ones, at ``RATE``.
    """
    c, per_op = (
        channels,
        {
            "none": (0, 0),
            "skip_connect": (0, channels),
            "nor_conv_1x1": (channels**2 + 2 * channels, 2 * channels**2 + 4 * channels),
            "nor_conv_3x3": (9 * channels**2 + 2 * channels, 18 * channels**2 + 4 * channels),
            "avg_pool_3x3": (0, 10 * channels),
        },
    )  # parameters; operations a pixel with those of ReLU, normalization and of adding the result to its node
    params, flops = (np.array([per_op[op][k] for op in OPS])[archs].sum(axis=1) for k in (0, 1))
    params = params + 4 * c + 4 * c + 10 * c + 10  # stem, two normalizations, head
    flops = PIXELS * (flops + 8 * c + 2 * c + 4 * c) + 20 * c + 10
    seconds = 3 * SIZES["train"] * flops / RATE
    return Cost(params.astype(np.int32), flops.astype(np.int32), seconds.astype(np.float32))
