"""Local search: what noise does to the landscape of architectures
===============================================================

``digits-nb201`` holds the trained accuracy of every cell of NAS-Bench-201 on digits, from three seeds. From
each of its 15,625 cells we climb to the best neighbor until none is better (White, Nolen and Savani 2021,
section 2), once on the mean of the seeds and then under added noise.
"""

import matplotlib.pyplot as plt
import numpy as np

from sevenfold.nas import load_benchmark
from sevenfold.nas.landscape.climb import climb, neighbors
from sevenfold.nas.landscape.theory import uniform_minima

bench = load_benchmark("digits-nb201")
cells = bench.space.archs(np.arange(15_625))
losses = 100 - bench.query(cells, split="val", metric="acc", epoch="last", seed="mean")
near = neighbors(bench.space)
landscape = climb(losses, near)
print(
    f"{len(landscape.minima)} local minima; {landscape.to_optimum.mean():.0%} of climbs end at the best cell"
)

# %%
# A climb ends at a local minimum; its basin is the set of cells from which climbs end there. With noise
# in the losses the number of minima grows towards that of a table of random numbers, n / (s + 1) for n
# cells with s neighbors each.

rng = np.random.default_rng(0)
noise = np.linspace(0, 8, 9)
counts = [
    [len(climb(losses + sigma * rng.standard_normal(len(losses)), near).minima) for _ in range(5)]
    for sigma in noise
]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.plot(noise, np.mean(counts, axis=1), "o-", label="digits-nb201 + noise")
left.axhline(uniform_minima(*near.shape), color="C1", linestyle="--", label="random losses, theory")
left.set(xlabel="standard deviation of the noise (points)", ylabel="local minima", yscale="log")
left.legend()

basins = landscape.basins()
right.scatter(losses[landscape.minima], basins[landscape.minima], s=12)
right.set(xlabel="validation error of the minimum (%)", ylabel="cells in its basin", yscale="log")
figure.suptitle("A landscape with few minima, and what noise makes of it")
plt.show()

# %%
# Searching is then a matter of a few dozen evaluations: the mean error after 100 queries over 20 searches.

from sevenfold.nas.algorithms.run import run_trials, start_trials
from sevenfold.seeding import numpy_generator


def loss(archs):
    return 100 - bench.query(archs, split="val", metric="acc", epoch="last", seed="mean")


for name in ("random", "local_search"):
    trials = start_trials({"name": name}, bench.space, [numpy_generator(0, name, i) for i in range(20)])
    best = [trace.losses.min() for trace in run_trials(trials, loss, budget=100)]
    print(f"{name:12} {np.mean(best):.2f} % (optimum {losses.min():.2f} %)")
