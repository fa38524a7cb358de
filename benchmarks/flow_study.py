"""Train equilibrium and unrolled flow for equal time, with and without the same tricks, and compare.

Usage: ``python benchmarks/flow_study.py [--seconds N] [--seeds N] [--jobs N] [--pairs DIR] [--out DIR]``

First the CPU time of a training step of each recipe is measured, in turn, in one process with one thread:
``seconds`` divided by it is that recipe's number of steps, so that the load of the machine during the long
runs does not matter. Then every recipe trains with every seed, each in a process of its own, and is tested on
one set of unseen synthetic pairs (textures of another seed) and, given ``--pairs``, on real ones. Finished
parts are skipped at the next start and a killed training goes on from its last checkpoint. Ends with tables
and one JSON line. Fifteen runs of the default 180 s take an hour of one core, tests included.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ("study_deq", "study_deq_plain", "study_deq_n1", "study_raft", "study_raft_plain")
BUDGETS = (4, 8, 16, 24, 48)
ON_PAIRS = (6, 12, 24)
QUIET = ["callbacks.flow_images=null", "callbacks.progress=null"]


def step_seconds(rounds: int = 6) -> dict[str, float]:
    """Return the median CPU seconds of a training step by recipe, at its mean depth."""
    import torch

    from datamodules import DATAMODULES
    from lightning_modules import MODELS
    from sevenfold.config import build, compose, read_file

    torch.set_num_threads(1)
    sides = {}
    for recipe in RECIPES:
        config = compose([{"name": recipe}, read_file(ROOT / f"configs/flow/{recipe}.yaml")], [])
        depths = config["model"]["training"]["iterations"]
        config["model"]["training"]["iterations"] = [round(statistics.mean(depths))]
        torch.manual_seed(0)
        module = build(MODELS, config["model"], "model").train()
        module.log = lambda *_, **__: None
        module._trainer = SimpleNamespace(global_step=0, estimated_stepping_batches=1000)
        loader = iter(build(DATAMODULES, config["data"], "data").train_dataloader())
        sides[recipe] = (module, module.configure_optimizers()["optimizer"], loader)
    times: dict[str, list[float]] = {recipe: [] for recipe in RECIPES}
    for _ in range(rounds):
        for recipe, (module, optimizer, loader) in sides.items():
            begun = time.process_time()
            module.training_step(next(loader), 0).backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            times[recipe].append(time.process_time() - begun)
    return {recipe: statistics.median(each[1:]) for recipe, each in times.items()}


def kept_mib(recipe: str) -> dict[int, float]:
    """Return the MiB that one training step keeps for its backward pass, by the number of steps of f."""
    import torch
    from flow_memory import saved

    from sevenfold.config import build, compose, read_file
    from sevenfold.flow import NETWORKS

    config = compose([{"name": recipe}, read_file(ROOT / f"configs/flow/{recipe}.yaml")], [])
    network = build(NETWORKS, config["model"]["network"], "network").train()
    side, batch = config["data"]["crop"], config["data"]["batch_size"]
    images = torch.rand(2, batch, 3, side, side)
    return {steps: saved(network, images, steps)["whole"] / 2**20 for steps in (9, 12, 24)}


def train_py(*words: Any) -> None:
    """Run the suite with one thread; its words go to the run's folder only."""
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, ROOT / "train.py", *map(str, words)], env=settings, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)


def finished(folder: Path) -> dict[str, Any] | None:
    """Return the results of the newest finished run under ``folder``."""
    for path in sorted(folder.glob("version_*/results.json"), reverse=True):
        results = json.loads(path.read_text())
        if results["status"] == "finished":
            return results
    return None


