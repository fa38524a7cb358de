"""NAS-Bench-101: pruning, hashes and paths against naive references; sampling, mutation, neighbors."""

import gzip
import hashlib
import itertools
import json
import time
from pathlib import Path

import numpy as np
import pytest

from sevenfold.errors import InputError
from sevenfold.nas.spaces.nb101 import NB101
from sevenfold.nas.spaces.nb101_cells import all_cells, path_sets
from sevenfold.nas.spaces.nb101_graph import OPS, PATH_LENGTHS, paths, prune

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/nb101.json").read_text())
TABLE = Path(__file__).resolve().parents[3] / "../shared/data/nas/naslib_zc_nb101.json.gz"
SPACE = NB101()


def naive_cell(row):
    """Return the matrix (lists) and labels of the pruned cell, by searching paths; None if disconnected."""
    matrix = [[0] * 7 for _ in range(7)]
    for bit, (i, j) in zip(row[:21], itertools.combinations(range(7), 2), strict=True):
        matrix[i][j] = int(bit)
    labels = ["input", *(OPS[code] for code in row[21:]), "output"]

    def reach(start, step):
        seen, todo = {start}, [start]
        while todo:
            vertex = todo.pop()
            for other in range(7):
                if step(vertex, other) and other not in seen:
                    seen.add(other)
                    todo.append(other)
        return seen

    kept = sorted(reach(0, lambda i, j: matrix[i][j]) & reach(6, lambda i, j: matrix[j][i]))
    if 0 not in kept:
        return None
    return [[matrix[i][j] for j in kept] for i in kept], [labels[i] for i in kept]


def naive_hash(matrix, labels):
    codes = {"input": -1, "output": -2} | {name: code for code, name in enumerate(OPS)}
    n = len(labels)
    digest = lambda text: hashlib.md5(text.encode()).hexdigest()  # noqa: E731
    names = [digest(str((sum(matrix[v]), sum(row[v] for row in matrix), codes[labels[v]]))) for v in range(n)]
    for _ in range(n):
        new = []
        for v in range(n):
            incoming = sorted(names[u] for u in range(n) if matrix[u][v])
            outgoing = sorted(names[u] for u in range(n) if matrix[v][u])
            new.append(digest("".join(incoming) + "|" + "".join(outgoing) + "|" + names[v]))
        names = new
    return digest(str(sorted(names)))


def naive_paths(matrix, labels):
    """Return the sorted path numbers, walking the graph."""
    found = []

    def walk(vertex, ops):
        if labels[vertex] == "output":
            found.append(sum(3**i * (op + 1) for i, op in enumerate(ops)))
            return
        for other in range(len(labels)):
            if matrix[vertex][other]:
                walk(other, [*ops, OPS.index(labels[other])] if labels[other] != "output" else ops)

    walk(0, [])
    return sorted(found)


@pytest.fixture(scope="module")
def cells():
    return SPACE.sample(np.random.default_rng(0), 1000)


def test_exact_nb101_pruning_and_hash_equal_the_benchmarks_on_1000_cells(cells):
    texts, names = SPACE.to_strings(cells), SPACE.module_hashes(cells)
    for row, text, name in zip(cells.tolist(), texts, names, strict=True):
        matrix, labels = naive_cell(row)
        assert text == "".join(str(bit) for line in matrix for bit in line) + "|" + ",".join(labels)
        assert name == naive_hash(matrix, labels)


def test_keys_are_equal_exactly_where_the_official_hashes_are(cells):
    pairs = set(zip(SPACE.keys(cells).tolist(), SPACE.module_hashes(cells), strict=True))
    assert len(pairs) == len({key for key, _ in pairs}) == len({name for _, name in pairs})


def test_golden_cells_have_their_hash_paths_and_string():
    for cell in GOLDEN:
        arch = SPACE.from_strings([cell["cell"]])
        assert SPACE.module_hashes(arch) == [cell["hash"]]
        assert SPACE.to_strings(arch) == [cell["cell"]]
        found = paths(arch)[0]
        assert np.sort(found[found >= 0]).tolist() == cell["paths"]


