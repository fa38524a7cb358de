"""The space of listed rows."""

import numpy as np
import pytest

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.listed import Listed
from sevenfold.nas.encodings.adjacency import adj_onehot

ROWS = np.array([[0, 0, 2], [1, 0, 2], [1, 1, 2], [0, 1, 0], [3, 4, 5]], np.int8)


@pytest.fixture
def space() -> Listed:
    return Listed(ROWS)


def naive_neighbors(rows: np.ndarray, row: np.ndarray) -> set[tuple[int, ...]]:
    return {
        tuple(other) for other in rows.tolist() if sum(a != b for a, b in zip(other, row, strict=True)) == 1
    }


def test_rows_are_numbered_and_found(space):
    assert (space.size, space.width) == (5, 3)
    assert space.index(ROWS[::-1]).tolist() == [4, 3, 2, 1, 0]
    assert np.array_equal(space.archs([2, 2, 0]), ROWS[[2, 2, 0]])
    other = np.array([[0, 0, 0], [1, 1, 2]])
    assert space.is_valid(other).tolist() == [False, True] and space.keys(other).tolist() == [-1, 2]
    with pytest.raises(
        InputError, match="1 of 2 architectures are not among the 5 listed, the first is 0,0,0"
    ):
        space.index(other)
    with pytest.raises(InputError, match=r"asked for -1\.\.5"):
        space.archs([-1, 5])


def test_neighbors_differ_in_one_coordinate():
    rng = np.random.default_rng(0)
    rows = np.unique(rng.integers(0, 3, size=(60, 4)), axis=0)
    space = Listed(rows)
    table = space.neighbor_table()
    for number, row in enumerate(rows):
        expected = naive_neighbors(rows, row)
        assert {tuple(found) for found in space.neighbors(row).tolist()} == expected
        assert {tuple(rows[i]) for i in table[number] if i >= 0} == expected
        assert (table[number] >= 0).sum() == len(expected)


def test_mutation_walks_and_lonely_rows_stay(space):
    rng = np.random.default_rng(0)
    children = space.mutate(np.repeat(ROWS[[0, 4]], 500, axis=0), rng, rate=1.0)
    assert (children[500:] == ROWS[4]).all()
    steps = (children[:500] != ROWS[0]).sum(axis=1)
    assert (steps == 0).mean() == pytest.approx(np.exp(-1) + 0.5 * np.exp(-1) / 2, abs=0.09)
    assert set(map(tuple, children[:500].tolist())) <= set(map(tuple, ROWS[:4].tolist()))
    assert np.array_equal(space.mutate(ROWS, rng, rate=0.0), ROWS)


def test_samples_are_listed_and_even(space):
    numbers = space.index(space.sample(np.random.default_rng(0), 5000))
    assert np.bincount(numbers) / 5000 == pytest.approx([0.2] * 5, abs=0.025)


def test_strings_and_parts_round_trip(space):
    strings = space.to_strings(ROWS)
    assert strings[0] == "0,0,2" and np.array_equal(space.from_strings(strings), ROWS)
    for text, message in (("0,0", "expected 3 codes, got 2"), ("a", "'a' is no row"), ("9,9,9", "not among")):
        with pytest.raises(InputError, match=message):
            space.from_strings([text])
    parts = space.parts(ROWS)
    assert [part.levels for part in parts] == [4, 5, 6]
    assert np.array_equal(space.from_parts([part.values for part in parts]), ROWS)
    with pytest.raises(InputError, match="no graphs"):
        space.graph(ROWS)


def test_wrong_lists_are_refused():
    for rows, message in (
        (np.zeros((0, 3), int), "integer rows"),
        (ROWS * 1.0, "float64"),
        (ROWS[0], "shape"),
    ):
        with pytest.raises(InputError, match=message):
            Listed(rows)
    with pytest.raises(InputError, match="listed twice, the first is 1,0,2; remove 1 rows"):
        Listed(ROWS[[0, 1, 1]])


def test_codes_below_zero_and_gaps_have_neighbors_and_encodings():
    dense = np.array(np.meshgrid(*[np.arange(3)] * 2)).reshape(2, -1).T
    moved, sparse = Listed(dense - 1), Listed(dense * 7 - 3)
    for space, rows in ((moved, dense - 1), (sparse, dense * 7 - 3)):
        assert (space.neighbor_table() == Listed(dense).neighbor_table()).all()
        assert (space.from_parts([part.values for part in space.parts(rows)]) == rows).all()
        assert len(np.unique(adj_onehot(space, rows), axis=0)) == len(rows)
    assert (adj_onehot(moved, dense - 1) == adj_onehot(Listed(dense), dense)).all()
