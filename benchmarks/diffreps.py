"""Measure the sampling of representations, each figure against a plain way of doing the same in the same run.

Usage: ``python benchmarks/diffreps.py [laws|speed|quality|volumes ...]``

- ``laws``: the table of exact laws, our sampler's covariance beside the closed forms;
- ``speed``: 40 sine networks batched against a loop over them, the Jacobian by pixels against the Jacobian of
  images, solvers at equal targets;
- ``quality``: what the pullback, SDS and SJC reach by calls of the prior and by seconds;
- ``volumes``: a tangent step of 24 voxel fields seen by 4 cameras, with products of the Jacobian in factors,
  of the Jacobian itself, and by automatic differentiation; and noise of 4 views by kind.

Seconds are CPU time of one thread. The last line is JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from sevenfold.config import build
from sevenfold.diffreps import METHODS, PRIORS, REPRESENTATIONS, SOLVERS, SOURCES, VIEW_NOISES
from sevenfold.diffreps.linear_gaussian import Line, sampled_covariance
from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.representations.base import Linear, Representation
from sevenfold.diffreps.representations.voxel_nerf import VoxelNerf
from sevenfold.diffreps.run import run
from sevenfold.diffreps.sampling_task import Task, make_task
from sevenfold.diffreps.scores import Scorer, psnr, set_scores
from sevenfold.diffreps.view_noise import Pool
from sevenfold.diffreps.worlds.multiview import World

SAMPLES = 40
LONG = {"name": "karras", "sigma_min": 1e-3, "sigma_max": 200.0}


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of one call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def method(name: str, **options: Any) -> Any:
    return build(METHODS, {"name": name, **options}, "method")


def sirens() -> Task:
    """Return the demo's problem: sine networks of digits under the mixture."""
    prior = build(PRIORS, {"name": "gmm"}, "prior")
    return make_task(build(REPRESENTATIONS, {"name": "siren"}, "rep"), prior, Pool(), seeds=range(SAMPLES))


def laws() -> dict[str, float]:
    """Print closed forms, and covariances of the sampler by pushing its noise through it."""
    line = Line()
    values = {
        "image sampled, then fitted": line.marginal(),
        "pullback, no resampling": line.split(),
        "noise forced into the range": line.geometric(),
        "prior restricted to the range": line.conditional(),
    }
    for order in ("euler", "heun"):
        for levels in (20, 40, 160):
            for rounds in (0, 1, 5, 20) if levels == 40 else (0,):
                again = {"rounds": rounds}
                sampler = method(
                    "pullback", order=order, schedule={**LONG, "levels": levels}, resampling=again,
                    solver={"name": "linear"}, start="drawn",
                )  # fmt: skip
                value = float(sampled_covariance(sampler, line.task()))
                values[f"{order}, {levels} levels, {rounds} rounds"] = value
    for name, value in values.items():
        print(f"{name:34} {value:.5f}")
    return values


def speed() -> dict[str, float]:
    """Print ratios of CPU times."""
    task = sirens()
    rep, theta = task.representation, task.start()
    rendering = Rendering(rep, task.pool)
    target = rendering(theta) + 0.1
    solver = method("pullback").solver

    def batched() -> None:
        solver.solve(rendering, theta, target, solver.begin(theta))

    def looped() -> None:
        for k in range(SAMPLES):
            one = theta[k : k + 1]
            plain = Representation.jacobian(rep, one, task.pool)[0]  # what one would write first
            residual = (target[k] - rendering(one)[0])[:, None]
            gram = plain @ plain.T
            mu = 1e-3 * gram.diagonal().mean() * torch.eye(len(gram))
            d = plain.T @ torch.linalg.solve(gram + mu, residual)
            rendering(one + d[:, 0])

    def looped_by_pixels() -> None:
        for k in range(SAMPLES):
            one = theta[k : k + 1]
            solver.solve(rendering, one, target[k : k + 1], solver.begin(one))

    adam = build_inner()

    def batched_adam() -> None:
        adam.solve(rendering, theta, target, adam.begin(theta))

    def looped_adam() -> None:
        for k in range(SAMPLES):
            one = theta[k : k + 1]
            adam.solve(rendering, one, target[k : k + 1], adam.begin(one))

    four = theta[:4]
    times = {
        name: min(seconds(work) for _ in range(3))
        for name, work in {
            "Gauss-Newton step, batched": batched,
            "Gauss-Newton step, plain loop": looped,
            "Gauss-Newton step, loop of ours": looped_by_pixels,
            "20 steps of Adam, batched": batched_adam,
            "20 steps of Adam, loop": looped_adam,
            "Jacobian by pixels, 4 networks": lambda: rendering.jacobian(four),
            "Jacobian of images, 4 networks": lambda: Representation.jacobian(rep, four, task.pool),
        }.items()
    }
    times["ratio: plain loop / batched, Gauss-Newton"] = (
        times["Gauss-Newton step, plain loop"] / times["Gauss-Newton step, batched"]
    )
    times["ratio: loop of ours / batched, Gauss-Newton"] = (
        times["Gauss-Newton step, loop of ours"] / times["Gauss-Newton step, batched"]
    )
    times["ratio: loop / batched, Adam"] = (
        times["20 steps of Adam, loop"] / times["20 steps of Adam, batched"]
    )
    times["ratio: Jacobian of images / by pixels"] = (
        times["Jacobian of images, 4 networks"] / times["Jacobian by pixels, 4 networks"]
    )
    for name, value in times.items():
        print(f"{name:44} {value:.4f}")
    return times