def test_golden_cells_are_what_the_naive_reference_gives():
    assert len(GOLDEN) == 50
    for cell in GOLDEN:
        bits, _, names = cell["cell"].partition("|")
        labels, n = names.split(","), len(names.split(","))
        matrix = [[int(bit) for bit in bits[i * n : (i + 1) * n]] for i in range(n)]
        assert naive_hash(matrix, labels) == cell["hash"]
        assert naive_paths(matrix, labels) == cell["paths"]


def test_a4_hash_is_invariant_under_permutation_and_tells_cells_apart():
    rng = np.random.default_rng(1)
    archs = SPACE.sample(rng, 1000)
    moved = archs.copy()
    different = 0
    for k, row in enumerate(archs):
        matrix = np.zeros((7, 7), int)
        matrix[np.triu_indices(7, 1)] = row[:21]
        # another topological order: repeatedly take any inner vertex whose inner predecessors are placed
        order = [0]
        while len(order) < 6:
            free = [
                v
                for v in range(1, 6)
                if v not in order and all(u in order for u in matrix[:, v].nonzero()[0])
            ]
            order.append(int(rng.choice(free)))
        order.append(6)
        moved[k, :21] = matrix[np.ix_(order, order)][np.triu_indices(7, 1)]
        moved[k, 21:] = row[[20 + v for v in order[1:6]]]
        different += not np.array_equal(moved[k], row)
    assert different > 500
    assert (SPACE.keys(moved) == SPACE.keys(archs)).all()
    assert SPACE.module_hashes(moved) == SPACE.module_hashes(archs)
    pruned = [naive_cell(row) for row in archs.tolist()]
    signature = [(len(m), sum(map(sum, m)), sorted(labels), naive_paths(m, labels)) for m, labels in pruned]
    keys = SPACE.keys(archs)
    differing = [(i, i + 1) for i in range(999) if signature[i] != signature[i + 1]]
    assert len(differing) > 900 and all(keys[i] != keys[j] for i, j in differing)


