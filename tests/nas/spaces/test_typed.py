"""Spaces of one's own parameters."""

import json

import numpy as np
import pytest

from sevenfold.config import ConfigError, build
from sevenfold.errors import InputError
from sevenfold.nas import Bananas, Typed, run_trials, start_trials
from sevenfold.nas.algorithms.bayesian import GPBayesOpt
from sevenfold.nas.encodings import distance
from sevenfold.nas.encodings.adjacency import adj, adj_onehot, from_adj, from_adj_onehot
from sevenfold.nas.encodings.path import path, trunc_path
from sevenfold.nas.spaces import SPACES
from sevenfold.nas.spaces.nb201 import NB201

PRODUCT = {
    "cell": {"cell": "nb201"},
    "opt": {"choice": ["sgd", "adam"]},
    "mom": {"float": [0.0, 0.99], "when": {"opt": ["sgd"]}},
    "lr": {"float": [1e-4, 1.0], "log": True},
    "batch": {"int": [16, 512], "log": True},
    "width": {"ordinal": [4, 8, 16]},
    "aug": {"choice": [False, True]},
    "blocks": {"repeat": [1, 4], "of": {"kernel": {"choice": [3, 5]}, "expand": {"int": [1, 6]}}},
}
NESTED = {
    "a": {"choice": ["x", "y"]},
    "b": {"ordinal": [1, 2, 3], "when": {"a": "y"}},
    "c": {"float": [0, 1], "when": {"b": [2, 3]}},
    "d": {"cell": "nb201", "when": {"a": ["x"]}},
}


@pytest.fixture(scope="module")
def product():
    return Typed(PRODUCT, forbid=[{"opt": "adam", "width": 16}])


