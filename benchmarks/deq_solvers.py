"""Compare the solvers with those of torchdeq (MIT), both sides in one process.

Usage: ``python benchmarks/deq_solvers.py [--repeats N] [--steps N] [--device cpu|cuda]``

Four tables, then one JSON line with the same numbers:

1. overhead per step, in milliseconds: processor time of a solve less that of its evaluations of f, on the
   state of a flow model (width 128 and coordinates at 1/8 of 368 x 496: 370,760 floats a sample) and on a
   small one;
2. evaluations of f to a relative residual of 1e-8 on linear and tanh contractions, slowest sample of four;
3. evaluations of f times samples on a batch half of which is easy;
4. microseconds a step, f included, on a state of 50 x 64 whose f is one product and a tanh.

Recorded figures stand in results/deq_flow-solvers.json: compare ratios, not milliseconds. On small states
torchdeq's steps are cheaper: they keep no status and no safeguard per sample and solve the small systems in
float32.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sevenfold.config import build
from sevenfold.deq import SOLVERS
from sevenfold.deq.base import Stop
from sevenfold.deq.driver import solve

try:
    from torchdeq.solver import get_solver
except ImportError:
    sys.exit("the other side of this comparison is missing: pip install torchdeq")

NAMES = {"fixed_point": "fixed_point_iter", "anderson": "anderson", "broyden": "broyden"}
SHAPES = {"flow, batch 1": (1, 130, 46, 62), "flow, batch 4": (4, 130, 46, 62), "small, batch 4": (4, 1000)}
RADII = (0.5, 0.9, 0.99)


def ours(
    name: str, f: Callable[[Tensor], Tensor], z0: Tensor, max_iter: int, tol: float, **options: Any
) -> None:
    """Solve by this project's solver of that name."""
    solver = build(SOLVERS, {"name": name}, "solver")
    solve(lambda z: (f(z[0]),), (z0,), solver, max_iter=max_iter, stop=Stop(tol=tol), **options)


def theirs(name: str, f: Callable[[Tensor], Tensor], z0: Tensor, max_iter: int, tol: float) -> None:
    """Solve by torchdeq's solver of that name, with its defaults."""
    with torch.no_grad():
        get_solver(NAMES[name])(f, z0, max_iter=max_iter, tol=tol, stop_mode="rel")


def clock(run: Callable[[], Any], device: str) -> float:
    """Return the seconds of one run."""
    if device == "cpu":
        start = time.process_time()  # not the time other programs take
        run()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def overhead(shape: tuple[int, ...], repeats: int, steps: int, device: str) -> dict[str, dict[str, float]]:
    """Measure milliseconds per step beyond f, solvers and sides interleaved; medians over the repeats."""
    generator = torch.Generator(device=device).manual_seed(0)
    slope = torch.rand(shape[1:], generator=generator, device=device) * 1.9 - 0.95
    bias = torch.randn(shape, generator=generator, device=device)
    z0 = torch.zeros(shape, device=device)

    room = [
        torch.zeros(shape, device=device) for _ in range(4)
    ]  # f itself must not allocate: it is subtracted

    def f(z: Tensor) -> Tensor:
        room.append(room.pop(0))
        return torch.addcmul(bias, slope, z, out=room[-1])

    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(repeats + 1):
        for name in NAMES:
            for side, run in (("ours", ours), ("torchdeq", theirs)):
                alone = clock(lambda: [f(z0) for _ in range(steps)], device)
                total = clock(lambda run=run, name=name: run(name, f, z0, steps, 0.0), device)
                times.setdefault((name, side), []).append((total - alone) / steps * 1e3)
    return {
        name: {side: statistics.median(times[name, side][1:]) for side in ("ours", "torchdeq")}
        for name in NAMES
    }


def small_state(repeats: int, steps: int, device: str) -> dict[str, dict[str, float]]:
    """Measure microseconds a step with f, solvers and sides interleaved; medians over the repeats."""
    generator = torch.Generator(device=device).manual_seed(0)
    weight = torch.randn(64, 64, generator=generator, device=device)
    weight *= 0.9 / torch.linalg.matrix_norm(weight, 2)
    bias, z0 = torch.randn(50, 64, generator=generator, device=device), torch.zeros(50, 64, device=device)

    def f(z: Tensor) -> Tensor:
        return torch.addmm(bias, z, weight).tanh_()

    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(2 * repeats + 1):
        for name in NAMES:
            for side, run in (("ours", ours), ("torchdeq", theirs)):
                total = clock(lambda run=run, name=name: run(name, f, z0, steps, 0.0), device)
                times.setdefault((name, side), []).append(total / steps * 1e6)
    return {
        name: {side: statistics.median(times[name, side][1:]) for side in ("ours", "torchdeq")}
        for name in NAMES
    }


