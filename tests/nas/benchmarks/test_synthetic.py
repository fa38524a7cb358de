"""Benchmarks that are computed."""

import numpy as np
import pytest

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.benchmarks.ledger import Ledger
from sevenfold.nas.benchmarks.synthetic_nb101 import features, normal
from sevenfold.nas.spaces.nb101 import NB101
from sevenfold.nas.spaces.nb101_graph import SOURCES, TARGETS

FINAL = {"epoch": "last", "seed": "mean"}


def climb(losses: np.ndarray, table: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Hill-climb from random cells until the optimum is evaluated; return queries spent and restarts."""
    best, seen, starts = int(losses.argmin()), set(), 0
    while True:
        cell, starts = int(rng.integers(len(losses))), starts + 1
        seen.add(cell)
        while best not in seen:
            around = table[cell]
            seen.update(around[: np.argmax(around == best) + 1 if best in around else None].tolist())
            lowest = int(around[losses[around].argmin()])
            if losses[lowest] >= losses[cell]:
                break
            cell = lowest
        if best in seen:
            return len(seen), starts


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_synthetic_nb201_is_as_hard_as_it_should_be(stream):
    bench = load_benchmark("synthetic-nb201", stream=stream)
    losses = bench.query(bench.archs, split="val", metric="loss", **FINAL)
    rng = np.random.default_rng(0)
    queries = np.mean([climb(losses, bench.space.neighbor_table(), rng)[0] for _ in range(60)])
    assert 50 <= queries <= 300
    best = bench.optimum(split="val", metric="loss", **FINAL)
    assert len(best.archs) == 1 and best.value == losses.min() == pytest.approx(6, abs=1)
    # a linear model of 30 indicators finds the optimum early: far better than random search can
    one_hot = (bench.archs[:, :, None] == np.arange(5)).reshape(-1, 30).astype(float)
    chosen = rng.permutation(15625)[:100]
    ranks = np.argsort(np.argsort(losses[chosen]))
    system = one_hot[chosen].T @ one_hot[chosen] + np.eye(30)
    predicted = one_hot @ np.linalg.solve(system, one_hot[chosen].T @ ranks)
    place = np.argsort(np.argsort(predicted))[losses.argmin()]
    assert place < 15625 / 2 / 3


def test_synthetic_nb201_has_curves_chance_level_and_agreeing_splits():
    bench = load_benchmark("synthetic-nb201")
    curves = bench.curves(bench.archs, split="val", metric="acc", seed="all")
    assert curves.values.shape == (15625, 3, 20) and curves.counts()["missing"] == 0
    dead = ~np.any([(bench.archs[:, p] != 0).all(axis=1) for p in ([3], [0, 4], [1, 5], [0, 2, 5])], axis=0)
    assert 0.01 < dead.mean() < 0.2 and (curves.values[dead] == 10).all()
    assert (curves.values[~dead, :, -1].mean(axis=1) >= 9.5).all()
    val, test = (bench.query(bench.archs, split=split, metric="acc", **FINAL) for split in ("val", "test"))
    assert np.corrcoef(val, test)[0, 1] > 0.99 and np.abs(val - test).max() > 0.1
    assert bench.query(bench.archs[:5], split="val", metric="loss", **FINAL) == pytest.approx(
        100 - val[:5], abs=1e-5
    )
    again = load_benchmark("synthetic-nb201")
    assert np.array_equal(again.query(bench.archs, split="val", metric="acc", **FINAL), val)
    cost = bench.cost(["|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"], epoch=5, seed=0)
    assert cost == [20]


def test_uniform_nb201_has_the_theory_of_independent_losses():
    bench = load_benchmark("uniform-nb201")
    losses = bench.query(bench.archs, split="val", metric="loss", epoch=1, seed=0)
    assert abs(np.mean(losses) - 0.5) < 0.01 and 0 <= losses.min() < losses.max() <= 1
    table = bench.space.neighbor_table()
    minima = (losses[:, None] < losses[table]).all(axis=1).sum()
    assert abs(minima - 15625 / 25) < 5 * 15.4  # the deviation between tables, measured over 400
    assert len(np.unique(losses)) == 15625


def permuted(row: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Rename the inner vertices of a cell that has no edges between them."""
    matrix = np.zeros((7, 7), int)
    matrix[SOURCES, TARGETS] = row[:21]
    full = np.r_[0, order + 1, 6]
    return np.r_[matrix[np.ix_(full, full)][SOURCES, TARGETS], row[21:][order]].astype(np.int8)


def test_synthetic_nb101_has_one_value_for_isomorphic_cells():
    bench = load_benchmark("synthetic-nb101")
    matrix = np.zeros((7, 7), int)
    matrix[0, 1:4] = matrix[1:4, 6] = 1  # three branches, two idle vertices
    row = np.r_[matrix[SOURCES, TARGETS], [0, 1, 2, 0, 0]].astype(np.int8)
    rng = np.random.default_rng(0)
    forms = np.stack([row] + [permuted(row, rng.permutation(5)) for _ in range(8)])
    forms[1, 24:] = 2  # operations of idle vertices do not matter; here they follow from the permutation
    forms[1, :24] = row[:24]
    ask = {"split": "val", "metric": "acc", "epoch": 108, "seed": "mean"}
    assert len(np.unique(forms, axis=0)) > 5 and len(np.unique(bench.query(forms, **ask))) == 1
    ledger = Ledger(bench, split="val", metric="acc", seed=0)
    ledger.query(forms, epoch=108)
    assert (ledger.spent, ledger.duplicates, ledger.seconds) == (1, 8, 4.0 * 5 * 108)


def test_synthetic_nb101_values_follow_the_formula():
    bench, space = load_benchmark("synthetic-nb101"), NB101()
    cells = space.sample(np.random.default_rng(1), 400)
    counts, depth = features(cells)
    strings = space.to_strings(cells)
    for text, count, length in zip(strings, counts, depth, strict=True):
        bits, _, names = text.partition("|")
        names = names.split(",")
        assert count.tolist() == [
            names.count(n) for n in ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
        ]
        n = len(names)
        longest = [0] * n
        for target in range(1, n):
            longest[target] = max(longest[s] + 1 for s in range(target) if bits[s * n + target] == "1")
        assert longest[-1] == length
    curves = bench.curves(cells, split="val", metric="acc", seed="all")
    clean = 88 + counts @ [1.2, 0.5, -0.4] + 0.6 * depth - 0.08 * depth**2
    rest = curves.values - clean[:, None, None] + [30, 10, 3, 0]
    assert abs(rest.mean()) < 0.1 and rest.mean(axis=(1, 2)).std() == pytest.approx(0.4, abs=0.08)
    assert (rest - rest.mean(axis=(1, 2), keepdims=True)).std() == pytest.approx(0.2, abs=0.03)
    one = bench.query(cells[:9], split="val", metric="acc", epoch=12, seed=1)
    assert np.array_equal(one, curves.values[:9, 1, 1])
    test = bench.query(cells[:9], split="test", metric="acc", epoch=12, seed=1)
    assert (test != one).all() and np.abs(test - one).max() < 2
    with pytest.raises(InputError, match="no valid NB101 cell"):
        bench.query(np.zeros((1, 26), np.int8), split="val", metric="acc", epoch=12, seed=1)
    with pytest.raises(InputError, match="no list of cells"):
        bench.optimum(split="val", metric="acc", epoch=12, seed=1)


def test_hashed_normal_numbers_are_normal():
    keys = np.arange(20000, dtype=np.uint64)
    values = normal(keys, 0, 3)
    assert abs(values.mean()) < 0.03 and values.std() == pytest.approx(1, abs=0.02)
    assert abs(np.corrcoef(values, normal(keys, 0, 4))[0, 1]) < 0.03
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.03
