"""
BANANAS: a model of the path encoding chooses what to train next
================================================================

Searches of 100 queries on ``digits-nb201``: random search, BANANAS' candidates without a model, and BANANAS
with the model in closed form (White, Neiswanger and Savani 2021, algorithm 1; the closed form is ours).
"""

import matplotlib.pyplot as plt
import numpy as np

from sevenfold.nas import load_benchmark
from sevenfold.nas.algorithms.run import run_trials, start_trials
from sevenfold.seeding import numpy_generator

bench = load_benchmark("digits-nb201")


def error(archs):
    return 100 - bench.query(archs, split="val", metric="acc", epoch="last", seed="mean")


searches = {
    "random": {"name": "random"},
    "mutation, no model": {"name": "bananas", "preset": "no_surrogate"},
    "BANANAS": {"name": "bananas", "preset": "closed_form"},
}
best = {}
for label, node in searches.items():
    trials = start_trials(node, bench.space, [numpy_generator(0, "trial", i) for i in range(30)])
    losses = np.stack([trace.losses for trace in run_trials(trials, error, budget=100)])
    best[label] = np.minimum.accumulate(losses, axis=1)

# %%
# The error of the incumbent, mean and 95 % interval over 30 trials. All trials begin with the same ten
# architectures.

optimum = error(bench.space.archs(np.arange(15_625))).min()
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
queries = np.arange(1, 101)
for label, curves in best.items():
    mean, width = curves.mean(axis=0), 1.96 * curves.std(axis=0, ddof=1) / np.sqrt(len(curves))
    axes.plot(queries, mean, label=f"{label}: {mean[-1]:.2f} %")
    axes.fill_between(queries, mean - width, mean + width, alpha=0.2)
axes.axhline(optimum, color="gray", linestyle=":", label=f"best cell: {optimum:.2f} %")
axes.set(xlabel="networks trained", ylabel="validation error of the best, %", xlim=(10, 100), ylim=(3.5, 8))
axes.legend()
figure.suptitle("Error of the incumbent")
plt.show()
