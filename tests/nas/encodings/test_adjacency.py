"""Adjacency encodings: worked examples, dimensions, decoding."""

import numpy as np
import pytest

from sevenfold.config import locate
from sevenfold.errors import InputError
from sevenfold.nas.encodings import DECODERS, ENCODINGS
from sevenfold.nas.encodings.adjacency import adj, adj_cat, adj_cont, adj_onehot, trunc_adj, trunc_adj_onehot
from sevenfold.nas.spaces import SPACES

WORKED = [1, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 1]
OPERATIONS = [2, 0, 1, 0, 1]  # pooling, 3x3, 1x1, 3x3, 1x1
DIMENSIONS = {
    ("nb101", "adj"): 26,
    ("nb101", "adj_onehot"): 36,
    ("nb101", "adj_cat"): 26,
    ("nb101", "adj_cont"): 27,
    ("nb201", "adj"): 6,
    ("nb201", "adj_onehot"): 30,
    ("darts", "adj"): 114,
    ("darts", "adj_onehot"): 210,
    ("nlp", "adj"): 185,
    ("nlp", "adj_onehot"): 286,
}


def population(name, n=200, seed=0):
    space = locate(SPACES[name])()
    return space, space.sample(np.random.default_rng(seed), n)


@pytest.fixture
def worked():
    return locate(SPACES["nb101"])(), np.array([WORKED + OPERATIONS], np.int8)


@pytest.mark.parametrize(("name", "encoding"), [key for key in DIMENSIONS if key[0] in SPACES])
def test_dimensions(name, encoding):
    space, archs = population(name)
    assert locate(ENCODINGS[encoding])(space, archs).shape == (200, DIMENSIONS[name, encoding])


def test_nb101_worked_cell(worked):
    active = [0, 3, 4, 6, 7, 11, 17, 18, 20]
    scalars = [1.0, 0.5, 0.0, 0.5, 0.0]
    assert adj(*worked)[0].tolist() == [*WORKED, *scalars]
    assert adj_cat(*worked)[0].tolist() == [*active, *[0] * 12, *scalars]
    vectors = [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert adj_onehot(*worked)[0].tolist() == WORKED + sum(vectors, [])


def test_the_edge_count_leaves_every_operation_alone(worked):
    """Regression: the count overwrote the operation of vertex 1."""
    row = adj_cont(*worked)[0].tolist()
    assert row == [*WORKED, 1.0, 0.5, 0.0, 0.5, 0.0, 9.0]


def test_exact_nb201_worked_codes():
    space = locate(SPACES["nb201"])()
    text = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    arch = space.from_strings([text])
    assert adj(space, arch)[0].tolist() == [2, 4, 3, 1, 0, 2]
    assert np.flatnonzero(adj_onehot(space, arch)[0]).tolist() == [2, 9, 13, 16, 20, 27]


@pytest.mark.parametrize("name", [name for name in SPACES if name != "typed"])
def test_truncation_takes_the_first_coordinates(name):
    space, archs = population(name, 20)
    assert (trunc_adj(space, archs, cutoff=5) == adj(space, archs)[:, :5]).all()
    assert (trunc_adj_onehot(space, archs, cutoff=9) == adj_onehot(space, archs)[:, :9]).all()


@pytest.mark.parametrize("encoding", [name for name in DECODERS if name != "path"])
@pytest.mark.parametrize("name", [name for name in SPACES if name != "typed"])
def test_decoding_inverts_encoding(name, encoding):
    space, archs = population(name)
    if name == "nb201" and encoding in ("adj_cat", "adj_cont"):
        with pytest.raises(InputError, match="has no edges"):
            locate(ENCODINGS[encoding])(space, archs)
        return
    rows = locate(ENCODINGS[encoding])(space, archs)
    again = locate(DECODERS[encoding])(space, rows)
    assert (locate(ENCODINGS[encoding])(space, again) == rows).all()
    if name != "nlp":  # whose matrix does not tell the inputs of a blend apart
        assert (space.keys(again) == space.keys(archs)).all()


def test_continuous_codes_decode_by_their_largest_entries(worked):
    space, archs = worked
    rng = np.random.default_rng(1)
    row = adj_cont(space, archs)
    row[:, :21] = np.where(np.array(WORKED) > 0, 0.5 + rng.random(21) / 2, rng.random(21) / 2)
    from_adj_cont = locate(DECODERS["adj_cont"])
    assert (from_adj_cont(space, row) == archs).all()
    row[:, -1] = 8
    weakest = np.argmin(np.where(np.array(WORKED) > 0, row[0, :21], 2))
    assert np.flatnonzero(from_adj_cont(space, row) != archs)[0] == weakest


def test_rows_of_another_width_are_refused(worked):
    with pytest.raises(InputError, match="26 numbers"):
        locate(DECODERS["adj"])(worked[0], np.zeros((1, 25)))
