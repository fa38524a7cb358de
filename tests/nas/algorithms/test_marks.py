"""Statistical marks on the one-seed table of NAS-Bench-201: 400 trials, 150 queries, no model.

Bands are four standard errors of the difference to a new set of 400 trials.
"""

from pathlib import Path

import numpy as np
import pytest

from sevenfold.nas.algorithms.run import run_trials, start_trials
from sevenfold.nas.spaces.nb201 import NB201
from sevenfold.seeding import numpy_generator

ROOT = Path(__file__).resolve().parents[3] / "../shared/data/nas"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ROOT.is_dir(), reason="the shared NAS tables are absent"),
]
SPACE = NB201()
LOCAL = {"name": "local_search"}
FULL = {**LOCAL, "query_full_nbhd": True}


def table(file, array):
    with np.load(ROOT / f"nb201_{file}.npz") as arrays:
        return 100 - arrays[array].astype(float)


def start(node, trials):
    return start_trials(node, SPACE, [numpy_generator(0, "nas trial", trial) for trial in range(trials)])


def queries_to(losses, trials):
    """Run trials on, 50 evaluations at a time, until each has evaluated the lowest loss."""
    spent, found = 0, []
    while trials:
        traces = run_trials(trials, lambda archs: losses[SPACE.index(archs)], budget=50)
        hits = [np.flatnonzero(trace.losses == losses.min()) for trace in traces]
        found += [spent + hit[0] + 1 for hit in hits if len(hit)]
        trials = [trial for trial, hit in zip(trials, hits, strict=True) if not len(hit)]
        spent += 50
    return np.array(found)


ROWS = {  # regret and its band on CIFAR-10, CIFAR-100
    "random": ({"name": "random"}, (0.72, 0.07), (1.47, 0.18)),
    "evolution": ({"name": "evolution", "allow_repeats": True}, (0.29, 0.055), (0.31, 0.12)),
    "local_search_full": (FULL, (0.21, 0.045), (0.18, 0.095)),
    "local_search_first": (LOCAL, (0.16, 0.04), (0.07, 0.045)),
    "local_search_continue": ({**LOCAL, "continue_at_min": True}, (0.18, 0.05), (0.04, 0.045)),
    "no_surrogate": ({"name": "bananas", "preset": "no_surrogate"}, (0.25, 0.045), (0.21, 0.08)),
}
SHARES = {  # at the optimum
    "local_search_first": ((0.39, 0.12), (0.78, 0.10)),
    "local_search_continue": ((0.48, 0.12), (0.91, 0.07)),
}


@pytest.mark.parametrize("place", [0, 1], ids=["cifar10", "cifar100"])
@pytest.mark.parametrize("row", ROWS)
def test_validation_regret_after_150_queries(row, place):
    node, *marks = ROWS[row]
    losses = table("val_one_seed", ["cifar10_val_ep200", "cifar100_val_ep200"][place])
    traces = run_trials(start(node, 400), lambda archs: losses[SPACE.index(archs)], budget=150)
    regrets = np.array([trace.losses.min() for trace in traces]) - losses.min()
    share = (regrets == 0).mean()
    print(f"{row}: regret {regrets.mean():.3f} ({regrets.std() / 20:.3f}), at the optimum {share:.3f}")
    mean, band = marks[place]
    assert all(len(trace.losses) == 150 for trace in traces)
    assert regrets.mean() == pytest.approx(mean, abs=band)
    if row in SHARES:
        mean, band = SHARES[row][place]
        assert share == pytest.approx(mean, abs=band)


@pytest.mark.parametrize(
    ("node", "mark", "band"),
    [
        ({**FULL, "num_init": 1}, 124.7, 14),
        (FULL, 98.1, 14),
        ({**LOCAL, "num_init": 1}, 66.2, 10),
        (LOCAL, 66.5, 10),
        ({**LOCAL, "num_init": 1, "continue_at_min": True}, 60.2, 8),
        ({**LOCAL, "continue_at_min": True}, 60.8, 8),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_queries_to_the_optimum_of_the_test_table(node, mark, band):
    """Mean over 400 runs on CIFAR-100, published 127; marks are means of 2,000 runs."""
    losses = table("cifar", "cifar100_test_ep200")
    queries = queries_to(losses, start(node, 400))
    print(f"{node}: {queries.mean():.1f} ({queries.std() / 20:.1f}) queries to the optimum")
    assert queries.mean() == pytest.approx(mark, abs=band)


MODELS = {  # regret at 50 and 150 queries, share at the optimum: what 100 trials must reach on each data set
    "paper": ((0.66, 0.22, 0.45), (1.05, 0.075, 0.68)),
    "fast": ((0.60, 0.20, 0.55), (1.0, 0.10, 0.78)),
    "closed_form": ((0.60, 0.20, 0.55), (1.0, 0.10, 0.78)),
}


@pytest.mark.parametrize("place", [0, 1], ids=["cifar10", "cifar100"])
@pytest.mark.parametrize("preset", MODELS)
def test_bananas_reaches_its_marks_with_100_trials(preset, place):
    losses = table("val_one_seed", ["cifar10_val_ep200", "cifar100_val_ep200"][place])
    trials = start({"name": "bananas", "preset": preset}, 100)
    traces = run_trials(trials, lambda archs: losses[SPACE.index(archs)], budget=150)
    curves = np.minimum.accumulate([trace.losses for trace in traces], axis=1) - losses.min()
    early, late, share = curves[:, 49].mean(), curves[:, 149].mean(), (curves[:, 149] == 0).mean()
    print(f"{preset}: regret {early:.3f} at 50, {late:.3f} at 150, at the optimum {share:.2f}")
    most_early, most_late, least = MODELS[preset][place]
    assert early <= most_early and late <= most_late and share >= least
    assert all(len(np.unique(SPACE.keys(trace.archs))) == 150 for trace in traces)