@pytest.fixture(scope="module")
def nested():
    return Typed(NESTED)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("n", [1000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_values_and_rows_are_inverses(product, n):
    rows = product.sample(rng(), n)
    for row in rows:
        assert (product.row(product.values(row)) == row).all()
    again = product.from_strings(product.to_strings(rows[:200]))
    assert (again == rows[:200]).all()


def test_keys_are_unique_exactly_when_rows_are(product, nested):
    wide = Typed({f"x{i}": {"float": [0, 1]} for i in range(9)})  # 2^90 rows: keys are hashes
    for space in (product, nested, wide):
        rows = space.sample(rng(), 20_000)
        rows = np.concatenate([rows, rows[:50]])
        keys = space.keys(rows)
        assert len(np.unique(keys)) == len(np.unique(rows, axis=0))
        assert (keys[-50:] == keys[:50]).all()


def test_forbidden_and_inactive_codes_do_not_occur(product, nested):
    assert product.is_valid(rows := product.mutate(product.sample(rng(), 3000), rng(1))).all()
    values = [product.values(row) for row in rows]
    assert not any(v["opt"] == "adam" and v["width"] == 16 for v in values)
    assert all(("mom" in v) == (v["opt"] == "sgd") for v in values)
    assert {len(v["blocks"]) for v in values} == {1, 2, 3, 4}
    for row in nested.mutate(nested.sample(rng(), 2000), rng(1)):
        v = nested.values(row)
        assert ("b" in v) == (v["a"] == "y") != ("d" in v)
        assert ("c" in v) == (v.get("b", 1) > 1)


def test_samples_are_uniform_over_values():
    space = Typed({"c": {"choice": ["a", "b", "c"]}, "o": {"ordinal": [4, 8, 16]}, "i": {"int": [1, 6]}})
    rows = space.sample(rng(), 30_000)
    for column, levels in enumerate((3, 3, 6)):
        share = np.bincount(rows[:, column], minlength=levels) / len(rows)
        assert abs(share - 1 / levels).max() < 5 * np.sqrt(1 / levels / len(rows))


def test_a_mutation_at_rate_one_changes_as_many_as_the_formula_says():
    # Seven with probability 1/7 each and one where none was chosen: 1 + (6/7)^7 on average.
    space = Typed({f"x{i}": {"float": [0, 1]} for i in range(7)})
    rows = space.sample(rng(), 40_000)
    changed = (space.mutate(rows, rng(1)) != rows).sum(axis=1)
    assert changed.min() == 1
    assert changed.mean() == pytest.approx(1 + (6 / 7) ** 7, abs=0.02)


def test_a_number_moves_as_a_reflected_normal_step_does():
    space = Typed({"x": {"float": [0, 1]}})
    rows = np.full((200_000, 1), 512, np.int32)
    moved = space.mutate(rows, rng())[:, 0] / 1024 - 0.5
    # Half the steps have standard deviation .2, half .05; .5 is 2.5 of the greater away from the mirrors.
    steps = np.where(rng(5).random(200_000) < 0.5, 0.2, 0.05) * rng(6).standard_normal(200_000)
    expected = 1 - np.abs(1 - (0.5 + steps) % 2) - 0.5
    assert moved.std() == pytest.approx(expected.std(), rel=0.01)
    assert (np.abs(moved) > 0.1).mean() == pytest.approx((np.abs(expected) > 0.1).mean(), abs=0.01)


def test_neighbors_never_contain_the_row_and_are_symmetric_for_codes(product):
    space = Typed({key: PRODUCT[key] for key in ("cell", "opt", "width", "aug")})
    for row in space.sample(rng(), 20):
        for other in space.neighbors(row):
            assert (space.neighbors(other) == row).all(axis=1).any()
    for row in product.sample(rng(), 50):
        found = product.neighbors(row)
        assert product.is_valid(found).all()
        assert (found != row).any(axis=1).all()
        assert len(np.unique(found, axis=0)) == len(found)


def test_numbers_have_neighbors_near_and_far():
    space = Typed({"x": {"float": [0, 1]}, "k": {"int": [1, 3]}})
    found = space.neighbors(space.row({"x": 0.5, "k": 2}))
    xs = sorted(space.values(row)["x"] for row in found if space.values(row)["k"] == 2)
    assert xs == [0.25, 0.4375, 0.484375, 0.515625, 0.5625, 0.75]
    assert sorted(space.values(row)["k"] for row in found if space.values(row)["x"] == 0.5) == [1, 3]


def test_what_becomes_active_takes_its_middle_in_a_neighbor():
    space = Typed({"opt": PRODUCT["opt"], "mom": PRODUCT["mom"]})
    (other,) = space.neighbors(space.row({"opt": "adam"}))
    assert space.values(other) == {"opt": "sgd", "mom": 0.495}


def test_scales_and_values():
    space = Typed(PRODUCT)
    lrs = [p.parameter for p in space.entries if p.name == "lr"][0].values
    assert len(lrs) == 1025 and lrs[0] == 1e-4 and lrs[-1] == 1.0
    assert np.allclose(np.diff(np.log(lrs)), np.log(1e4) / 1024)
    assert [p.parameter for p in space.entries if p.name == "batch"][0].values == list(range(16, 513))
    big = Typed({"n": {"int": [1, 10**6], "log": True}}).entries[0].parameter
    assert big.values[:3] == [1, 2, 3] and big.values[-1] == 10**6 and len(set(big.values)) == len(big.values)


def test_encodings_follow_the_definitions():
    space = Typed(
        {
            "opt": PRODUCT["opt"],
            "mom": {"float": [0, 1], "when": {"opt": ["sgd"]}},
            "w": {"ordinal": [4, 8, 16]},
        }
    )
    rows = np.stack([space.row({"opt": "sgd", "mom": 0.375, "w": 8}), space.row({"opt": "adam", "w": 16})])
    assert adj(space, rows).tolist() == [[0, 0.375, 0.5], [1, 0, 1]]
    assert adj_onehot(space, rows).tolist() == [
        [1, 0, *(0, 0.5, 0.5, 0, 0), 0, 1, 0],
        [0, 1, *(0, 0, 0, 0, 0), 0, 0, 1],
    ]
    # 1 for the optimizers, 1 for active against inactive, 2 |1/2 - 1| for the widths.
    assert distance.adj(space, rows, rows).tolist() == [[0, 3], [3, 0]]


def test_a_conditional_choice_has_a_level_for_inactive():
    space = Typed({"a": {"choice": ["x", "y"]}, "b": {"choice": ["p", "q"], "when": {"a": ["y"]}}})
    rows = np.stack([space.row({"a": "x"}), space.row({"a": "y", "b": "q"})])
    assert adj_onehot(space, rows).tolist() == [[1, 0, 0, 0, 1], [0, 1, 0, 1, 0]]


def test_encodings_lead_back(product, nested):
    for space in (product, nested):
        rows = space.sample(rng(), 300)
        assert (from_adj(space, adj(space, rows)) == rows).all()
        assert (from_adj_onehot(space, adj_onehot(space, rows)) == rows).all()


def test_a_lone_cell_is_encoded_and_compared_as_its_space(product):
    own, alone = NB201(), Typed({"cell": {"cell": "nb201"}})
    rows = own.sample(rng(), 40)
    for encode in (adj, adj_onehot, path, trunc_path):
        assert (encode(alone, rows) == encode(own, rows)).all()
    assert (distance.adj(alone, rows, rows) == distance.adj(own, rows, rows)).all()
    assert path(product, product.sample(rng(), 4)).shape[1] > path(own, rows).shape[1]


def test_distances_are_symmetric_and_zero_for_equals(nested):
    rows = nested.sample(rng(), 60)
    found = distance.adj(nested, rows, rows)
    assert (found == found.T).all() and not np.diag(found).any()
    assert found[nested.keys(rows)[:, None] != nested.keys(rows)].min() > 0


WRONG = {
    "parameters.x": {"x": {"flaot": [0, 1]}},
    "parameters.x.float": {"x": {"float": [1, 1]}},
    "parameters.x.log": {"x": {"float": [0, 1], "log": True}},
    "parameters.x.choice": {"x": {"choice": []}},
    "parameters.x.int": {"x": {"int": [0.5, 3]}},
    "parameters.x.when.y": {"x": {"float": [0, 1], "when": {"y": 1}}, "y": {"choice": [1, 2]}},
    "parameters.x.when.x": {"x": {"float": [0, 1], "when": {"x": 1}}},
    "parameters.x.when.c": {"c": {"choice": [1, 2]}, "x": {"float": [0, 1], "when": {"c": 3}}},
    "parameters.x.steps": {"x": {"float": [0, 1], "steps": 3}},
    "parameters.x.cell.name": {"x": {"cell": "nb202"}},
    "parameters.x.of": {"x": {"repeat": [1, 2]}},
    "parameters.x.0.k.choice": {"x": {"repeat": [1, 2], "of": {"k": {"choice": []}}}},
    "parameters": {},
}


@pytest.mark.parametrize("key", WRONG)
def test_mistakes_are_named_by_their_key(key):
    with pytest.raises(ConfigError) as caught:
        build(SPACES, {"name": "typed", "parameters": WRONG[key]}, "space")
    assert caught.value.key == f"space.{key}"


@pytest.mark.parametrize(
    ("forbid", "key"),
    [([{"opt": "rmsprop"}], "forbid.0.opt"), ([{"otp": 1}], "forbid.0.otp"), ([{}], "forbid.0")],
)
def test_wrong_combinations_are_named(forbid, key):
    with pytest.raises(ConfigError) as caught:
        Typed(PRODUCT, forbid=forbid)
    assert caught.value.key == key


def test_a_space_without_an_allowed_row_is_refused():
    with pytest.raises(ConfigError, match="leaves none"):
        Typed({"a": {"choice": [1, 2]}}, forbid=[{"a": 1}, {"a": 2}])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"opt": "adam", "mom": 0.5}, "'mom' is inactive"),
        ({"opt": "sgd"}, "'mom' is missing"),
        ({"opt": "sgd", "mom": 2.0}, "a number from 0.0 to 0.99"),
        ({"opt": "sgd", "mon": 0.5}, "'mon' is not known"),
        ({"opt": True, "mom": 0.5}, "expected one of"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(InputError, match=message):
        Typed({"opt": PRODUCT["opt"], "mom": PRODUCT["mom"]}).row(values)


def test_default_presets_follow_the_space():
    numbers, cells = Typed({"x": {"float": [0, 1]}}), Typed(PRODUCT)
    assert Bananas(numbers, rng()).preset_name == GPBayesOpt(numbers, rng()).preset_name == "mixed"
    assert Bananas(cells, rng()).preset_name == GPBayesOpt(NB201(), rng()).preset_name == "paper"


def bowl(space):
    """Return a smooth loss of a float, a choice and a conditional; its minimum is 0."""

    def loss(rows):
        found = []
        for row in rows:
            v = space.values(row)
            found.append((v["x"] - 0.7) ** 2 + (0.2 if v["c"] == "b" else (v["y"] - 0.2) ** 2))
        return np.array(found)

    return loss


@pytest.mark.parametrize(
    "node",
    [
        {"name": "bananas"},
        {"name": "gp"},
        {"name": "local_search", "continue_at_min": True},
        {"name": "evolution"},
        {"name": "bananas", "preset": "closed_form"},
    ],
    ids=lambda node: "-".join(map(str, node.values())),
)
def test_searches_beat_random_ones_on_a_mixed_space(node):
    space = Typed(
        {"x": {"float": [0, 1]}, "c": {"choice": ["a", "b"]}, "y": {"float": [0, 1], "when": {"c": "a"}}}
    )

    def best(node, trials=20):
        traces = run_trials(
            start_trials(node, space, [rng(i) for i in range(trials)]), bowl(space), budget=60
        )
        assert all(len(np.unique(space.keys(trace.archs))) == 60 for trace in traces)
        return np.array([trace.losses.min() for trace in traces])

    gain = best({"name": "random"}) - best(node)
    # The mean of 20 paired differences lies 4 of its standard errors above 0.
    assert gain.mean() > 4 * gain.std(ddof=1) / np.sqrt(len(gain))


def test_rows_survive_json(product):
    rows = product.sample(rng(), 20)
    texts = json.dumps([product.values(row) for row in rows])
    assert (np.stack([product.row(values) for values in json.loads(texts)]) == rows).all()
