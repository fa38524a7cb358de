"""What every algorithm of the table promises, on several spaces."""

import json
import logging

import numpy as np
import pytest

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.nas.algorithms import ALGORITHMS
from sevenfold.nas.algorithms.run import run_trials, start_trials
from sevenfold.nas.benchmarks.listed import Listed
from sevenfold.nas.spaces.darts import DARTS
from sevenfold.nas.spaces.nb201 import NB201
from sevenfold.seeding import numpy_generator

TINY = {"training": {"epochs": 2}}
GRAPH = {**TINY, "networks": [{"name": "gcn", "layers": 1, "width": 4, "head": 4}]}
PERCEPTRON = [{"name": "mlp", "layers": 1, "width": 4}]
SHORT = {  # networks that take no time, encodings that every space has
    "bananas": {"surrogate": {**TINY, "encoding": "adj_onehot", "networks": PERCEPTRON}},
    "bonas": {"surrogate": GRAPH},
    "dngo": {"surrogate": {**TINY, "width": 4}},
    "neural_predictor": {"surrogate": GRAPH, "budget": 50, "candidates": {"num": 60}},
}
NODES = [{"name": name, **SHORT.get(name, {})} for name in ALGORITHMS] + [
    {"name": "bananas", "preset": "closed_form"},
    {"name": "bananas", "preset": "no_surrogate"},
    {"name": "bananas", "preset": "closed_form", "candidates": {"mode": "mutation_random", "num": 30}},
    {"name": "gp", "preset": "fitted", "surrogate": {"acquisition": {"name": "ei"}}},
    {"name": "evolution", "allow_repeats": True},
    {"name": "local_search", "query_full_nbhd": True},
    {"name": "local_search", "continue_at_min": True, "num_init": 1},
    {"name": "local_search", "use_cached_neighbors": True},
    {"name": "local_search", "query_full_nbhd": True, "use_cached_neighbors": True},
]
SPACES = {
    "nb201": NB201(),
    "classes": NB201(canonical="zero"),
    "darts": DARTS(),
    "listed": Listed(np.array(np.meshgrid(*[np.arange(3)] * 4)).reshape(4, -1).T),
}
WEIGHTS = numpy_generator(0, "test weights").normal(size=(64, 16))


def name_of(node):
    return "-".join(f"{key}={value}" for key, value in node.items() if not isinstance(value, dict))


every_algorithm = pytest.mark.parametrize("node", NODES, ids=name_of)
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())


def losses(space, archs):
    """Return a loss that architectures with the same key have in common."""
    if isinstance(space, NB201):
        archs = space.archs(space.keys(archs))
    mixed = (archs[:, :, None] * WEIGHTS[: space.width]).sum(axis=1)  # BLAS rounds by the number of rows
    return np.sin(mixed).sum(axis=1)


def start(node, space, count=3, seed=0):
    if isinstance(space, Listed) and node["name"] in ("bonas", "neural_predictor"):
        pytest.skip("a list of architectures has no graphs")
    return start_trials(node, space, [numpy_generator(seed, "trial", i) for i in range(count)])


def run(node, space, *, budget=60, k=1, count=3, seed=0):
    return run_trials(start(node, space, count, seed), lambda a: losses(space, a), budget=budget, k=k)


@every_space
@every_algorithm
@pytest.mark.parametrize("k", [1, 7])
def test_the_budget_is_exact_and_nothing_is_asked_twice(node, space, k):
    for trace in run(node, space, budget=50, k=k):
        assert trace.archs.shape == (50, space.width) and space.is_valid(trace.archs).all()
        different = len(np.unique(space.keys(trace.archs)))
        assert different == 50 or node.get("allow_repeats")
        np.testing.assert_array_equal(trace.losses, losses(space, trace.archs))


@every_algorithm
def test_side_by_side_is_one_by_one(node):
    """A batch of trials does what single trials with the same streams do, through ask and tell."""
    space = SPACES["nb201"]
    together = run(node, space, k=4)
    for trial, trace in zip(start(node, space), together, strict=True):
        archs = []
        while len(archs) < 60:
            asked = trial.ask(min(4, 60 - len(archs)))
            trial.tell(asked, losses(space, asked))
            archs += list(asked)
        assert np.array_equal(archs, trace.archs)
    other = run(node, space, k=4, seed=1)
    assert not np.array_equal(other[0].archs, together[0].archs)
    assert np.array_equal(run(node, space, k=4, count=1)[0].archs, together[0].archs)


@every_algorithm
def test_the_order_of_telling_does_not_matter(node):
    space = SPACES["nb201"]
    straight, turned = start(node, space, 2)[0], start(node, space, 1)[0]
    for _ in range(12):
        asked, again = straight.ask(6), turned.ask(6)
        assert np.array_equal(asked, again)
        straight.tell(asked, losses(space, asked))
        for place in np.random.default_rng(0).permutation(len(asked)):
            turned.tell(asked[place : place + 1], losses(space, asked[place : place + 1]))


@every_space
@every_algorithm
def test_a_trial_goes_on_from_its_state(node, space):
    whole = start(node, space, 1)[0]
    for rounds in range(25):
        asked = whole.ask(3)
        if rounds == 14:  # after an ask, with answers outstanding
            state = json.loads(json.dumps(whole.state_dict()))
            resumed = start(node, space, 1, seed=9)[0]
            resumed.load_state_dict(state)
        if rounds > 14:
            assert np.array_equal(asked, resumed.ask(3))
        for trial in [whole, resumed] if rounds >= 14 else [whole]:
            trial.tell(asked, losses(space, asked))
    assert json.dumps(whole.state_dict()) == json.dumps(resumed.state_dict())