def build_inner() -> Any:
    return method("pullback", solver={"name": "inner"}).solver


def quality() -> dict[str, Any]:
    """Print what each method reaches, the same forty samples' noise for all."""
    task = sirens()
    scorer = Scorer(build(SOURCES, {"name": "digits"}, "source"), task.prior)
    real = scorer.real()
    reference = run(method("reference", schedule={"name": "karras", "levels": 60}), task).images[:, 0]
    rows = {
        "DDIM image sampler, 30": method("reference", order="euler"),
        "pullback, dense, 10 levels": method("pullback", schedule={"name": "karras", "levels": 10}),
        "pullback, dense, 15 levels": method("pullback", schedule={"name": "karras", "levels": 15}),
        "pullback, dense, 30 levels": method("pullback", final_solves=5),
        "pullback, Adam x20, 30 levels": method("pullback", solver={"name": "inner"}, final_solves=5),
        "SDS, 60": method("sds", count=60, lr=1e-2),
        "SDS, 600": method("sds"),
        "SDS, 2000": method("sds", count=2000),
        "SJC, 600": method("sjc"),
    }
    heads = ("calls", "CPU s", "PSNR", "entropy", "pairwise", "Frechet", "log-lik")
    print(f"{'':32}" + "".join(f"{head:>10}" for head in heads))
    table = {}
    for name, sampler in rows.items():
        begun = time.process_time()
        outcome = run(sampler, replace(task))
        taken = time.process_time() - begun
        images = outcome.images[:, 0]
        columns = scorer.columns(images, task.labels)
        scores = set_scores({**columns, "images": images}, real)
        figures = {
            "calls": outcome.calls, "seconds": taken, "psnr": float(psnr(images, reference, 2.0).mean()),
            "log_likelihood": float(columns["log_likelihood"].mean()), **scores,
        }  # fmt: skip
        table[name] = figures
        names = ("calls", "seconds", "psnr", "entropy", "pairwise", "frechet_local", "log_likelihood")
        print(f"{name:32}" + "".join(f"{figures[column]:10.3f}" for column in names))
    return table


class Formed(VoxelNerf):
    """The same field, whose Jacobian is formed before its products are taken."""

    def linear(self, params: torch.Tensor, views: torch.Tensor) -> Linear:
        """Return products with the formed Jacobian."""
        return Representation.linear(self, params, views)


def volumes() -> dict[str, float]:
    """Print CPU times; the three steps must agree."""
    shape = World().shape
    prior = build(PRIORS, {"name": "gaussian", "source": {"name": "world_views", "views": 4}}, "prior")
    assert prior.shape == shape
    times, steps = {}, []
    for label, field, name in (
        ("tangent step, Jacobian in factors", VoxelNerf(), "dense_cg"),
        ("tangent step, Jacobian formed", Formed(), "dense_cg"),
        ("tangent step, automatic differentiation", VoxelNerf(), "cg"),
    ):
        task = make_task(field, prior, Pool(), seeds=range(24), views=4)
        theta, rendering = task.start(), Rendering(field, task.pool)
        solver = build(SOLVERS, {"name": name, "max_iter": 3, "damping": 0.01, "tol": 0.0}, "solver")
        step = partial(solver.solve, rendering, theta, rendering(theta) + 0.1, solver.begin(theta))
        steps.append(step().theta - theta)
        times[label] = min(seconds(step) for _ in range(3))
    assert all(float((step - steps[0]).norm() / steps[0].norm()) < 1e-3 for step in steps)
    for name in ("independent", "object", "surface"):
        task = make_task(
            VoxelNerf(), prior, build(VIEW_NOISES, {"name": name}, "noise"), seeds=range(24), views=4
        )
        white = task.noise.start(task.streams("noise"))
        noise = partial(task.noise.at, white, task.all_views(), task.start())
        times[f"noise of 4 views, {name}"] = min(seconds(noise) for _ in range(3))
    for label, value in times.items():
        print(f"{label:44} {value:.4f}")
    return times


def main(names: list[str]) -> None:
    torch.manual_seed(0)
    parts = {"laws": laws, "speed": speed, "quality": quality, "volumes": volumes}
    results = {name: parts[name]() for name in names or parts}
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
