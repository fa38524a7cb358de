"""DARTS: size, neighbors, mutation frequencies, paths, notations and the NAS-Bench-301 vector."""

import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from sevenfold.errors import InputError
from sevenfold.nas.encodings.path import trunc_path
from sevenfold.nas.spaces.darts import DARTS
from sevenfold.nas.spaces.darts_notations import NAMES, OPS, TRAINING

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/darts.json").read_text())
TABLE = Path(__file__).resolve().parents[3] / "../shared/data/nas/naslib_zc_nb301.json.gz"
SPACE = DARTS()


def naive_paths(cells):
    """List path numbers by walking back from every node to the inputs; ``cells`` as nested pairs."""
    found = set()
    for c, cell in enumerate(cells):

        def back(node, tail, c=c, cell=cell):
            for source, op in cell[2 * node : 2 * node + 2]:
                ops = [op, *tail]
                if source < 2:
                    number = sum(7**i * (o + 1) for i, o in enumerate(ops))
                    found.add((2 * c + source) * 2801 + number)
                else:
                    back(source - 2, ops)

        for node in range(4):
            back(node, [])
    return sorted(found)


def cells_of(row):
    return np.asarray(row).reshape(2, 8, 2).tolist()


def test_exact_darts_space_size_and_keys_are_a_numbering():
    assert SPACE.size == 180**2 * 7**16 < 2**63
    archs = SPACE.sample(np.random.default_rng(0), 2000)
    keys = SPACE.keys(archs)
    assert (keys >= 0).all() and (keys < SPACE.size).all() and len(set(keys.tolist())) == 2000
    turned = archs.reshape(-1, 2, 4, 2, 2)[:, :, :, ::-1].reshape(-1, 32)
    assert (turned != archs).any(1).all() and (SPACE.keys(turned) == keys).all()
    last = np.array(sum(([p, 6, q, 6] for p, q in [(0, 1), (1, 2), (2, 3), (3, 4)]), []) * 2)[None]
    assert SPACE.keys(last) == [SPACE.size - 1]
    first = np.array([0, 0, 1, 0] * 8)[None]
    assert SPACE.keys(first) == [0]


def test_exact_darts_120_neighbors_symmetric():
    for row in SPACE.sample(np.random.default_rng(1), 20):
        others = SPACE.neighbors(row)
        assert len(others) == 120 and SPACE.is_valid(others).all()
        assert ((others != row).sum(1) == 1).all() and len(np.unique(others, axis=0)) == 120
        assert ((others != row)[:, 1::2].sum(), (others != row)[:, ::2].sum()) == (96, 24)
        keys = SPACE.keys(others)
        assert len(set(keys.tolist()) - set(SPACE.keys(row[None]).tolist())) == 120
        back = [SPACE.keys(row[None])[0] in SPACE.keys(SPACE.neighbors(other)) for other in others[::10]]
        assert all(back)


def test_exact_darts_all_edges_mutate_equally():
    """Regression: the last pair of each cell was never chosen."""
    parents = SPACE.sample(np.random.default_rng(2), 60000)
    children = SPACE.mutate(parents, np.random.default_rng(3))
    assert SPACE.is_valid(children).all()
    changed = (children != parents).reshape(-1, 2, 8, 2)
    assert (changed.sum((1, 2, 3)) <= 1).all()
    operations = changed[..., 1].sum(0).ravel()
    assert chisquare(operations).pvalue > 0.001
    assert operations.sum() / 60000 == pytest.approx(0.5 * 6 / 7, abs=0.01)
    # a predecessor of node k is one of k + 2, of which its own and its sibling's change nothing
    predecessors = changed[..., 0].sum(0)
    expected = 60000 / 32 * np.repeat([0, 1 / 3, 2 / 4, 3 / 5], 2)
    assert (predecessors[:, :2] == 0).all()
    assert chisquare(predecessors[:, 2:].ravel(), np.tile(expected[2:], 2), sum_check=False).pvalue > 0.001


