"""Compare searches of cells and hyperparameters with Optuna's TPE on the same objectives in one process.

Usage: ``python benchmarks/nas_hyperparameters.py ROOT [--cases jahs,3945] [--trials N] [--budget N] [--out
FILE]``; ROOT holds ``nb201_val_seeds.npz`` and, for LCBench, ``yahpo_lcbench/``. Needs Optuna; LCBench needs
onnxruntime.

- ``jahs``: a cell of NAS-Bench-201 times eight hyperparameters; loss = CIFAR-100 error of the cell (mean of
  its trainings) plus penalties of the hyperparameters, whose best rate depends on the cell's size;
- ``3945``, ``167104``, ``189354``: validation error after 52 epochs of LCBench tasks, by the surrogate of
  YAHPO Gym, seven hyperparameters.

Regret after all evaluations, mean and standard error over trials, CPU seconds a trial with the objective's,
and p of each arm against TPE (Wilcoxon, Holm over the arms of a case). The optimum is exact for ``jahs``,
else the best of 20,000 random rows refined by 36 rounds of 1,000 mutants. The last line is JSON.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sevenfold.evidence import holm, paired
from sevenfold.nas import Typed, load_benchmark, run_trials, start_trials
from sevenfold.seeding import numpy_generator, stream_seed

OURS = {
    "random": {"name": "random"},
    "evolution": {"name": "evolution"},
    "local_search": {"name": "local_search", "continue_at_min": True},
    "bananas": {"name": "bananas", "preset": "mixed"},
    "gp": {"name": "gp", "preset": "mixed"},
}
PRODUCT = {
    "cell": {"cell": "nb201"},
    "opt": {"choice": ["sgd", "adam"]},
    "mom": {"float": [0.0, 0.99], "when": {"opt": ["sgd"]}},
    "lr": {"float": [1e-4, 1.0], "log": True},
    "wd": {"float": [1e-6, 0.1], "log": True},
    "act": {"choice": ["relu", "hardswish", "mish"]},
    "depth": {"ordinal": [1, 3, 5]},
    "width": {"ordinal": [4, 8, 16]},
    "aug": {"choice": [False, True]},
}
INPUTS = (
    "epoch", "batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units",
    "max_dropout",
)  # fmt: skip
Loss = Callable[[list[dict[str, Any]]], np.ndarray]


def product(root: Path) -> tuple[dict[str, Any], Loss, float]:
    """Return parameters, loss and optimum of the product of cells and hyperparameters."""
    bench = load_benchmark("nb201-seeds", root=str(root), dataset="cifar100/200")

    def loss(values: list[dict[str, Any]]) -> np.ndarray:
        cells = np.array([v["cell"] for v in values])
        error = 100 - bench.query(cells, split="val", metric="acc", epoch="last", seed="mean")
        size = bench.property_of(cells, "params")
        return np.minimum(99.0, error + [penalty(v, p) for v, p in zip(values, size, strict=True)])

    every = 100 - bench.query(bench.archs, split="val", metric="acc", epoch="last", seed="mean")
    return PRODUCT, loss, float(every.min())  # no penalty is below 0, and all can be 0 at once


def penalty(v: dict[str, Any], size: float) -> float:
    """Return what the hyperparameters add to the error of a cell with ``size`` million parameters."""
    rate = np.log(v["lr"] / 1e-4) / np.log(1e4)
    decay = np.log(v["wd"] / 1e-6) / np.log(1e5)
    best = (0.72 if v["opt"] == "sgd" else 0.38) + 0.08 * np.tanh(size - 0.5)
    momentum = 3 * (v["mom"] / 0.99 - 0.9) ** 2 if v["opt"] == "sgd" else 1.2
    steps = {"relu": 0.9, "hardswish": 0.0, "mish": 0.35}[v["act"]]
    steps += {1: 2.2, 3: 0.7, 5: 0.0}[v["depth"]] + {4: 4.0, 8: 1.6, 16: 0.0}[v["width"]]
    steps += 0.0 if v["aug"] else 1.5
    return 45 * (rate - best) ** 2 + 9 * (decay - 0.5 - 0.15 * (v["width"] == 16)) ** 2 + momentum + steps


def lcbench(root: Path, task: str) -> tuple[dict[str, Any], Loss, float]:
    """Return parameters, loss and approximate optimum of an LCBench task."""
    import onnxruntime

    folder = root / "yahpo_lcbench"
    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = session_options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", session_options)
    code = json.loads((folder / "encoding.json").read_text())["OpenML_task_id"][task]
    parameters = {}
    for entry in json.loads((folder / "config_space.json").read_text())["hyperparameters"]:
        if entry["name"] in INPUTS[1:]:
            kind = "int" if entry["type"] == "uniform_int" else "float"
            parameters[entry["name"]] = {kind: [entry["lower"], entry["upper"]], "log": bool(entry["log"])}

    def loss(values: list[dict[str, Any]]) -> np.ndarray:
        numbers = [[52.0, *(v[name] for name in INPUTS[1:])] for v in values]
        given = {
            "x_cat": np.full((len(values), 1), code, np.int32),
            "x_cont": np.array(numbers, np.float32),
        }
        (answers,) = session.run(None, given)
        return 100 - answers[:, 1].astype(float)  # time, validation accuracy, ...

    space, rng = Typed(parameters), np.random.default_rng(0)
    rows = space.sample(rng, 20_000)
    losses = loss([space.values(row) for row in rows])
    for _ in range(36):
        best = rows[losses.argsort()[:100]]
        rows = np.concatenate([best, space.mutate(np.repeat(best, 10, 0), rng)])
        losses = loss([space.values(row) for row in rows])
    return parameters, loss, float(losses.min())


def ours(node: dict[str, Any], space: Typed, loss: Loss, trial: int, budget: int) -> float:
    """Return the least loss of one trial of a search of the suite."""
    trials = start_trials(node, space, [numpy_generator(0, "nas trial", trial)])
    (trace,) = run_trials(trials, lambda rows: loss([space.values(row) for row in rows]), budget=budget)
    return float(trace.losses.min())


def tpe(parameters: dict[str, Any], loss: Loss, trial: int, budget: int) -> float:
    """Return the least loss of one trial of Optuna's TPE, multivariate and by group."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

    def suggest(asked: optuna.Trial) -> float:
        values: dict[str, Any] = {}
        for name, entry in parameters.items():
            if any(values.get(other) not in allowed for other, allowed in entry.get("when", {}).items()):
                continue
            if "cell" in entry:
                values[name] = [asked.suggest_categorical(f"{name}{edge}", range(5)) for edge in range(6)]
            elif "choice" in entry or "ordinal" in entry:
                values[name] = asked.suggest_categorical(name, entry.get("choice") or entry["ordinal"])
            else:
                kind = "int" if "int" in entry else "float"
                ask = asked.suggest_int if kind == "int" else asked.suggest_float
                values[name] = ask(name, *entry[kind], log=entry.get("log", False))
        return float(loss([values])[0])

    seed = stream_seed(0, "optuna", trial) % 2**31
    sampler = optuna.samplers.TPESampler(multivariate=True, group=True, seed=seed)
    study = optuna.create_study(sampler=sampler)
    study.optimize(suggest, n_trials=budget)
    return float(study.best_value)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--cases", default="jahs,3945,167104,189354")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {"settings": {"trials": options.trials, "budget": options.budget}}
    for case in options.cases.split(","):
        parameters, loss, optimum = product(options.root) if case == "jahs" else lcbench(options.root, case)
        space, ends = Typed(parameters), {}
        found[case] = {"optimum": optimum}
        for name in (*OURS, "optuna_tpe"):
            begun, regrets = time.process_time(), []
            for trial in range(options.trials):
                best = (
                    ours(OURS[name], space, loss, trial, options.budget)
                    if name in OURS
                    else tpe(parameters, loss, trial, options.budget)
                )
                regrets.append(best - optimum)
            spent = (time.process_time() - begun) / options.trials
            ends[name] = np.array(regrets)
            error = ends[name].std(ddof=1) / options.trials**0.5 if options.trials > 1 else 0.0
            found[case][name] = {"regret": float(np.mean(regrets)), "sem": float(error), "cpu": spent}
            print(case, name, *(f"{k} {v:.3g}" for k, v in found[case][name].items()), flush=True)
        adjusted = holm([paired(ends[name], ends["optuna_tpe"]).p for name in OURS])
        for name, p in zip(OURS, adjusted, strict=True):
            found[case][name]["p_tpe"] = float(p)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
