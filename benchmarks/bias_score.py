"""Bias scores beside the rank-one edit on Adult: ``python benchmarks/bias_score.py ROOT [SEEDS]``.

ROOT is the folder of the real tables. Prints test balanced accuracy, mean |bias| and how many networks are
within .05 of both methods, with and without sex among the features, and the CPU seconds of one fit (one
thread). Both sides of every ratio are measured in this run.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sevenfold.fairness.confusion import counts  # noqa: E402
from sevenfold.fairness.data.adult import Adult  # noqa: E402
from sevenfold.fairness.data.table import Split, split_table  # noqa: E402
from sevenfold.fairness.groups import Groups  # noqa: E402
from sevenfold.fairness.intra.base import Method, Problem  # noqa: E402
from sevenfold.fairness.intra.bias_score import BiasScore  # noqa: E402
from sevenfold.fairness.intra.rank_one import RankOne  # noqa: E402
from sevenfold.fairness.measures import bias, performance  # noqa: E402
from sevenfold.fairness.network import Logits, TabularNet  # noqa: E402
from sevenfold.fairness.objective import Objective  # noqa: E402
from sevenfold.fairness.post.group_thresholds import GroupThresholds  # noqa: E402
from sevenfold.fairness.threshold import sweep  # noqa: E402
from sevenfold.fairness.training import Training, area_under_curve, new_network, train_copies  # noqa: E402

METHODS: dict[str, Method] = {"bias_score": BiasScore(), "rank_one, refine 2": RankOne(refine=2)}


def base(split: Split, seed: int) -> TabularNet:
    network = new_network(split.train.x.shape[1], seed, width=32, depth=1, dropout=0.2)
    rules = Training(batch_size=256, max_epochs=60, patience=15)
    rows = [(split.train.x, split.train.y)], [(split.val.x, split.val.y)]
    return train_copies([network], *rows, rules, [seed])[0]


def judge(method: Method, split: Split, network: TabularNet, measure: str) -> tuple[float, float, float]:
    """Return test balanced accuracy, |bias| and the CPU seconds of the fit."""
    val, test = split.val, split.test
    problem = Problem(Logits(network, "logit"), val.x, val.y, val.a, Objective(measure=measure))
    began = time.process_time()
    result = method.fit(problem)
    seconds = time.process_time() - began
    table = counts(problem.scores_of(result, test.x).double() > result.threshold, test.y, test.a)
    return float(performance("balanced_accuracy", table)), abs(float(bias(measure, table))), seconds


def table(root: str, seeds: int) -> None:
    people = Adult(root=root).load()
    for drop in (True, False):
        splits = [split_table(people, "sex", seed, drop_protected=drop) for seed in range(101, 101 + seeds)]
        networks = [base(split, seed) for seed, split in enumerate(splits)]
        with torch.no_grad():
            pairs = zip(networks, splits, strict=True)
            auc = [float(area_under_curve(n(s.test.x)[:, 0], s.test.y)) for n, s in pairs]
        print(f"\nAdult {'without' if drop else 'with'} sex, base AUC {np.mean(auc):.3f}")
        for measure in ("spd", "eod", "eqodds"):
            for name, method in METHODS.items():
                rows = [judge(method, *pair, measure) for pair in zip(splits, networks, strict=True)]
                accuracy, gap, seconds = np.array(rows).T
                inside = int((gap < 0.05).sum())
                print(f"{measure:7} {name:20} {accuracy.mean():.3f} / {gap.mean():.3f} / {inside} of {seeds}"
                      f"   {seconds.mean():.2f} CPU s")  # fmt: skip


def speed() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(81, 9000, generator=generator)
    y = torch.randint(2, (9000,), generator=generator)
    for k in (2, 16):
        groups = Groups.of({"g": torch.randint(k, (9000,), generator=generator)})
        began = time.process_time()
        sweep(scores, y, groups, Objective(measure="gap(selection)"))
        print(f"sweep of 81 x 9,000, {k:2} groups        {time.process_time() - began:.3f} CPU s")
    groups = Groups.of({"g": torch.randint(10, (4000,), generator=generator)})
    began = time.process_time()
    GroupThresholds().fit(scores[0, :4000], y[:4000], groups, Objective(measure="gap(selection)"))
    print(f"group thresholds, 10 groups, 4,000 rows {time.process_time() - began:.4f} CPU s")


def main() -> None:
    torch.set_num_threads(1)
    speed()
    if len(sys.argv) > 1:
        table(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5)


if __name__ == "__main__":
    main()