def test_exact_nb101_worked_cell():
    edges = [(0, 1), (0, 4), (0, 5), (1, 2), (1, 3), (2, 3), (3, 6), (4, 5), (5, 6)]
    position = {pair: k for k, pair in enumerate(itertools.combinations(range(7), 2))}
    row = np.zeros((1, 26), np.int8)
    row[0, [position[edge] for edge in edges]] = 1
    row[0, 21:] = [OPS.index(name) for name in ("maxpool3x3", OPS[0], OPS[1], OPS[0], OPS[1])]
    assert SPACE.is_valid(row).all()
    assert np.flatnonzero(SPACE.path_bits(row)).tolist() == [2, 7, 9, 24]
    # three of its matrix's 12 edges are on no path: the pruned cell has 9
    full = row.copy()
    full[0, [position[e] for e in edges]] = 0
    full[0, [position[e] for e in [(0, 6), (0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (1, 2), (1, 3)]]] = 1
    full[0, [position[e] for e in [(1, 4), (2, 3), (2, 4), (3, 4)]]] = 1
    assert full[0, :21].sum() == 12 and prune(full).matrix.sum() == 1 and SPACE.is_valid(full).all()


def test_exact_nb101_path_length_and_natural_cutoffs():
    assert SPACE.path_bits(np.zeros((1, 26), np.int8)).shape[1] == 364 == len(PATH_LENGTHS)
    assert np.cumsum(np.bincount(PATH_LENGTHS)).tolist() == [1, 4, 13, 40, 121, 364]
    assert SPACE.path_cutoff == 40


def test_paths_equal_the_naive_walk(cells):
    found = paths(cells)
    for row, numbers in zip(cells.tolist(), found, strict=True):
        expected = naive_paths(*naive_cell(row))
        assert np.sort(numbers[numbers >= 0]).tolist() == expected
        assert len(set(expected)) <= SPACE.path_slots


def test_validity_counts_edges_after_pruning():
    rng = np.random.default_rng(2)
    archs = rng.integers(3, size=(3000, 26), dtype=np.int8)
    archs[:, :21] = rng.integers(2, size=(3000, 21))
    expected = []
    for row in archs.tolist():
        cell = naive_cell(row)
        expected.append(cell is not None and sum(map(sum, cell[0])) <= 9)
    assert SPACE.is_valid(archs).tolist() == expected
    many = archs[:, :21].sum(1) >= 12
    assert SPACE.is_valid(archs[many]).any() and not SPACE.is_valid(archs[many]).all()
    assert np.mean(expected) == pytest.approx(0.73, abs=0.03)


def test_adj_samples_have_the_measured_statistics():
    pruned = prune(SPACE.sample(np.random.default_rng(3), 6000))
    edges = np.bincount(pruned.matrix.sum((1, 2)), minlength=10)[1:] / 6000
    assert edges == pytest.approx([0.097, 0.101, 0.128, 0.112, 0.138, 0.112, 0.118, 0.106, 0.088], abs=0.02)
    vertices = np.bincount(pruned.alive.sum(1), minlength=8)[2:] / 6000
    assert vertices == pytest.approx([0.097, 0.202, 0.274, 0.304, 0.120, 0.003], abs=0.025)


@pytest.mark.parametrize("method", NB101.samplings)
def test_every_sampling_gives_valid_cells_and_follows_its_generator(method):
    archs = SPACE.sample(np.random.default_rng(4), 200, method=method)
    assert archs.shape == (200, 26) and SPACE.is_valid(archs).all()
    assert (archs == SPACE.sample(np.random.default_rng(4), 200, method=method)).all()
    assert len(np.unique(SPACE.keys(archs))) > 20
    if "trunc" in method:
        assert PATH_LENGTHS[np.nonzero(SPACE.path_bits(archs))[1]].max() <= 3


def test_uniform_sampling_is_uniform_over_cells():
    archs = SPACE.sample(np.random.default_rng(5), 20000, method="uniform")
    assert (prune(archs).alive.sum(1) == 7).mean() == pytest.approx(359082 / 423624, abs=0.01)
    short = SPACE.sample(np.random.default_rng(5), 300, method="trunc_path", cutoff=4)
    assert np.nonzero(SPACE.path_bits(short))[1].max() < 4


@pytest.mark.parametrize("kind", NB101.mutations)
def test_exact_nb101_mutation_is_never_invalid(kind):
    parents = SPACE.sample(np.random.default_rng(6), 300)
    children = SPACE.mutate(parents, np.random.default_rng(7), kind=kind, rate=2.0)
    assert SPACE.is_valid(children).all() and (children != parents).any()
    assert (children == SPACE.mutate(parents, np.random.default_rng(7), kind=kind, rate=2.0)).all()


def test_mutation_follows_its_rate():
    """Regression: the rate was ignored by every mutation."""
    parents, rng = SPACE.sample(np.random.default_rng(8), 4000), np.random.default_rng(9)
    small, large = (SPACE.mutate(parents, rng, rate=rate) != parents for rate in (0.5, 2.0))
    assert small[:, 21:].sum(1).mean() == pytest.approx(0.5, abs=0.06)
    assert large[:, 21:].sum(1).mean() == pytest.approx(2.0, abs=0.1)
    assert 0.3 < small[:, :21].sum(1).mean() < 0.55 and 1.2 < large[:, :21].sum(1).mean() < 2.05
    few, many = (SPACE.mutate(parents, rng, rate=rate, kind="trunc_path") for rate in (0.2, 2.0))
    assert (few != parents).any(1).mean() < (many != parents).any(1).mean()


@pytest.mark.parametrize("cutoff", [4, 13, 40])
def test_path_mutation_keeps_the_users_cutoff_and_all_paths_behind_it(cutoff):
    """Regression: a given cutoff was dropped, and the path whose number equals the cutoff was lost."""
    some = all_cells().archs[::20]
    parents = some[SPACE.path_bits(some)[:, cutoff] == 1][::5][:400]
    assert len(parents) > 20
    for kind in ("trunc_path", "wtd_trunc_path", "trunc_cont_path"):
        children = SPACE.mutate(parents, np.random.default_rng(10), kind=kind, cutoff=cutoff)
        before, after = SPACE.path_bits(parents), SPACE.path_bits(children)
        assert (before[:, cutoff:] == after[:, cutoff:]).all() and (before != after).any()
        assert after[:, cutoff].all()


@pytest.mark.parametrize("cutoff", [1, 10, 21, 24])
def test_trunc_adj_mutation_stays_in_the_first_coordinates(cutoff):
    parents = SPACE.sample(np.random.default_rng(11), 2000)
    changed = (
        SPACE.mutate(parents, np.random.default_rng(12), kind="trunc_adj", cutoff=cutoff, rate=2) != parents
    )
    assert not changed[:, cutoff:].any() and changed[:, :cutoff].any(0).all()


def test_a_mutation_that_finds_nothing_returns_its_parent():
    """Regression: nothing at all was returned when patience ended."""
    chain = SPACE.from_strings(["0100" + "0010" + "0001" + "0000|input,conv3x3-bn-relu,maxpool3x3,output"])
    # every flip at once: at this rate all edges change always, and the result is never a valid cell
    child = SPACE.mutate(chain, np.random.default_rng(0), kind="trunc_adj", rate=1e9)
    assert SPACE.is_valid(child).all() and (child == chain).all()


def test_adj_neighbors_equal_the_naive_definition():
    counts = []
    for row in SPACE.sample(np.random.default_rng(13), 150):
        found = [tuple(other) for other in SPACE.neighbors(row).tolist()]
        assert len(set(found)) == len(found)
        counts.append(len(found))
        used, edges = _on_paths(row)
        expected = set()
        for vertex in used:
            for op in {0, 1, 2} - {int(row[20 + vertex])}:
                other = row.tolist()
                other[20 + vertex] = op
                expected.add(tuple(other))
        for k, pair in enumerate(itertools.combinations(range(7), 2)):
            other = row.copy()
            other[k] ^= 1
            on_path = pair in (edges if row[k] else _on_paths(other)[1])
            if on_path and SPACE.is_valid(other[None])[0]:
                expected.add(tuple(other.tolist()))
        assert set(found) == expected
    assert np.mean(counts) == pytest.approx(13.2, abs=1.5)


def _on_paths(row):
    """Return the inner vertices and the edges on paths from input to output, by listing the paths."""
    matrix = np.zeros((7, 7), int)
    matrix[np.triu_indices(7, 1)] = row[:21]
    vertices, edges = set(), set()
    for length in range(6):
        for way in itertools.combinations(range(1, 6), length):
            steps = list(itertools.pairwise((0, *way, 6)))
            if all(matrix[step] for step in steps):
                vertices |= set(way)
                edges |= set(steps)
    return vertices, edges


@pytest.mark.parametrize("kind", ["path", "trunc_path"])
def test_path_neighbors_have_one_path_more_or_less(kind):
    for row in SPACE.sample(np.random.default_rng(14), 20):
        others = SPACE.neighbors(row, kind=kind, **({"cutoff": 13} if kind == "trunc_path" else {}))
        changed = SPACE.path_bits(others) != SPACE.path_bits(row[None])
        assert (changed.sum(1) == 1).all() and len(np.unique(path_sets(others))) == len(others)
        assert kind == "path" or not changed[:, 13:].any()


def test_the_lookup_table_knows_the_set_of_every_cell_and_keeps_the_lowest():
    archs = SPACE.sample(np.random.default_rng(15), 3000)
    number = all_cells().by_paths.find(path_sets(archs))
    assert (number >= 0).all() and (number <= SPACE.index(archs)).all()
    assert (SPACE.path_bits(all_cells().archs[number]) == SPACE.path_bits(archs)).all()


@pytest.mark.slow
def test_exact_nb101_enumeration_423624_and_neighbor_table(record_property):
    all_cells.cache_clear()
    start = time.perf_counter()
    cells = all_cells()
    record_property("seconds", time.perf_counter() - start)
    assert len(cells.archs) == 423624 == SPACE.size and len(np.unique(SPACE.keys(cells.archs))) == 423624
    assert np.bincount(prune(cells.archs).alive.sum(1)).tolist() == [0, 0, 1, 6, 84, 2441, 62010, 359082]
    assert (SPACE.index(cells.archs) == np.arange(423624)).all()
    assert len(set(SPACE.module_hashes(cells.archs))) == 423624
    assert (SPACE.path_bits(cells.archs).sum(1) > 0).all()
    table = SPACE.neighbor_table()
    assert table.shape == (423624, 31) and table.dtype == np.int32 and table.max() == 423623
    for number in (0, 5, 1000, 400000):
        others = set(SPACE.index(SPACE.neighbors(cells.archs[number])).tolist()) - {number}
        assert set(table[number].tolist()) - {-1} == others


def test_index_and_archs_are_inverse_and_wrong_numbers_are_refused():
    archs = SPACE.sample(np.random.default_rng(16), 500)
    again = SPACE.archs(SPACE.index(archs))
    assert (SPACE.keys(again) == SPACE.keys(archs)).all()
    with pytest.raises(InputError, match="0..423623"):
        SPACE.archs([423624])
    with pytest.raises(InputError, match="row 0"):
        SPACE.index(np.zeros((1, 26), np.int8))


def test_naslib_notation_keeps_the_row(cells):
    texts = SPACE.to_strings(cells, notation="naslib")
    assert (SPACE.from_strings(texts, notation="naslib") == cells).all()
    # its codes: input 0, output 1, pooling 2, 1x1 3, 3x3 4
    assert SPACE.to_strings(np.array([[1] + [0] * 20 + [2, 1, 0, 0, 0]]), notation="naslib")[0].endswith(
        "0, 2, 3, 4, 4, 4, 1)"
    )


@pytest.mark.skipif(not TABLE.is_file(), reason="the shared benchmark tables are absent")
def test_real_rows_with_one_key_are_one_network():
    with gzip.open(TABLE, "rt") as file:
        table = json.load(file)["cifar10"]
    texts, params = list(table), np.array([entry["params"] for entry in table.values()])
    archs = SPACE.from_strings(texts, notation="naslib")
    assert len(archs) == 500 and SPACE.is_valid(archs).all()
    _, first, place = np.unique(SPACE.keys(archs), return_index=True, return_inverse=True)
    # where channels do not divide evenly, the remainder goes to the first vertices, so order shows a little
    assert params == pytest.approx(params[first][place], rel=0.01) and len(first) < 500
    assert params.std() > 3
    whole = [k for k, text in enumerate(texts) if text.count(",") == 55]
    assert [texts[k] for k in whole] == SPACE.to_strings(archs[whole], notation="naslib")


@pytest.mark.parametrize(
    "text", ["0110|input,output", "", "01|x", "0100|input,output|x", "0000|input,conv", "0000|input,output"]
)
def test_a_wrong_string_is_named(text):
    with pytest.raises(InputError, match="is no cell"):
        SPACE.from_strings([text])


def test_invalid_parents_and_unknown_kinds_are_refused():
    with pytest.raises(InputError, match="row 1 is no valid"):
        SPACE.mutate(
            np.concatenate([all_cells().archs[:1], np.zeros((1, 26), np.int8)]), np.random.default_rng(0)
        )
    with pytest.raises(InputError, match="trunc_path"):
        SPACE.sample(np.random.default_rng(0), 1, method="trunc_pth")
    cell, rng = all_cells().archs[:1], np.random.default_rng(0)
    for call in (
        lambda: SPACE.neighbors(cell, kind="trunc_path", cutoff=0),
        lambda: SPACE.neighbors(cell, kind="adj", cutoff=5),
        lambda: SPACE.mutate(cell, rng, kind="trunc_adj", cutoff=27),
        lambda: SPACE.mutate(cell, rng, kind="path", cutoff=40),
        lambda: SPACE.sample(rng, 1, cutoff=40),
    ):
        with pytest.raises(InputError, match="a cutoff is 1.."):
            call()
