"""Measure on a GPU what the project claims of accelerators; both sides of a ratio in this one process.

Usage: ``python benchmarks/gpu.py [--small] [FIGURE ...]``

Figures, one JSON line each, with the card's name:

- ``flow_training``: steps a second and peak memory of DEQ-Flow B and RAFT large, bf16, 368 x 496;
- ``one_step_memory``: GB that a step of DEQ-Flow with the one-step gradient reserves, 6 pairs of 368 x 496;
- ``correlation``: build and one lookup on demand at 1080p and 4K, beside stored volumes (of 4K their bytes);
- ``solver_overhead``: milliseconds a step beyond f, beside torchdeq's;
- ``bananas_round``: the networks of 100 trials trained as one stack, beside the processor and one by one;
- ``debiasing``: 1,000 candidates on 45,000 rows, batched beside one after another;
- ``sirens``: a tangent step of 200 sine networks, batched beside one after another;
- ``nerf``: a tangent step of a voxel field seen as latents of 64 x 64, by factors of the Jacobian and by
  automatic differentiation.

It takes two to three minutes on one GPU (NVIDIA H200). ``--small`` runs tiny sizes on the processor, to test
the script.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sevenfold.config import build
from sevenfold.deq.base import Stop
from sevenfold.deq.correction import Correction
from sevenfold.diffreps import REPRESENTATIONS, SOLVERS
from sevenfold.diffreps.rendering import Rendering
from sevenfold.fairness.intra.base import Problem
from sevenfold.fairness.intra.random import RandomPerturbation
from sevenfold.fairness.network import Logits
from sevenfold.fairness.training import new_network
from sevenfold.flow.correlation import correlate
from sevenfold.flow.deq_flow import DEQFlow
from sevenfold.flow.losses import sequence_loss
from sevenfold.flow.network import FlowNetwork
from sevenfold.flow.raft import RAFT
from sevenfold.flow.upsample import pixel_grid
from sevenfold.nas.predictors.mlp import MLP
from sevenfold.nas.predictors.training import Training, fit
from sevenfold.seeding import torch_generator

MIB = 2**20


@dataclass(frozen=True)
class Place:
    """Where to measure: ``device``, and whether sizes are ``small``."""

    device: torch.device
    small: bool

    def drawn(self, *shape: int) -> Tensor:
        """Return normal numbers there."""
        return torch.randn(shape, generator=torch_generator(0, "gpu benchmark", *shape)).to(self.device)

    def of(self, large: Any, small: Any) -> Any:
        """Choose a size."""
        return small if self.small else large

    def seconds(self, work: Callable[[], object], repeats: int = 5) -> float:
        """Return the median seconds of a call, the first one left out."""
        times = []
        for _ in range(repeats + 1):
            self.wait()
            begun = time.perf_counter()
            work()
            self.wait()
            times.append(time.perf_counter() - begun)
        return statistics.median(times[1:])

    def peak(self, work: Callable[[], object]) -> float:
        """Return the most MiB that a call holds at a time beyond what stood there before."""
        if self.device.type == "cpu":
            from flow_memory import peak

            return peak(work) / MIB
        self.wait()
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        self.wait()
        return (torch.cuda.max_memory_allocated() - before) / MIB

    def wait(self) -> None:
        """Wait until all work is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def training_step(
    network: FlowNetwork, place: Place, size: tuple[int, int, int], iterations: int, mixed: bool = True
) -> Callable[[], None]:
    """Return one step of AdamW on random pairs (batch, height, width), in bf16 if ``mixed``."""
    batch, height, width = size
    images = place.drawn(2, batch, 3, height, width).sigmoid()
    flow, valid = place.drawn(batch, 2, height, width), place.drawn(batch, height, width) > -1
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def step() -> None:
        with torch.autocast(place.device.type, dtype=torch.bfloat16, enabled=mixed):
            estimate = network(*images, iterations=iterations)
        loss = sequence_loss([f.float() for f in estimate.flows], flow, valid)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    return step


def flow_training(place: Place) -> dict[str, float]:
    """Train both networks on equal batches as their recipes do: 36 steps, 6 of them supervised, and 12."""
    size, found = place.of((6, 368, 496), (1, 64, 96)), {}
    plain: dict[str, Any] = {"solver": {"name": "fixed_point"}, "stop": Stop(tol=0.0)}
    networks: dict[str, tuple[Callable[[], FlowNetwork], int]] = {
        "deq_b": (lambda: DEQFlow(variant="B", correction=Correction(n=6), **plain), place.of(36, 6)),
        "raft_large": (lambda: RAFT(variant="large"), place.of(12, 2)),
    }
    for name, (make, iterations) in networks.items():
        step = training_step(make().train().to(place.device), place, size, iterations)
        found[f"{name}_steps_per_second"] = 1 / place.seconds(step, repeats=place.of(10, 1))
        found[f"{name}_peak_mib"] = place.peak(step)
    found["memory_ratio"] = found["raft_large_peak_mib"] / found["deq_b_peak_mib"]
    found["speed_ratio"] = found["deq_b_steps_per_second"] / found["raft_large_steps_per_second"]
    return found


