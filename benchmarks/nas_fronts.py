"""Compare searches for the front of error and latency with Optuna's NSGA-II and TPE on the same table.

Usage: ``python benchmarks/nas_fronts.py ROOT [--trials N] [--budget N] [--out FILE]``; ROOT holds
``nb201_val_seeds.npz`` and ``nb201_latency_27_devices.npz``. Needs Optuna.

CIFAR-100 error and latency on the phone ``pixel2``, CIFAR-10 error and that of one image on a 1080 Ti;
hypervolume regret after 100 and all evaluations below the table's 90th percentiles, mean and standard error,
and CPU seconds a trial, the objective included. The verdict compares ``bananas`` with NSGA-II trial by trial
by Wilcoxon's test after Holm over the two tables. The last line is JSON.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from sevenfold.evidence import holm, paired
from sevenfold.nas import FrontStudy
from sevenfold.nas.algorithms.run import run_trials, start_trials
from sevenfold.nas.pareto import hypervolume
from sevenfold.nas.studies.front_summary import percentiles
from sevenfold.seeding import numpy_generator, stream_seed

CASES = {
    "cifar100-pixel2": ("cifar100/200", "latency_ms/pixel2"),
    "cifar10-1080ti": ("cifar10-valid/200", "latency_ms/1080ti_1"),
}
OURS = {
    "random": {"name": "random"},
    "evolution": {"name": "evolution"},
    "local_search": {"name": "local_search"},
    "bananas": {"name": "bananas", "preset": "closed_form"},
}
Points = np.ndarray


def ours(node: dict, study: FrontStudy, trial: int, budget: int) -> Points:
    """Return the losses of one trial of a search of the suite."""
    trials = start_trials(node, study.table.space, [numpy_generator(0, "nas trial", trial)])
    return run_trials(trials, study.measured, budget=budget)[0].losses


def optuna_search(kind: str, study: FrontStudy, trial: int, budget: int) -> Points:
    """Return the losses of one trial of Optuna's sampler on six choices among five operations."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    seed = stream_seed(0, "optuna", trial) % 2**31
    sampler = (
        optuna.samplers.NSGAIISampler(population_size=20, seed=seed)
        if kind == "nsga2"
        else optuna.samplers.TPESampler(multivariate=True, seed=seed)
    )
    losses: list[list[float]] = []

    def objective(asked: optuna.Trial) -> tuple[float, ...]:
        row = [asked.suggest_categorical(f"edge{e}", range(5)) for e in range(6)]
        losses.append(study.measured(np.array([row]))[0].tolist())
        return tuple(losses[-1])

    optuna.create_study(directions=["minimize"] * 2, sampler=sampler).optimize(objective, n_trials=budget)
    return np.array(losses)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--budget", type=int, default=150)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    arms: dict[str, Callable[[FrontStudy, int, int], Points]] = {
        name: (lambda study, trial, budget, node=node: ours(node, study, trial, budget))
        for name, node in OURS.items()
    }
    for kind in ("nsga2", "tpe"):
        arms[f"optuna_{kind}"] = lambda *given, kind=kind: optuna_search(kind, *given)
    found: dict[str, dict] = {}
    comparisons = []
    for case, (dataset, latency) in CASES.items():
        benchmark = {"name": "nb201-devices", "root": options.root}
        study = FrontStudy(
            algorithms=OURS, benchmark=benchmark, dataset=dataset, minimize=["val/error", latency]
        )
        corner = percentiles(study.whole)
        best, ends = hypervolume(study.edge, corner), {}
        found[case] = {"front": len(study.edge)}
        for name, arm in arms.items():
            begun = time.process_time()
            traces = [arm(study, trial, options.budget) for trial in range(options.trials)]
            spent = (time.process_time() - begun) / options.trials
            regrets = np.array([
                [1 - hypervolume(losses[:n], corner) / best for n in (100, options.budget)]
                for losses in traces
            ])  # fmt: skip
            error = regrets.std(0, ddof=1) / options.trials**0.5 if options.trials > 1 else np.zeros(2)
            ends[name] = regrets[:, 1]
            found[case][name] = {
                "at_100": regrets[:, 0].mean(), "at_end": regrets[:, 1].mean(), "sem": error[1], "cpu": spent,
            }  # fmt: skip
            print(case, name, *(f"{key} {value:.3g}" for key, value in found[case][name].items()), flush=True)
        comparisons.append(paired(ends["bananas"], ends["optuna_nsga2"]))
    for (case, figures), p in zip(found.items(), holm([c.p for c in comparisons]), strict=True):
        figures["p_bananas_nsga2"] = float(p)
        print(case, "bananas against NSGA-II after Holm: p =", f"{p:.2g}")
    found["settings"] = {"trials": options.trials, "budget": options.budget}
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
