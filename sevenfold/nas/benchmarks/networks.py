"""Which architectures are one and the same network, as strictly as a space can tell."""

import numpy as np
from numpy.typing import NDArray

from sevenfold.nas.spaces.base import Ints, Space
from sevenfold.nas.spaces.nb201 import NB201


def network_keys(space: Space, archs: Ints) -> NDArray[np.int64]:
    """Return a key for each architecture, (n,), equal where the network is.

    On NAS-Bench-201 these are the functional classes, whatever ``canonical`` the space was opened with:
    architectures that train alike must not stand on both sides of a split.
    """
    return (NB201(canonical="functional") if isinstance(space, NB201) else space).keys(archs)


def distinct(space: Space, archs: Ints) -> Ints:
    """Return the first architecture of every network, in the given order."""
    _, first = np.unique(network_keys(space, archs), return_index=True)
    return archs[np.sort(first)]