class Counter:
    """Count the calls of f, and the samples it is called on."""

    def __init__(self, f: Callable[..., Tensor]) -> None:
        self.f, self.calls, self.samples = f, 0, 0

    def __call__(self, z: Tensor, index: Tensor | None = None) -> Tensor:
        """Evaluate and count."""
        self.calls += 1
        self.samples += len(z)
        return self.f(z) if index is None else self.f(z, index)


def contraction(
    kind: str, radius: float, scale: Tensor | None = None
) -> tuple[Callable[..., Tensor], Tensor]:
    """Return z -> W z + b or tanh(W z + b) with a symmetric W of that spectral radius, and zero.

    ``scale`` multiplies W for each sample.
    """
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(256, 256, generator=generator, dtype=torch.float64)
    weight = weight + weight.T
    weight *= radius / torch.linalg.eigvalsh(weight).abs().max()
    batch = 4 if scale is None else len(scale)
    bias = 0.1 * torch.randn(batch, 256, generator=generator, dtype=torch.float64)
    factor = torch.ones(batch, 1, dtype=torch.float64) if scale is None else scale[:, None]

    def f(z: Tensor, index: Tensor | None = None) -> Tensor:
        s, b = (factor, bias) if index is None else (factor[index], bias[index])
        y = s * (z @ weight) + b
        return torch.tanh(y) if kind == "tanh" else y

    return f, torch.zeros(batch, 256, dtype=torch.float64)


def evaluations() -> dict[str, dict[str, dict[str, int]]]:
    """Count evaluations of f (at most 400) by problem, solver and side."""
    table: dict[str, dict[str, dict[str, int]]] = {}
    for kind in ("linear", "tanh"):
        for radius in RADII:
            f, z0 = contraction(kind, radius)
            row = table.setdefault(f"{kind} {radius}", {})
            for name in NAMES:
                mine, other = Counter(f), Counter(f)
                ours(name, mine, z0, 400, 1e-8)
                theirs(name, other, z0, 400, 1e-8)
                row[name] = {"ours": mine.calls, "torchdeq": other.calls}
    return table


def mixed() -> dict[str, dict[str, int]]:
    """Count samples evaluated on a batch of 32 whose first half is done after a few steps."""
    f, z0 = contraction("tanh", 0.9, torch.tensor([0.02] * 16 + [1.0] * 16, dtype=torch.float64))
    table = {}
    for name in NAMES:
        mine, other = Counter(f), Counter(f)
        solver = build(SOLVERS, {"name": name}, "solver")

        def compacted(z: tuple[Tensor], index: Tensor | None = None, mine: Counter = mine) -> tuple[Tensor]:
            return (mine(z[0], index),)

        solve(compacted, (z0,), solver, max_iter=400, stop=Stop(tol=1e-6), compact=True)
        theirs(name, other, z0, 400, 1e-6)
        table[name] = {"ours": mine.samples, "torchdeq": other.samples}
    return table


def show(title: str, rows: dict[str, dict[str, dict[str, float]]], form: str) -> None:
    """Print one table: ours / torchdeq = ratio, a column for each solver."""
    print(f"\n{title}\n{'':18}" + "".join(f"{name + ': ours / torchdeq':>36}" for name in NAMES))
    for label, row in rows.items():
        cells = ((row[name]["ours"], row[name]["torchdeq"]) for name in NAMES)
        print(f"{label:18}" + "".join(f"{f'{a:{form}} / {b:{form}} = {a / b:.2f}':>36}" for a, b in cells))


def main() -> None:
    """Measure, print, end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    costs = {
        label: overhead(shape, options.repeats, options.steps, options.device)
        for label, shape in SHAPES.items()
    }
    small = small_state(options.repeats, options.steps, options.device)
    counts, work = evaluations(), {"half easy": mixed()}
    show("milliseconds per step beyond f", costs, ".2f")
    show("microseconds a step with f", {"50 x 64": small}, ".0f")
    show("evaluations of f", counts, "d")
    show("sample evaluations", work, "d")
    print(
        json.dumps(
            {"overhead_ms": costs, "small_us": small, "evaluations": counts, "mixed_batch": work["half easy"]}
        )
    )


if __name__ == "__main__":
    main()
