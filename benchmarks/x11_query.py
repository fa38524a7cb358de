"""Time queries of a surrogate: 10,000 noisy full curves at once, and one at a time.

``python benchmarks/x11_query.py [FOLDER]``: an exported surrogate; by default one is fitted to the project's
own benchmark with the options of ``configs/nas/x11_fit_digits.yaml``. Threads: ``OMP_NUM_THREADS``.
"""

import sys
import tempfile
import time

import numpy as np
import torch

from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.x11.ensemble import Ensemble
from sevenfold.nas.x11.export import save
from sevenfold.nas.x11.surrogate import Surrogate
from sevenfold.nas.x11.tensor import curve_tensor
from sevenfold.seeding import numpy_generator

CURVES, SINGLE = 10_000, 200


def fitted() -> str:
    tensor = curve_tensor(load_benchmark("digits-nb201"))
    ensemble = Ensemble(
        tensor.space, encoding="adj_onehot", metrics=tensor.metrics, epochs=tensor.epochs,
        compression={"name": "svd", "k": 6}, regressor={"name": "lgb"}, members=5,
    )  # fmt: skip
    surrogate = Surrogate(ensemble, noise={"name": "window"})
    started = time.perf_counter()
    surrogate.fit(tensor)
    print(f"fitted to {len(tensor.archs)} architectures in {time.perf_counter() - started:.1f} s")
    return str(save(surrogate, tempfile.mkdtemp()))


def timed(call) -> tuple[float, float]:
    """Return seconds on the wall and of this process's CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    folder = sys.argv[1] if len(sys.argv) > 1 else fitted()
    bench = load_benchmark(f"x11:{folder}")
    archs = bench.space.sample(numpy_generator(0, "query"), CURVES)
    seeds = np.arange(CURVES) % 100
    different = len(np.unique(archs, axis=0))
    print(f"{CURVES} curves of {different} architectures, {len(bench.epochs)} epochs, ", end="")
    print(f"{torch.get_num_threads()} threads")
    noisy = [int(seed) for seed in seeds]
    cases = {
        "noisy, one call, all new": lambda: bench.surrogate.curves(archs, seeds=noisy),
        "noisy, one call, known": lambda: bench.surrogate.curves(archs, seeds=noisy),
        "denoised, one call, known": lambda: bench.surrogate.curves(archs),
    }
    for name, call in cases.items():
        wall, cpu = timed(call)
        print(f"{name:28} {wall:8.2f} s ({cpu:.2f} s CPU) {1e6 * wall / CURVES:10.1f} us a curve")
    fresh = load_benchmark(f"x11:{folder}")
    for name in ("noisy, one by one, new", "noisy, one by one, known"):
        wall, cpu = timed(
            lambda: [fresh.curves(row[None], split="val", metric="acc", seed=1) for row in archs[:SINGLE]]
        )
        print(f"{name:28} {wall / SINGLE * CURVES:8.2f} s ({cpu / SINGLE * CURVES:.2f} s CPU) "
              f"{1e6 * wall / SINGLE:10.1f} us a curve ({SINGLE} measured)")  # fmt: skip


if __name__ == "__main__":
    main()
