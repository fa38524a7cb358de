"""Time debiasing on COMPAS-sized data: ``python benchmarks/debias_speed.py [ROOT]`` (CPU seconds, one
thread).

ROOT is the folder of the real tables; without it rows of the same shape are drawn. Both sides of every ratio
are
measured in this run.
"""

import copy
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sevenfold.fairness.data.compas import Compas  # noqa: E402
from sevenfold.fairness.data.table import split_table  # noqa: E402
from sevenfold.fairness.intra.adversarial import Adversarial, Schedule  # noqa: E402
from sevenfold.fairness.intra.base import Problem  # noqa: E402
from sevenfold.fairness.intra.finetune import FineTune  # noqa: E402
from sevenfold.fairness.intra.layerwise import LayerWise  # noqa: E402
from sevenfold.fairness.intra.random import RandomPerturbation  # noqa: E402
from sevenfold.fairness.intra.rank_one import RankOne  # noqa: E402
from sevenfold.fairness.network import Logits  # noqa: E402
from sevenfold.fairness.objective import Objective  # noqa: E402
from sevenfold.fairness.post.reject_option import RejectOption  # noqa: E402
from sevenfold.fairness.training import new_network  # noqa: E402


def rows(root: str | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    if root is not None:
        part = split_table(Compas(root=root).load(), "race", 1).val
        return part.x, part.y, part.a
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1233, 401, generator=generator)
    return x, (x[:, 0] > 0).long(), (x[:, 1] > 0).long()


def cpu(call: Callable[[], object], repeats: int = 3) -> float:
    call()
    times = []
    for _ in range(repeats):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return min(times)


def loop_with_copies(problem: Problem, method: RandomPerturbation) -> None:
    """What one writes by hand: a copy of the network for each draw, a threshold for each."""
    weights = problem.state()
    for trial in range(method.trials):
        network = copy.deepcopy(problem.network).eval()
        network.load_state_dict({**network.state_dict(), **method.draw(weights, problem.seed, trial)})
        with torch.no_grad():
            problem.best(network(problem.x)[None])


def loop_with_grid(problem: Problem, trials: int) -> None:
    """What the public code does: 501 thresholds, five resamples, metrics one after another (numpy here)."""
    scores, y, a = problem.scores().sigmoid().numpy(), problem.y.numpy(), problem.a.numpy()
    stream = np.random.default_rng(0)
    for _ in range(trials):
        for threshold in np.linspace(0, 1, 501):
            for _ in range(5):
                pick = stream.integers(len(y), size=len(y))
                d, t, g = scores[pick] > threshold, y[pick], a[pick]
                (d[t == 1].mean() + 1 - d[t == 0].mean()) / 2, d[g == 0].mean() - d[g == 1].mean()


def aif360_reject_option(problem: Problem) -> Callable[[], object] | None:
    try:
        warnings.simplefilter("ignore")
        import pandas
        from aif360.algorithms.postprocessing import RejectOptionClassification
        from aif360.datasets import BinaryLabelDataset
    except ImportError:
        return None
    frame = pandas.DataFrame({"a": problem.a.numpy(), "y": problem.y.numpy()}).astype(float)
    true = BinaryLabelDataset(df=frame, label_names=["y"], protected_attribute_names=["a"])
    predicted = true.copy(deepcopy=True)
    predicted.scores = problem.scores().sigmoid().double().numpy()[:, None]
    post = RejectOptionClassification(
        unprivileged_groups=[{"a": 0}],
        privileged_groups=[{"a": 1}],
        metric_name="Statistical parity difference",
    )
    return lambda: post.fit(true, predicted)


def main() -> None:
    torch.set_num_threads(1)
    x, y, a = rows(sys.argv[1] if len(sys.argv) > 1 else None)
    network = new_network(x.shape[1], 1, width=32, depth=10, dropout=0.2)
    problem = Problem(Logits(network), x, y, a, Objective(), seed=1)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    print(f"commit {commit.stdout.strip()}, {len(y)} rows, {x.shape[1]} features; CPU seconds, one thread\n")
    paper = RandomPerturbation(scope="all", sigmas=[0.1])
    hundred = cpu(lambda: paper.fit(problem))
    thousand = cpu(lambda: RandomPerturbation(scope="all", sigmas=[0.1], trials=1000).fit(problem), 1)
    loop = cpu(lambda: loop_with_copies(problem, paper))
    grid = cpu(lambda: loop_with_grid(problem, 1), 1) * 101
    scores = problem.scores().sigmoid()
    ours = cpu(lambda: RejectOption(two_sided=False).fit(scores, y, a, Objective()))
    print(f"random perturbation, 101 candidates        {hundred:8.3f}   (aim 1)")
    print(f"random perturbation, 1,000 candidates      {thousand:8.3f}   (aim 6)")
    print(f"  101 by copies in a loop                  {loop:8.3f}   ratio {loop / hundred:.1f}")
    print(f"  501 x 5 thresholds for 101 (from one)    {grid:8.3f}   ratio {grid / hundred:.0f}")
    print(f"one exact sweep                            {cpu(lambda: problem.best(scores[None])):8.5f}")
    print(f"rank-one                                   {cpu(lambda: RankOne().fit(problem)):8.3f}")
    print(f"fine-tuning, 150 steps                     {cpu(lambda: FineTune().fit(problem), 1):8.3f}")
    layers = LayerWise(scope="tensors", tensors=5, calls=20, optimizer={"name": "gbrt"})
    print(f"layer-wise, 5 tensors x 20 calls           {cpu(lambda: layers.fit(problem), 1):8.3f}   (aim 10)")
    one = Adversarial(critic="flatten", schedule=Schedule(epochs=1, critic=201, actor=301))
    print(
        f"adversarial, 32 x (201 + 301) (from one)   {32 * cpu(lambda: one.fit(problem), 1):8.1f}   (aim 120)"
    )
    print(f"reject option, 100 x 50                    {ours:8.4f}   (aim 0.05)")
    theirs = aif360_reject_option(problem)
    if theirs is not None:
        began = time.process_time()
        theirs()
        seconds = time.process_time() - began
        print(f"  aif360                                   {seconds:8.2f}   ratio {seconds / ours:.0f}")


if __name__ == "__main__":
    main()
