"""Measure searches on NAS-Bench-201's cells, each against a plain way of doing the same in the same run.

Usage: ``python benchmarks/nas_search.py [--trials N] [--queries N]``

- ``bananas``: ``trials`` trials of 150 queries side by side (five networks of 10 x 20, 150 epochs) against
  training one such network alone in eager PyTorch, times the networks of a trial;
- ``landscape``: climbs from all 15,625 cells of three tables;
- ``every_encoding``, ``digits_opened``: all encodings of all 15,625 cells; the embedded table loaded and
  asked for all cells, each the least of five;
- ``random``, ``evolution``, ``local_search``: seconds per query of 200 trials side by side against a plain
  Python loop over tuples;
- ``hypervolume``: of 10,000 points of two losses, at random and all on the front, against ``numpy.sort`` of
  the points, the least of 50.

All figures are CPU time of one thread. The last line is JSON.
"""

import argparse
import json
import random
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from sevenfold.config import locate
from sevenfold.nas.algorithms.features import Features
from sevenfold.nas.algorithms.run import run_trials, start_trials
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.benchmarks.synthetic_nb201 import SyntheticNB201
from sevenfold.nas.encodings import ENCODINGS
from sevenfold.nas.landscape.climb import climb, neighbors
from sevenfold.nas.pareto import hypervolume
from sevenfold.nas.spaces.nb201 import NB201
from sevenfold.seeding import numpy_generator

SPACE = NB201()


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of one call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def table(stream: int) -> np.ndarray:
    """Return synthetic losses of all cells."""
    bench = SyntheticNB201(stream=stream)
    return 100 - bench.query(bench.archs, split="val", metric="acc", epoch="last", seed=0)


def encodings() -> None:
    """Encode all cells in every way that these cells have."""
    archs = SPACE.archs(np.arange(15625))
    for name, reference in ENCODINGS.items():
        if name in ("adj_cat", "adj_cont"):
            continue  # of spaces with edges to list or count
        locate(reference)(SPACE, archs, **({"cutoff": 5} if name.startswith("trunc_adj") else {}))


def digits() -> None:
    """Load the embedded table and ask for all cells."""
    bench = load_benchmark("digits-nb201")
    bench.query(bench.archs, split="val", metric="acc", epoch="last", seed="mean")


def search(node: dict, losses: np.ndarray, trials: int, queries: int) -> Callable[[], object]:
    """Return a function that runs trials side by side."""
    rngs = [numpy_generator(0, "benchmark", trial) for trial in range(trials)]
    started = start_trials(node, SPACE, rngs)
    return lambda: run_trials(started, lambda archs: losses[SPACE.index(archs)], budget=queries)


def eager(losses: np.ndarray, n: int) -> None:
    """Train one network of BANANAS alone, 150 epochs in batches of 32."""
    places = np.random.default_rng(n).permutation(15625)[:n]
    x = torch.from_numpy(Features("trunc_path").of(SPACE, SPACE.archs(places)))
    y = torch.from_numpy(losses[places]).float()
    sizes = [x.shape[1], *[20] * 10, 1]
    layers = [m for a, b in zip(sizes, sizes[1:], strict=False) for m in (nn.Linear(a, b), nn.ReLU())]
    network = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, betas=(0.9, 0.99))
    for _ in range(150):
        for rows in torch.randperm(n).split(32):
            optimizer.zero_grad()
            (network(x[rows])[:, 0] - y[rows]).abs().mean().backward()
            optimizer.step()


def plain_cell(rng: random.Random) -> tuple[int, ...]:
    """Draw one cell."""
    return tuple(rng.randrange(5) for _ in range(6))


def plain_neighbors(cell: tuple[int, ...]) -> list[tuple[int, ...]]:
    """List the 24 cells one operation away."""
    return [cell[:e] + (o,) + cell[e + 1 :] for e in range(6) for o in range(5) if o != cell[e]]


