"""What every algorithm of the table promises, on several spaces."""

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
from sevenfold.nas.spaces.typed import Typed
from sevenfold.seeding import numpy_generator
from sevenfold.tables import locate
from sevenfold.testing.algorithm import (
    CHECKS,
    Candidate,
    budget_is_exact,
    finds_low_losses,
    repeated_losses_are_averaged,
    small_spaces_end,
    state_resumes_exactly,
)
from sevenfold.testing.contract import run_check

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
    "typed": Typed(
        {
            "cell": {"cell": "nb201"},
            "opt": {"choice": ["sgd", "adam"]},
            "momentum": {"float": [0, 1], "when": {"opt": ["sgd"]}},
        }
    ),
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
    if isinstance(space, Listed | Typed) and node["name"] in ("bonas", "neural_predictor"):
        pytest.skip("the space has no graphs")
    return start_trials(node, space, [numpy_generator(seed, "trial", i) for i in range(count)])


def run(node, space, *, budget=60, k=1, count=3, seed=0):
    return run_trials(start(node, space, count, seed), lambda a: losses(space, a), budget=budget, k=k)


def candidate(node, space):
    if isinstance(space, Listed | Typed) and node["name"] in ("bonas", "neural_predictor"):
        pytest.skip("the space has no graphs")
    options = {key: value for key, value in node.items() if key != "name"}
    kind = locate(ALGORITHMS[node["name"]])
    return Candidate(kind, space, options, repeats=bool(node.get("allow_repeats")))


every_check = pytest.mark.parametrize(
    "check", [*CHECKS, repeated_losses_are_averaged], ids=lambda check: check.__name__
)


@every_algorithm
@every_check
def test_algorithms_keep_their_contract(node, check):
    run_check(check, candidate(node, SPACES["nb201"]))


@every_algorithm
@pytest.mark.parametrize("check", [budget_is_exact, state_resumes_exactly], ids=["budget", "state"])
@pytest.mark.parametrize(
    "space", ["classes", pytest.param("darts", marks=pytest.mark.slow), "typed", "listed"]
)
def test_budget_and_state_hold_in_every_kind_of_space(node, space, check):
    run_check(check, candidate(node, SPACES[space]))


@every_algorithm
def test_everything_is_asked_once_and_then_nothing(node):
    run_check(small_spaces_end, candidate(node, SPACES["listed"]))


LEARNING = [node for node in NODES if node["name"] != "random" and not node.get("surrogate")]
CHEAP = [node for node in LEARNING if node["name"] in ("evolution", "local_search")]


@pytest.mark.parametrize("node", CHEAP, ids=name_of)
def test_a_search_minimizes(node):
    run_check(finds_low_losses, candidate(node, SPACES["nb201"]))


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