def run(recipe: str, seed: int, steps: int, out: Path, pairs: str | None) -> dict[str, Any]:
    """Train one recipe with one seed and test it, or take what is there already; return all results."""
    name, config = f"{recipe}_{seed}", ["--config", ROOT / f"configs/flow/{recipe}.yaml"]
    seeds = [f"seed={seed}", f"model.seed={seed}", f"output_dir={out}", *QUIET]
    if finished(out / name) is None:
        earlier = sorted((out / name).glob("version_*/checkpoints/last.ckpt"), key=os.path.getmtime)
        state = ["--ckpt", earlier[-1]] if earlier else []
        length = ["trainer.max_epochs=-1", f"trainer.max_steps={steps}", "trainer.limit_val_batches=0"]
        others = ["test_after_fit=false", "callbacks.checkpoint.monitor=null"]
        train_py("fit", *config, *state, *seeds, *length, *others, f"name={name}", f"data.seed={seed + 1}")
    trained = sorted((out / name).glob("version_*/checkpoints/last.ckpt"), key=os.path.getmtime)[-1]
    found = {"fit": finished(out / name)}
    tests = {"synthetic": (BUDGETS, ["data.seed=0", "data.evaluation.test_pairs=64"], [])}
    if pairs:
        real = ["--config", ROOT / "configs/flow/pairs.yaml"]
        tests["pairs"] = (ON_PAIRS, [f"data.root={Path(pairs).resolve()}"], real)
    for test, ((first, *others), settings, more) in tests.items():
        where = f"{name}_{test}"
        if finished(out / where) is None:
            depth = [f"model.evaluation.iterations={first}", f"model.evaluation.budgets={others}"]
            train_py("test", *config, *more, "--ckpt", trained, *seeds, *depth, *settings, f"name={where}")
        found[test] = finished(out / where)
    return found


def error_curves(results: dict[str, Any], budgets: tuple[int, ...]) -> dict[str, dict[int, float]]:
    """Return, by data set, the end-point error at each number of steps, and zero flow's as step 0."""
    metrics, reference = results["metrics"], results["reference"]
    curves: dict[str, dict[int, float]] = {}
    for key, value in metrics.items():
        stage, *group, measure = key.split("/")
        if stage == "test" and measure == "epe":
            curves[" ".join(group)] = {budgets[0]: value}
    for group, curve in curves.items():
        path = "/".join(("test", *group.split(" ")))
        curve.update({n: metrics[f"{path}/epe_at_{n}"] for n in budgets[1:]})
        curve[0] = reference[f"{path}/zero_flow_epe"]
    return curves


def spread(values: list[float]) -> str:
    """Format the mean of several seeds and their standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3f} +- {deviation:.3f}"


def show(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Print a table for each data set; return its numbers by data set, recipe and steps."""
    numbers: dict[str, Any] = {}
    for test, budgets in (("synthetic", BUDGETS), ("pairs", ON_PAIRS)):
        for recipe, runs in found.items():
            for each in runs:
                if test in each:
                    for group, curve in error_curves(each[test], budgets).items():
                        for n, value in curve.items():
                            numbers.setdefault(group, {}).setdefault(recipe, {}).setdefault(n, []).append(
                                value
                            )
    for group, rows in numbers.items():
        steps = sorted(next(iter(rows.values())))
        print(f"\nEPE, {group}; zero flow, then steps {steps[1:]}")
        for recipe, row in rows.items():
            print(f"{recipe:18}" + "".join(f"{spread(row[n]):>18}" for n in steps))
    return numbers


def main() -> None:
    """Measure the steps, run what is missing, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=180, help="CPU seconds of each training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--pairs", help="folder with real pairs, as data.root of configs/flow/pairs.yaml")
    parser.add_argument("--out", type=Path, default=Path("runs/flow_study"))
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    plan = out / "plan.json"
    if not plan.exists():
        plan.write_text(json.dumps({"seconds": options.seconds, "step": step_seconds()}))
    step = json.loads(plan.read_text())["step"]
    steps = {recipe: round(options.seconds / each) for recipe, each in step.items()}
    print("CPU seconds a step:", {k: round(v, 3) for k, v in step.items()}, "steps:", steps, flush=True)
    order = [(recipe, seed) for seed in range(options.seeds) for recipe in RECIPES]
    found: dict[str, list[dict[str, Any]]] = {recipe: [] for recipe in RECIPES}
    with ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(run, r, s, steps[r], out, options.pairs) for r, s in order]
        for (recipe, seed), future in zip(order, futures, strict=True):
            found[recipe].append(future.result())
            print(f"done: {recipe}, seed {seed}", flush=True)
    numbers = show(found)
    cost = {recipe: {"kept_mib": kept_mib(recipe), "step_seconds": step[recipe]} for recipe in RECIPES}
    print("\nMiB kept for the backward pass at 9, 12 and 24 steps, CPU seconds of a step:")
    for recipe, each in cost.items():
        kept = "".join(f"{mib:8.1f}" for mib in each["kept_mib"].values())
        print(f"{recipe:18}{kept}{each['step_seconds']:8.3f}")
    print(json.dumps({"steps": steps, "epe": numbers, "cost": cost}))


if __name__ == "__main__":
    main()