def plain(name: str, loss: dict[tuple[int, ...], float], queries: int, seed: int) -> dict:
    """Run one trial as a plain loop: a dictionary of what was evaluated."""
    rng, known = random.Random(seed), {}

    def ask(cell: tuple[int, ...]) -> float:
        known[cell] = loss[cell]
        return known[cell]

    while len(known) < queries:
        if name == "random" or len(known) < 10:
            ask(plain_cell(rng))
        elif name == "evolution":
            young = list(known.items())[-30:]
            parent = min((rng.choice(young) for _ in range(10)), key=lambda pair: pair[1])[0]
            child = tuple(rng.randrange(5) if rng.random() < 0.25 else op for op in parent)
            ask(child) if child not in known else None
        else:
            cell = min((plain_cell(rng) for _ in range(10)), key=lambda c: ask(c))
            better = True
            while better and len(known) < queries:
                better, near = False, plain_neighbors(cell)
                rng.shuffle(near)
                for other in near:
                    if other not in known and len(known) < queries and ask(other) < known[cell]:
                        cell, better = other, True
                        break
    return known


def volumes() -> dict[str, float]:
    """Return the time of a hypervolume as a multiple of that of sorting both columns."""
    rng = np.random.default_rng(0)
    first = rng.random(10_000)
    cases = {"random": rng.random((10_000, 2)), "front": np.stack([first, 1 - first], 1)}

    def least(work: Callable[[], object]) -> float:
        times = []
        for _ in range(50):
            begun = time.perf_counter()  # the clock of the processor is too coarse for one call
            work()
            times.append(time.perf_counter() - begun)
        return min(times)

    return {
        name: least(lambda p=points: hypervolume(p, [1.0, 1.0])) / least(lambda p=points: np.sort(p, axis=0))
        for name, points in cases.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--queries", type=int, default=150)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tables = [table(stream) for stream in range(3)]
    losses, found = tables[0], {}
    for preset in ("paper", "fast", "closed_form"):
        node = {"name": "bananas", "preset": preset}
        run_trials(
            start_trials(node, SPACE, [numpy_generator(1)]), lambda a: losses[SPACE.index(a)], budget=20
        )
        spent = seconds(search(node, losses, options.trials, options.queries))
        found[f"bananas_{preset}"] = {"seconds_per_trial": spent / options.trials}
    spent = seconds(search({"name": "bananas"}, losses, 1, options.queries))
    found["bananas_paper_alone"] = {"seconds_per_trial": spent}
    sizes = range(10, options.queries, 10)
    eager(losses, 20)
    one_by_one = sum(5 * seconds(lambda n=n: eager(losses, n)) for n in sizes)
    found["eager_networks"] = {"seconds_per_trial": one_by_one}
    near = neighbors(SPACE)
    found["landscape_three_tables"] = {"seconds": seconds(lambda: [climb(values, near) for values in tables])}
    for name, work in (("every_encoding", encodings), ("digits_opened", digits)):
        found[name] = {"seconds": min(seconds(work) for _ in range(5))}
    lookup = {
        tuple(row): value for row, value in zip(SPACE.archs(np.arange(15625)).tolist(), losses, strict=True)
    }
    for name in ("random", "evolution", "local_search"):
        ours = seconds(search({"name": name}, losses, 200, options.queries))
        theirs = seconds(lambda name=name: [plain(name, lookup, options.queries, s) for s in range(200)])
        per = 1e6 / (200 * options.queries)
        found[name] = {"us_per_query": ours * per, "plain_us_per_query": theirs * per, "ratio": theirs / ours}
    base = found["bananas_paper"]["seconds_per_trial"]
    found["ratio_eager"] = one_by_one / base
    found["ratio_eager_alone"] = one_by_one / found["bananas_paper_alone"]["seconds_per_trial"]
    found["hypervolume"] = volumes()
    for name, figures in found.items():
        print(name, figures)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