def test_rate_is_the_mean_number_of_edits():
    parents = SPACE.sample(np.random.default_rng(4), 20000)
    one, more = (
        (SPACE.mutate(parents, np.random.default_rng(5), rate=rate) != parents).sum(1).mean()
        for rate in (1, 2.5)
    )
    assert more / one == pytest.approx(2.5, rel=0.06)
    assert (SPACE.mutate(parents, np.random.default_rng(5), rate=0) == parents).all()


def test_sampling_draws_every_choice_evenly():
    pairs = SPACE.sample(np.random.default_rng(6), 30000).reshape(-1, 2, 8, 2)
    assert chisquare(np.bincount(pairs[..., 1].ravel())).pvalue > 0.001
    for node in range(4):
        chosen = pairs[:, 0, 2 * node : 2 * node + 2, 0]
        counts = np.unique(chosen, axis=0, return_counts=True)[1]
        assert len(counts) == (node + 2) * (node + 1) and chisquare(counts).pvalue > 0.001


def test_exact_darts_11204_path_bits_equal_the_naive_walk():
    archs = SPACE.sample(np.random.default_rng(7), 200)
    bits = SPACE.path_bits(archs)
    assert bits.shape == (200, 11204)
    for row, found in zip(archs, bits, strict=True):
        expected = naive_paths(cells_of(row))
        assert np.flatnonzero(found).tolist() == expected and len(expected) <= SPACE.path_slots


def test_the_eighth_edge_is_on_paths():
    """Regression: a loop over seven operations left the last of the eight edges out."""
    archs = SPACE.sample(np.random.default_rng(11), 100)
    for last in (15, 31):
        others = archs.copy()
        others[:, last] = (others[:, last] + 1) % 7
        # all but the few where the same operations are found on another way, too
        assert (SPACE.path_bits(others) != SPACE.path_bits(archs)).any(1).mean() > 0.8