@every_algorithm
def test_everything_is_asked_once_and_then_nothing(node):
    space = SPACES["listed"]  # 81 architectures
    traces = run(node, space, budget=100, k=5, count=2)
    for trace in traces:
        different = len(np.unique(space.keys(trace.archs)))
        assert (
            (different <= 81 and len(trace.archs) == 100)
            if node.get("allow_repeats")
            else (different == len(trace.archs) == 81)
        )


@every_algorithm
def test_foreign_evaluations_warm_a_search_up(node):
    space = SPACES["nb201"]
    archs = space.sample(np.random.default_rng(3), 40)
    trial = start(node, space, 1)[0]
    trial.tell(archs, losses(space, archs))
    known = set(space.keys(archs).tolist())
    told = 0
    for _ in range(10):
        asked = trial.ask(5)
        assert len(asked) and (node.get("allow_repeats") or not known & set(space.keys(asked).tolist()))
        trial.tell(asked, losses(space, asked))
        told += len(asked)
    trial.ask(1)
    assert len(trial.archs) == len(known) + told
    if node["name"] in ("evolution", "bananas"):
        assert set(space.keys(np.stack(trial.archs[:40])).tolist()) == known  # no random ones were needed


@every_algorithm
def test_asking_on_without_answers_and_failed_evaluations(node):
    space = SPACES["nb201"]
    trial = start(node, space, 1)[0]
    asks = [trial.ask(4) for _ in range(6)]
    rows = np.concatenate(asks)
    assert all(map(len, asks)) and len(np.unique(space.keys(rows))) == len(rows)
    trial.tell(rows, np.full(len(rows), np.nan))
    asked = trial.ask(3)
    trial.tell(asked, [np.nan] * len(asked))
    assert len(trial.ask(3)) and all(loss == np.inf for loss in trial.losses)


def test_mistakes_are_explained():
    space = SPACES["nb201"]
    for node, message in [
        ({"name": "evolutoin"}, "Did you mean 'evolution'"),
        ({"name": "evolution", "mutaton": "adj"}, r"a\.mutaton: unknown key"),
        ({"name": "evolution", "mutation": "swap"}, r"a\.mutation: mutation 'swap' is not known"),
        ({"name": "evolution", "population": 0}, r"a\.population: expected a number from 1"),
        ({"name": "local_search", "neighborhood": "near"}, r"a\.neighborhood"),
        ({"name": "local_search", "continue_at_min": True, "use_cached_neighbors": True}, "use_cached"),
        ({"name": "random", "sampling": "adj"}, r"a\.sampling"),
        ({"name": "bananas", "num_init": 0}, r"a\.num_init: expected a number from 1"),
        ({"name": "bananas", "candidates": {"num": 0}}, r"a\.candidates\.num: expected a number from 1"),
        ({"name": "bananas", "surrogate": {"name": "oracle"}}, r"surrogate\.name: 'oracle' is not known"),
        (
            {"name": "bananas", "preset": "pape"},
            r"a\.preset: preset 'pape' is not known. Did you mean 'paper'",
        ),
        (
            {"name": "bananas", "surrogate": {"encoding": "pth"}},
            r"a\.surrogate\.encoding: 'pth' is not known",
        ),
        (
            {"name": "bananas", "surrogate": {"cutoff": 156}},
            r"a\.surrogate\.encoding: .*path cutoff must be 1..155",
        ),
        ({"name": "bananas", "surrogate": {"members": 0}}, r"a\.surrogate\.members"),
        ({"name": "gp", "surrogate": {"distance": "far"}}, r"a\.surrogate\.distance: 'far' is not known"),
        ({"name": "gp", "surrogate": {"acquisition": {"name": "ts"}}}, "'ts' needs an ensemble of networks"),
        ({"name": "gp", "surrogate": {"scales": [0.0]}}, r"a\.surrogate\.scales\[0\]: expected"),
        ({"name": "neural_predictor", "budget": 5}, r"a\.budget: expected a number from 9"),
    ]:
        with pytest.raises(ConfigError, match=message):
            start_trials(node, space, [np.random.default_rng(0)], "a")
    trial = start({"name": "random"}, space, 1)[0]
    with pytest.raises(InputError, match="at least one architecture, not 0"):
        trial.ask(0)
    with pytest.raises(InputError, match="5 architectures need as many losses"):
        trial.tell(trial.ask(5), [1.0])
    with pytest.raises(InputError, match="budget and k"):
        run_trials([trial], lambda a: a[:, 0], budget=0, k=1)


PICK = {"name": "bananas", "preset": "no_surrogate"}


def test_a_search_that_runs_out_of_mutants_says_so(caplog):
    """Every mutant of the only parent is known: neighbors of neighbors, then random ones follow."""
    space = SPACES["nb201"]
    trial = start({**PICK, "candidates": {"parents": 1, "rate": 1e-9}}, space, 1)[0]
    asked = trial.ask(10)
    trial.tell(asked, losses(space, asked))
    with caplog.at_level(logging.INFO, "sevenfold"):
        asked = trial.ask(10)
    best = trial.archs[trial.best(1)[0]]
    assert "mutation found 0 new architectures of 10; taking neighbors" in caplog.text
    assert ((asked != best).sum(axis=1) == 1).all() and len(asked) == 10
