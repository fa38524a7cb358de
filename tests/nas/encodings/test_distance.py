"""Distances against counting pair by pair."""

import itertools

import numpy as np
import pytest

from sevenfold.config import locate
from sevenfold.nas.encodings import DISTANCES
from sevenfold.nas.spaces import SPACES
from sevenfold.nas.spaces.nb101 import NB101


def defined(name, distance):
    """Return whether a space has what a distance looks at."""
    return not (name == "nb201" and distance == "adj_cont") and not (name == "nlp" and "path" in distance)


@pytest.mark.parametrize(
    ("name", "distance"), [p for p in itertools.product(SPACES, DISTANCES) if p[0] != "typed" and defined(*p)]
)
def test_distances_are_metrics_on_what_they_see(name, distance):
    space = locate(SPACES[name])()
    archs = space.sample(np.random.default_rng(0), 30)
    matrix = locate(DISTANCES[distance])(space, archs, archs)
    assert matrix.shape == (30, 30) and (matrix == matrix.T).all() and (np.diag(matrix) == 0).all()
    assert (matrix == np.rint(matrix)).all() and matrix.max() > 1
    assert (matrix[:, None] <= matrix[:, :, None] + matrix.T[None]).all()


def test_nb101_distances_equal_counting_by_hand():
    space, rng = NB101(), np.random.default_rng(1)
    first, second = space.sample(rng, 12), space.sample(rng, 9)
    got = {name: locate(reference)(space, first, second) for name, reference in DISTANCES.items()}
    bits = [space.path_bits(archs).astype(int) for archs in (first, second)]
    for i, a in enumerate(first.astype(int)):
        for j, b in enumerate(second.astype(int)):
            differing = sum(x != y for x, y in zip(a, b, strict=True))
            assert got["adj"][i, j] == differing
            assert got["adj_cont"][i, j] == differing + abs(a[:21].sum() - b[:21].sum())
            p, q = bits[0][i], bits[1][j]
            assert got["path"][i, j] == (p != q).sum()
            assert got["path_cont"][i, j] == (p != q).sum() + abs(p.sum() - q.sum())
            p, q = p[:40], q[:40]
            assert got["trunc_path"][i, j] == (p != q).sum()
            assert got["trunc_path_cont"][i, j] == (p != q).sum() + abs(p.sum() - q.sum())