def test_truncation_keeps_short_paths_of_every_block():
    """Regression: the first coordinates alone are paths of one cell and one input."""
    archs = SPACE.sample(np.random.default_rng(8), 300)
    assert trunc_path(SPACE, archs).shape[1] == 228 and trunc_path(SPACE, archs, cutoff=400).shape[1] == 1600
    kept = trunc_path(SPACE, archs).reshape(-1, 4, 57)
    assert kept.any((0, 2)).all()
    for row, bits in zip(archs, kept, strict=True):
        short = [p for p in naive_paths(cells_of(row)) if p % 2801 < 57]
        assert [57 * (p // 2801) + p % 2801 for p in short] == np.flatnonzero(bits).tolist()


def test_golden_genotypes_in_every_notation():
    assert len(GOLDEN) == 10
    for cell in GOLDEN:
        arch = SPACE.from_strings([cell["darts"]])
        assert SPACE.to_strings(arch) == [cell["darts"]]
        assert cells_of(arch[0]) == cell["pairs"]
        assert (
            np.flatnonzero(SPACE.path_bits(arch)[0]).tolist() == cell["paths"] == naive_paths(cell["pairs"])
        )


def test_eight_operations_with_none():
    space, rng = DARTS(none=True), np.random.default_rng(12)
    archs = space.sample(rng, 500)
    assert space.size == 180**2 * 8**16 < 2**63 and (archs[:, 1::2] == 0).any() and archs[:, 1::2].max() == 7
    assert (space.keys(archs) >= 0).all() and len(space.neighbors(archs[0])) == 16 * 7 + 24
    last = np.array(sum(([p, 7, q, 7] for p, q in [(0, 1), (1, 2), (2, 3), (3, 4)]), []) * 2)[None]
    assert space.keys(last) == [space.size - 1]
    assert space.path_bits(archs).shape == (500, 18724) and trunc_path(space, archs).shape == (500, 4 * 73)
    texts = space.to_strings(archs)
    assert "'none'" in texts[0] and (space.from_strings(texts) == archs).all()
    assert space.is_valid(space.mutate(archs, rng)).all()
    for call in (
        lambda: space.config_vectors(archs),
        lambda: space.to_strings(archs, notation="configspace"),
        lambda: SPACE.from_strings([next(text for text in texts if "'none'" in text)]),
    ):
        with pytest.raises(InputError, match="none|Known: darts, naslib"):
            call()


@pytest.mark.parametrize("notation", DARTS.notations)
def test_notations_round_trip(notation):
    archs = SPACE.sample(np.random.default_rng(9), 100)
    again = SPACE.from_strings(SPACE.to_strings(archs, notation=notation), notation=notation)
    assert (SPACE.keys(again) == SPACE.keys(archs)).all()
    assert notation == "configspace" or (again == archs).all()


def test_a_published_genotype():
    """The second-order cell of the DARTS paper, written with lists and with a range."""
    cell = (
        "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
        "('sep_conv_3x3', 1), "
        "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
        "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
        "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), "
        "('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
    )
    arch = SPACE.from_strings([cell])
    assert SPACE.to_strings(arch, notation="naslib") == [
        "(((0, 3), (1, 3), (0, 3), (1, 3), (1, 3), (0, 2), (0, 2), (2, 5)), "
        "((0, 0), (1, 0), (2, 2), (1, 0), (0, 0), (2, 2), (2, 2), (1, 0)))"
    ]
    config = json.loads(SPACE.to_strings(arch, notation="configspace")[0])
    darts = "NetworkSelectorDatasetInfo:darts:"
    assert (
        config[f"{darts}inputs_node_normal_5"] == "0_2" and config[f"{darts}edge_normal_11"] == "dil_conv_3x3"
    )
    assert len(config) == 16 + 6


@pytest.mark.skipif(not TABLE.is_file(), reason="the shared benchmark tables are absent")
def test_real_keys_of_the_space_are_read():
    with gzip.open(TABLE, "rt") as file:
        texts = list(json.load(file)["cifar10"])
    archs = SPACE.from_strings(texts, notation="naslib")
    assert archs.shape == (725, 32)
    assert [text.replace("[", "(").replace("]", ")") for text in texts] == SPACE.to_strings(
        archs, notation="naslib"
    )


def test_config_vector_has_56_numbers_in_order_and_the_inactive_edges_missing():
    assert len(NAMES) == len(set(NAMES)) == 56 and len(TRAINING) == 22
    assert list(NAMES[:32]) == sorted(NAMES[:32]) and list(NAMES[32:]) == sorted(NAMES[32:])
    archs = SPACE.sample(np.random.default_rng(10), 50)
    vectors = SPACE.config_vectors(archs)
    assert vectors.shape == (50, 56) and (np.isnan(vectors).sum(1) == 12).all()
    inputs = {k: ["_".join(map(str, c)) for c in itertools.combinations(range(k), 2)] for k in (3, 4, 5)}
    for text, vector in zip(SPACE.to_strings(archs, notation="configspace"), vectors, strict=True):
        config = json.loads(text)
        for name, value in zip(NAMES, vector, strict=True):
            if "inputs_node" in name:
                assert inputs[int(name[-1])][int(value)] == config[name]
            elif "edge_" in name:
                assert config.get(name) == (None if np.isnan(value) else OPS[int(value)])
            else:
                assert value == TRAINING[name]
    momentum = vectors[:, NAMES.index("OptimizerSelector:sgd:momentum")]
    assert momentum == pytest.approx(np.full(50, 0.8 / 0.89))


@pytest.mark.parametrize(
    ("text", "notation"),
    [
        ("Genotype(normal=[], reduce=[])", "darts"),
        ("Genotype(normal=[('conv', 0)], reduce=[])", "darts"),
        ("((), ())", "naslib"),
        (str((((0, 0), (0, 0)) * 4, ((0, 0), (1, 0)) * 4)), "naslib"),
        ("__import__('os')", "naslib"),
        ("{}", "configspace"),
    ],
)
def test_wrong_texts_are_named(text, notation):
    with pytest.raises(InputError, match="DARTS architecture|operation|predecessors"):
        SPACE.from_strings([text], notation=notation)
