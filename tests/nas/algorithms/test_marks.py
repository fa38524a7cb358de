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


def search(node, losses, *, trials, budget):
    rngs = [numpy_generator(0, "nas trial", trial) for trial in range(trials)]
    return run_trials(
        start_trials(node, SPACE, rngs), lambda archs: losses[SPACE.index(archs)], budget=budget
    )


ROWS = {  # regret and its band on CIFAR-10, CIFAR-100
    "random": ({"name": "random"}, (0.72, 0.07), (1.47, 0.18)),
    "evolution": ({"name": "evolution", "allow_repeats": True}, (0.29, 0.055), (0.31, 0.12)),
    "local_search_full": (FULL, (0.21, 0.045), (0.18, 0.095)),
    "local_search_first": (LOCAL, (0.16, 0.04), (0.07, 0.045)),
    "local_search_continue": ({**LOCAL, "continue_at_min": True}, (0.18, 0.05), (0.04, 0.045)),
    "no_surrogate": ({"name": "bananas"}, (0.25, 0.045), (0.21, 0.08)),
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
    traces = search(node, losses, trials=400, budget=150)
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
    traces = search(node, losses, trials=400, budget=2000)
    queries = np.array([np.flatnonzero(trace.losses == losses.min())[0] + 1 for trace in traces])
    print(f"{node}: {queries.mean():.1f} ({queries.std() / 20:.1f}) queries to the optimum")
    assert queries.mean() == pytest.approx(mark, abs=band)
