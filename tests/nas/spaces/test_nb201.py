"""NAS-Bench-201: numbering, keys against independent references, neighbors, notations."""

import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from sevenfold.errors import InputError
from sevenfold.nas.spaces.nb201 import NB201
from sevenfold.nas.spaces.nb201_keys import EDGES, OPS, classes

TABLE = Path(__file__).resolve().parents[3] / "../shared/data/nas/nb201_cifar.npz"
SCORES = TABLE.with_name("naslib_zc_nb201.json.gz")
GOLDEN = json.loads((Path(__file__).parents[1] / "golden/nb201.json").read_text())
needs_table = pytest.mark.skipif(not TABLE.is_file(), reason="the shared benchmark tables are absent")


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    return NB201().archs(np.arange(15625))


def same_partition(first: np.ndarray, second: np.ndarray) -> bool:
    pairs = len(np.unique(np.stack([first, second]), axis=1).T)
    return pairs == len(np.unique(first)) == len(np.unique(second))


def test_exact_nb201_counts_and_a1_classes(cells: np.ndarray) -> None:
    assert len(np.unique(cells, axis=0)) == 15625 == NB201.size
    counts = {"none": 15625, "skip": 12751, "zero": 6466, "strict": 5390, "functional": 5425}
    for canonical, count in counts.items():
        keys = NB201(canonical=canonical).keys(cells)
        assert len(np.unique(keys)) == count
        assert (keys <= np.arange(15625)).all() and (keys[keys] == keys).all()


@needs_table
def test_a1_order_and_official_partition_equal_the_benchmarks(cells: np.ndarray) -> None:
    with np.load(TABLE, allow_pickle=False) as table:
        assert (table["ops"] == cells).all()
        assert same_partition(classes("zero"), table["iso_class"])


@pytest.mark.skipif(not SCORES.is_file(), reason="the shared benchmark tables are absent")
def test_real_naslib_tuples_mean_the_same_cells() -> None:
    with gzip.open(SCORES, "rt") as file:
        scores = json.load(file)["cifar10"]
    archs = NB201().from_strings(scores, notation="naslib")
    assert len(archs) == 725
    with np.load(TABLE, allow_pickle=False) as table:
        accuracy = table["cifar10_test_ep200"][NB201().index(archs)]
    assert spearmanr(accuracy, [entry["val_accuracy"] for entry in scores.values()]).statistic > 0.97


def numeric_functions(cells: np.ndarray, free_pooling: bool = False, linear: bool = False) -> np.ndarray:
    """Name what each cell computes by trying all namings of its parameters in a tiny numeric network.

    Every operation is a nonlinear function with f(0) = 0 and its own parameters out of six sets; the smallest
    output over the 720 ways to hand the sets to the edges does not depend on how parameters are called.
    Pooling may be made free of parameters, and linear.
    """
    rng = np.random.default_rng(3)
    scale, square = rng.uniform(0.5, 2, (2, 5, 6))
    smallest = np.full(len(cells), np.inf)
    for names in itertools.permutations(range(6)):
        nodes = [np.full(len(cells), 0.7), *np.zeros((3, len(cells)))]
        for edge, (source, target) in enumerate(EDGES):
            op, x = cells[:, edge], nodes[source]
            name = np.where((op == 4) & free_pooling, 0, names[edge])
            y = np.sin(scale[op, name] * x) + square[op, name] * x * x
            y = np.where((op == 4) & linear, 0.37 * x, y)
            nodes[target] = nodes[target] + np.select([op == 0, op == 1], [np.zeros_like(x), x], y)
        smallest = np.minimum(smallest, nodes[3])
    return np.unique(smallest.round(9), return_inverse=True)[1]


def test_functional_keys_are_equal_exactly_where_the_functions_are(cells: np.ndarray) -> None:
    assert same_partition(classes("functional"), numeric_functions(cells))


@pytest.mark.slow
def test_poolings_taken_together_leave_fewer_functions(cells: np.ndarray) -> None:
    for linear, count in ((False, 5260), (True, 5044)):
        functions = numeric_functions(cells, free_pooling=True, linear=linear)
        assert len(np.unique(functions)) == count
        # they only merge functional classes
        assert len(np.unique(np.stack([classes("functional"), functions]), axis=1).T) == 5425


def test_exact_nb201_24_neighbors_and_symmetric(cells: np.ndarray) -> None:
    space = NB201()
    table = space.neighbor_table()
    assert table.shape == (15625, 24) and table.dtype == np.int32
    pairs = set(zip(np.repeat(np.arange(15625), 24).tolist(), table.ravel().tolist(), strict=True))
    assert len(pairs) == 24 * 15625 and all((j, i) in pairs for i, j in pairs)
    assert ((cells[table] != cells[:, None]).sum(-1) == 1).all()
    for number in (0, 77, 15624):
        assert (space.index(space.neighbors(cells[number])) == table[number]).all()