def one_step_memory(place: Place) -> dict[str, float]:
    """Train B and H as ``configs/flow/deq_b_chairs_1step.yaml`` does, on one of two devices."""
    size, found = place.of((6, 368, 496), (1, 64, 96)), {}
    for label, variant, mixed in (("b", "B", False), ("h", "H", False), ("h_mixed", "H", True)):
        correction = Correction(n=1)
        network = DEQFlow(variant=variant, solver={"name": "fixed_point"}, correction=correction).train()
        step = training_step(network.to(place.device), place, size, place.of(36, 6), mixed)
        if place.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            step()
            found[f"{label}_gb"] = torch.cuda.max_memory_reserved() / 1e9
        else:
            found[f"{label}_gb"] = place.peak(step) * MIB / 1e9
    found["mixed_ratio"] = found["h_mixed_gb"] / found["h_gb"]
    return found


def correlation(place: Place) -> dict[str, float]:
    """Look up once in both kinds; volumes of 4K (90 GB) are not built."""
    grids = {"1080p": place.of((135, 240), (17, 30)), "4k": place.of((270, 480), (34, 60))}
    found = {}
    for label, (height, width) in grids.items():
        first, second = place.drawn(2, 1, 256, height, width)
        places = pixel_grid(first) + place.drawn(1, 2, height, width)
        for kind in ("on_demand", "all_pairs") if label == "1080p" else ("on_demand",):

            def work(kind: str = kind, first: Tensor = first, second: Tensor = second) -> None:
                with torch.no_grad():
                    correlate(kind, first, second, levels=4, radius=4)(places)  # noqa: B023

            found[f"{label}_{kind}_seconds"] = place.seconds(work, repeats=place.of(5, 1))
            found[f"{label}_{kind}_peak_mib"] = place.peak(work)
        levels = sum((height >> i) * (width >> i) for i in range(4))
        found[f"{label}_volumes_mib"] = 4 * height * width * levels / MIB
        found[f"{label}_memory_ratio"] = found[f"{label}_volumes_mib"] / found[f"{label}_on_demand_peak_mib"]
    return found


def solver_overhead(place: Place) -> dict[str, float]:
    """Measure as ``deq_solvers.py`` does, on its state of a flow model."""
    from deq_solvers import SHAPES, overhead

    label = place.of("flow, batch 4", "small, batch 4")
    rows = overhead(SHAPES[label], place.of(5, 1), place.of(30, 10), place.device.type)
    found = {f"{name}_{side}_ms": value for name, row in rows.items() for side, value in row.items()}
    return found | {f"{name}_ratio": row["torchdeq"] / row["ours"] for name, row in rows.items()}


def bananas_round(place: Place) -> dict[str, float]:
    """Train five networks for each trial on 60 cells for 150 epochs."""
    trials, cells, training = place.of(100, 4), 60, Training(epochs=place.of(150, 3))

    def work(device: torch.device | str, count: int) -> Callable[[], None]:
        x = place.drawn(count, cells, 155).gt(1).float().to(device)
        y = x[:, :, ::7].sum(2)
        network = MLP(155, copies=5 * count).to(device)
        return lambda: fit(network, x, y, training=training, seeds=range(count), members=5)

    found = {"seconds": place.seconds(work(place.device, trials), repeats=1)}
    one = min(3, trials)
    alone = work(place.device, 1)
    found["one_by_one_seconds"] = place.seconds(lambda: [alone() for _ in range(one)], repeats=1)
    found["one_by_one_seconds"] *= trials / one
    found["processor_seconds"] = place.seconds(work("cpu", trials), repeats=1)
    found["one_by_one_ratio"] = found["one_by_one_seconds"] / found["seconds"]
    found["processor_ratio"] = found["processor_seconds"] / found["seconds"]
    return found


