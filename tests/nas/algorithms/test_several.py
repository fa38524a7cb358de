"""Searches of several losses: the order, the picks, what is refused, and figures on measured devices."""

from pathlib import Path

import numpy as np
import pytest

from sevenfold.errors import InputError
from sevenfold.evidence import paired
from sevenfold.nas.algorithms import ALGORITHMS
from sevenfold.nas.algorithms.run import run_trials, start_trials
from sevenfold.nas.algorithms.several import REFERENCE, widen
from sevenfold.nas.pareto import crowding, front, hypervolume, improvement, ranks
from sevenfold.nas.spaces.nb201 import NB201

SPACE = NB201()
DATA = Path(__file__).parents[4] / "shared/data/nas"
NODES = {
    "evolution": {"name": "evolution"},
    "local_search": {"name": "local_search"},
    "bananas": {"name": "bananas", "preset": "closed_form"},
    "gp": {"name": "gp", "preset": "fitted"},
}


def streams(count, seed=0):
    return [np.random.default_rng((seed, trial)) for trial in range(count)]


def losses(archs):
    """Two smooth losses that want different operations."""
    archs = np.asarray(archs, float)
    first = ((archs - np.arange(6) / 2) ** 2).sum(1)
    second = ((archs - np.arange(6)[::-1] / 2) ** 2).sum(1) + 0.5 * archs[:, 0]
    return np.stack([first, second], 1)


@pytest.mark.parametrize("name", NODES)
def test_one_loss_in_a_column_gives_the_bits_of_one_loss(name):
    one = run_trials(start_trials(NODES[name], SPACE, streams(2)), lambda a: losses(a)[:, 0], budget=40)
    two = run_trials(start_trials(NODES[name], SPACE, streams(2)), lambda a: losses(a)[:, :1], budget=40)
    assert all(np.array_equal(a.archs, b.archs) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("name", NODES)
def test_fronts_are_wider_than_those_of_random_search(name):
    volumes = {}
    for node in ({"name": "random"}, NODES[name]):
        traces = run_trials(start_trials(node, SPACE, streams(12)), losses, budget=80)
        volumes[node["name"]] = [-hypervolume(trace.losses, [60, 60]) for trace in traces]
    result = paired(volumes[NODES[name]["name"]], volumes["random"])
    assert result.p < 0.01 and result.difference < 0


def test_the_order_is_by_rank_then_crowding_and_failures_come_last():
    (search,) = start_trials({"name": "evolution"}, SPACE, streams(1))
    archs = SPACE.archs(
        np.sort(np.random.default_rng(0).permutation(15625)[:30])
    )  # by key, as unasked ones are
    values = losses(archs)
    values[3], values[7, 1] = np.nan, np.inf
    search.tell(archs, values)
    search.ask(1)
    known = np.delete(np.arange(30), [3, 7])
    rank = ranks(values[known])
    order = []
    for level in range(rank.max() + 1):
        members = known[rank == level]
        gap = crowding(values[members])
        order += [place for _, place in sorted(zip(-gap, members, strict=True), key=lambda pair: pair[0])]
    assert search.best(28) == order
    assert search.losses[3] == search.losses[7] == np.inf
    assert search.front() == set(known[front(values[known])])


@pytest.mark.parametrize("name", NODES)
def test_a_trial_continues_exactly_from_its_state(name):
    (whole,) = start_trials(NODES[name], SPACE, streams(1))
    for _ in range(4):
        archs = whole.ask(10)
        whole.tell(archs, losses(archs))
    (taken,) = start_trials(NODES[name], SPACE, streams(1, seed=9))
    taken.load_state_dict(whole.state_dict())
    for _ in range(2):
        one, two = whole.ask(5), taken.ask(5)
        assert np.array_equal(one, two)
        whole.tell(one, losses(one))
        taken.tell(two, losses(two))


def test_repeats_are_averaged_loss_by_loss():
    (search,) = start_trials({"name": "random"}, SPACE, streams(1))
    archs = SPACE.archs(np.arange(2))
    for values in ([[1.0, 5.0], [2.0, 2.0]], [[3.0, 1.0], [np.nan, 2.0]]):
        search.tell(archs, values)
    search.ask(1)
    assert search.vectors == [[2.0, 3.0], [2.0, 2.0]] and search.counts == [2, 1]


def test_without_spread_the_pick_is_the_greatest_gain_of_volume():
    random = np.random.default_rng(1)
    points, mean = random.normal(size=(20, 2)), random.normal(size=(40, 2))
    picks = widen(points, mean, np.full((40, 2), 1e-12), 3, np.random.default_rng(0))
    edge = points
    for pick in picks:
        gains = improvement(edge, mean, [REFERENCE] * 2)
        assert gains[pick] == pytest.approx(gains.max(), abs=1e-9)
        edge = np.vstack([edge, mean[pick]])
    assert len(set(picks.tolist())) == 3
    assert len(widen(points, mean[:2], np.ones((2, 2)), 5, np.random.default_rng(0))) == 2


def test_without_spread_three_losses_pick_from_the_front():
    random = np.random.default_rng(2)
    mean = random.normal(size=(60, 3))
    for seed in range(20):
        (pick,) = widen(mean[:5], mean, np.full((60, 3), 1e-12), 1, np.random.default_rng(seed))
        assert front(mean)[pick]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, -np.inf], [1.0, 2.0]], "-inf"),
        ([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], "the first had 2"),
        ([1.0, 2.0], "1 losses of an architecture, where the first had 2"),
        ([[[1.0]], [[1.0]]], "as many losses"),
    ],
)
def test_losses_of_another_kind_are_refused(values, message):
    (search,) = start_trials({"name": "random"}, SPACE, streams(1))
    search.tell(SPACE.archs([5]), [[1.0, 2.0]])
    with pytest.raises(InputError, match=message):
        search.tell(SPACE.archs([0, 1]), values)


def test_an_algorithm_of_one_loss_says_so():
    (search,) = start_trials({"name": "reinforce"}, SPACE, streams(1))
    with pytest.raises(InputError, match="minimizes one loss, got 2"):
        search.tell(SPACE.archs([0]), [[1.0, 2.0]])
    (trace,) = run_trials(start_trials({"name": "random"}, SPACE, streams(1)), losses, budget=5)
    with pytest.raises(InputError, match="no incumbent"):
        trace.incumbents()
    assert "reinforce" in ALGORITHMS


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the tables of measured devices are not here")
@pytest.mark.parametrize(
    ("dataset", "device", "size", "bars"),
    [
        ("cifar100", "pixel2", 18, {"bananas": 0.060, "evolution": 0.090}),
        ("cifar10", "1080ti_1", 30, {"bananas": 0.030, "evolution": 0.070}),
    ],
)
def test_accuracy_and_latency_reach_the_stated_regrets(dataset, device, size, bars):
    with (
        np.load(DATA / "nb201_val_seeds.npz") as errors,
        np.load(DATA / "nb201_latency_27_devices.npz") as times,
    ):
        values = 100 - np.nanmean(errors[f"{dataset}_val_ep200_seeds"], 1)
        table = np.stack([values, times[f"latency_ms_{device}"]], 1)
    reference = np.percentile(table, 90, axis=0)
    best = hypervolume(table, reference)
    assert len(np.unique(table[front(table)], axis=0)) == size
    for name, bar in bars.items():
        traces = run_trials(
            start_trials(NODES[name], SPACE, streams(20)), lambda a: table[SPACE.index(a)], budget=150
        )
        regrets = [1 - hypervolume(trace.losses, reference) / best for trace in traces]
        assert np.mean(regrets) <= bar, (name, np.mean(regrets))