@pytest.mark.parametrize(("kind", "count", "longest"), [("path", 168, 3), ("trunc_path", 52, 2)])
def test_path_neighbors_replace_one_path_without_repeats(kind: str, count: int, longest: int) -> None:
    """Regression: repeats and half-edited cells were emitted, and the three-edge path was never changed."""
    arch = np.array([3, 1, 0, 2, 4, 3])
    found = {tuple(row) for row in NB201().neighbors(arch, kind=kind).tolist()}
    paths = [p for p in ((3,), (0, 4), (1, 5), (0, 2, 5)) if len(p) <= longest]
    expected = set()
    for path in paths:
        for ops in itertools.product(range(5), repeat=len(path)):
            other = arch.tolist()
            for edge, op in zip(path, ops, strict=True):
                other[edge] = op
            expected.add(tuple(other))
    assert found == expected - {tuple(arch.tolist())} and len(found) == count


def test_path_mutation_reaches_the_three_edge_path() -> None:
    parents = np.zeros((4000, 6), np.int8)
    children = NB201().mutate(parents, np.random.default_rng(0), kind="path")
    assert (children[:, 2] != 0).mean() == pytest.approx(0.25 * 100 / 124, abs=0.03)
    truncated = NB201().mutate(parents, np.random.default_rng(0), kind="trunc_path")
    assert (truncated[:, 2] == 0).all() and (truncated[:, [0, 1, 3, 4, 5]] != 0).any(0).all()


def test_mutation_rates() -> None:
    space, rng = NB201(), np.random.default_rng(1)
    parents = space.sample(rng, 20000)
    changed = space.mutate(parents, rng) != parents
    assert changed.mean(0) == pytest.approx(np.full(6, 0.25), abs=0.02)
    assert (space.mutate(parents, rng, rate=4) != parents).all()
    one = space.mutate(parents, rng, kind="one") != parents
    assert (one.sum(1) == 1).all() and one.mean(0) == pytest.approx(np.full(6, 1 / 6), abs=0.02)


def test_sampling_is_uniform_and_connected_cells_reach_both_ends() -> None:
    space, rng = NB201(), np.random.default_rng(2)
    counts = np.bincount(space.sample(rng, 30000).ravel(), minlength=5)
    assert counts / counts.sum() == pytest.approx(np.full(5, 0.2), abs=0.01)
    archs = space.sample(rng, 20000, method="connected")
    assert archs[:, [0, 1, 3]].any(1).all() and archs[:, [3, 4, 5]].any(1).all()


def test_exact_nb201_both_tuple_orders() -> None:
    space = NB201()
    text = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    arch = space.from_strings([text])
    assert [OPS[code] for code in arch[0]] == [
        "nor_conv_3x3",
        "skip_connect",
        "none",
        "nor_conv_1x1",
        "avg_pool_3x3",
        "nor_conv_3x3",
    ]
    # its edges are (0,1) (0,2) (0,3) (1,2) (1,3) (2,3), its codes skip 0, none 1, 3x3 2, 1x1 3, pool 4
    assert space.to_strings(arch, notation="naslib") == ["(2, 0, 3, 1, 4, 2)"]
    assert space.from_strings(["(2, 0, 3, 1, 4, 2)"], notation="naslib").tolist() == arch.tolist()


@pytest.mark.parametrize("text", ["|none~0|", "|a~0|+|none~0|none~1|+|none~0|none~1|none~2|", ""])
def test_a_wrong_string_is_named(text: str) -> None:
    with pytest.raises(InputError, match="cell|operation"):
        NB201().from_strings([text])


@pytest.mark.parametrize("text", ["(1, 2)", "(5, 0, 0, 0, 0, 0)", "(0, 0, 0, 0, 0, 0, 0)", "nothing"])
def test_a_wrong_tuple_is_named(text: str) -> None:
    with pytest.raises(InputError, match="six codes"):
        NB201().from_strings([text], notation="naslib")


def test_wrong_numbers_and_codes_are_refused() -> None:
    with pytest.raises(InputError, match="0..15624"):
        NB201().archs([15625])
    with pytest.raises(InputError, match="0..4"):
        NB201().index(np.full((1, 6), 5))
    with pytest.raises(InputError, match="functional"):
        NB201(canonical="functionl")  # type: ignore[arg-type]


def test_golden_strings_have_their_tuples_codes_and_paths() -> None:
    space = NB201()
    assert len(GOLDEN) == 20
    for cell in GOLDEN:
        arch = space.from_strings([cell["nb201"]])
        assert space.to_strings(arch) == [cell["nb201"]]
        assert space.to_strings(arch, notation="naslib") == [cell["naslib"]]
        assert space.from_strings([cell["naslib"]], notation="naslib").tolist() == arch.tolist()
        assert space.parts(arch)[0].values[0].tolist() == cell["codes"]
        assert np.flatnonzero(space.path_bits(arch)[0]).tolist() == cell["paths"]


def test_string_round_trip_of_every_cell(cells: np.ndarray) -> None:
    for notation in NB201.notations:
        texts = NB201().to_strings(cells, notation=notation)
        assert len(set(texts)) == 15625
        assert (NB201().from_strings(texts, notation=notation) == cells).all()