def debiasing(place: Place) -> dict[str, float]:
    """Score draws of the paper's network with their best thresholds."""
    trials, n = place.of(1000, 20), place.of(45_000, 500)
    x = place.drawn(n, 100)
    network = Logits(new_network(100, 0, width=32, depth=10, dropout=0.2)).to(place.device)
    problem = Problem(network, x, (x[:, 0] > 0).long(), (x[:, 1] > 0).long())
    method = RandomPerturbation(trials=trials)
    weights = {name: problem.state()[name] for name in method.names(problem)}
    few = min(20, trials)

    def loop() -> None:
        for trial in range(few):
            problem.best(problem.scores(method.draw(weights, 0, trial))[None])

    found = {"batched_seconds": place.seconds(lambda: method.fit(problem), repeats=1)}
    found["loop_seconds"] = place.seconds(loop, repeats=1) * trials / few
    found["ratio"] = found["loop_seconds"] / found["batched_seconds"]
    return found


def tangent_step(
    rep: Any, views: Tensor, count: int, place: Place, **solver: Any
) -> tuple[Callable[[], Tensor], Callable[[], object]]:
    """Return a damped Gauss-Newton step of ``count`` representations, and the same one after another."""
    generators = [torch_generator(k, "gpu benchmark start") for k in range(count)]
    theta = torch.stack([rep.initial(generator) for generator in generators]).to(place.device)
    rendering, built = Rendering(rep, views), build(SOLVERS, solver, "solver")
    with torch.no_grad():
        target = rendering(theta) + 0.1

    def step(rows: slice = slice(None)) -> Tensor:
        with torch.no_grad():
            return built.solve(rendering, theta[rows], target[rows], built.begin(theta[rows])).theta

    return step, lambda: [step(slice(k, k + 1)) for k in range(count)]


def sirens(place: Place) -> dict[str, float]:
    """Take a step of the demo's sine networks."""
    rep = build(REPRESENTATIONS, {"name": "siren", "size": place.of(16, 8)}, "representation").to(
        place.device, torch.float32
    )
    views = rep.views(1, torch_generator(0)).to(place.device, torch.float32)
    batched, looped = tangent_step(rep, views, place.of(200, 4), place, name="dense")
    found = {"batched_seconds": place.seconds(batched), "loop_seconds": place.seconds(looped, repeats=1)}
    return found | {"ratio": found["loop_seconds"] / found["batched_seconds"]}


def nerf(place: Place) -> dict[str, float]:
    """Take a step of 4 fields seen by 4 cameras, 4 channels each; both ways must agree."""
    size, resolution = place.of(64, 6), place.of(24, 4)
    node = {"name": "voxel_nerf", "size": size, "channels": 4, "resolution": resolution, "colours": "linear",
            "samples": place.of(48, 8)}  # fmt: skip
    rep = build(REPRESENTATIONS, node, "representation")
    rep = rep.to(place.device, torch.float32)
    views = rep.views(4, torch_generator(0)).to(place.device, torch.float32)
    options = {"max_iter": 3, "damping": 0.01, "tol": 0.0}
    found, steps = {}, []
    for label, name in (("factors", "dense_cg"), ("differentiation", "cg")):
        step, _ = tangent_step(rep, views, place.of(4, 2), place, name=name, **options)
        found[f"{label}_seconds"] = place.seconds(step, repeats=place.of(3, 1))
        found[f"{label}_peak_mib"] = place.peak(step)
        steps.append(step())
    found["difference"] = float((steps[0] - steps[1]).norm() / steps[1].norm())
    return found | {"ratio": found["differentiation_seconds"] / found["factors_seconds"]}


FIGURES: dict[str, Callable[[Place], dict[str, float]]] = {
    function.__name__: function
    for function in (
        flow_training,
        one_step_memory,
        correlation,
        solver_overhead,
        bananas_round,
        debiasing,
        sirens,
        nerf,
    )
}


def main() -> int:
    """Measure and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny sizes on the processor")
    parser.add_argument("figures", nargs="*", help=f"some of {', '.join(FIGURES)}; all by default")
    options = parser.parse_args()
    if unknown := [name for name in options.figures if name not in FIGURES]:
        print(f"{', '.join(unknown)}: no figure of this script; known: {', '.join(FIGURES)}", file=sys.stderr)
        return 2
    if not options.small and not torch.cuda.is_available():
        print("no GPU here: PyTorch sees no CUDA device; --small runs tiny sizes on the CPU", file=sys.stderr)
        return 2
    place = Place(torch.device("cpu" if options.small else "cuda"), options.small)
    card = "cpu" if options.small else torch.cuda.get_device_name()
    for name in options.figures or FIGURES:
        torch.manual_seed(0)
        begun = time.perf_counter()
        found = FIGURES[name](place)
        line = {"figure": name, "device": card, **found, "took_seconds": time.perf_counter() - begun}
        print(json.dumps(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
