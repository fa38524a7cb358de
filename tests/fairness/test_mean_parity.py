"""Equal mean predictions of a regression: exact gaps, least change, intervals; a real table."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.fairness.groups import Groups
from sevenfold.fairness.intra.mean_parity import MeanParity
from sevenfold.fairness.outcomes import mean_gap, outcome_gaps


def people(k: int, n: int = 800) -> tuple[torch.Tensor, torch.Tensor, nn.Module]:
    generator = torch.Generator().manual_seed(k)
    cell = torch.randint(k, (n,), generator=generator)
    x = torch.randn(n, 5, generator=generator) + torch.randn(k, 5, generator=generator)[cell]
    with torch.random.fork_rng():
        torch.manual_seed(k)
        return x, cell, nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1))


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("where", ["input", "head"])
def test_check_22_the_gap_is_the_bound_exactly_for_any_number_of_groups(k: int, where: str) -> None:
    x, cell, network = people(k)
    groups = Groups.of({"g": cell}, small=0)
    weights = torch.rand(len(x), generator=torch.Generator().manual_seed(1)) + 0.5
    for w in (None, weights):
        result = MeanParity(bound=0.02, where=where).fit(network, x, groups, w)
        assert result.before.gap > 0.05 and abs(result.after.gap - 0.02) < 1e-9
        with torch.no_grad():
            before, after = network(x)[:, 0].double(), result.module(x)
        v = torch.ones(len(x)).double() if w is None else w.double()
        means = [float(v[cell == g] @ after[cell == g] / v[cell == g].sum()) for g in range(k)]
        assert abs(max(means) - min(means) - 0.02) < 1e-6  # one batch against several in float32
        assert abs(float(v @ (after - before)) / len(x)) < 1e-6
    loose = MeanParity(bound=100.0).fit(network, x, groups)
    assert loose.shift == 0 and loose.after == loose.before


def test_check_22_no_other_branch_with_this_gap_changes_less() -> None:
    x, cell, network = people(3)
    method = MeanParity(bound=0.05, ridge=1e-9)
    groups = Groups.of({"g": cell}, small=0)
    h = x.double()
    f = network(x)[:, 0].detach().double()
    slope = method.slope(f, h, groups)
    centered = h - h.mean(0)
    covariance = (centered.T @ centered / (len(h) - 1)).numpy()

    def gap(w: np.ndarray) -> float:
        moved = (f + h @ torch.as_tensor(w)).numpy()
        means = [moved[cell.numpy() == g].mean() for g in range(3)]
        return max(means) - min(means)

    ours = slope.numpy() @ covariance @ slope.numpy()
    constraint = {"type": "ineq", "fun": lambda w: 0.05 - gap(w)}
    least = ours
    for seed in range(4):
        start = slope.numpy() + 0.05 * np.random.default_rng(seed).standard_normal(5)
        found = scipy.optimize.minimize(
            lambda w: w @ covariance @ w, start, constraints=[constraint], method="SLSQP"
        )
        if gap(found.x) <= 0.05 + 1e-6:
            least = min(least, found.fun)
    # clipping to a window is the least change where the window is: a general search gains next to nothing
    assert ours <= 1.05 * least and abs(gap(slope.numpy()) - 0.05) < 1e-9
    two = MeanParity(bound=0.05, ridge=1e-9).slope(f, h, Groups(cell.clamp(max=1)))
    d = h[cell == 0].mean(0) - h[cell > 0].mean(0)
    mean = float(f[cell == 0].mean() - f[cell > 0].mean())
    s = torch.as_tensor(covariance)
    direction = torch.linalg.solve(s, d)
    closed = -direction * (mean - float(np.clip(mean, -0.05, 0.05))) / (d @ direction)
    assert (two - closed).abs().max() < 1e-6


def test_intervals_of_mean_gaps_are_welchs_and_cover() -> None:
    stream = np.random.default_rng(0)
    a, b = stream.standard_normal(30), 2 * stream.standard_normal(50) + 1
    people_ = Groups(torch.tensor([0] * 30 + [1] * 50))
    values = np.concatenate([a, b])
    ends = mean_gap(values, people_, level=0.95)
    reference = scipy.stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert ends.high == pytest.approx(reference.high, abs=1e-12) and ends.low == pytest.approx(
        max(0.0, reference.low), abs=1e-12
    )
    doubled = mean_gap(values, people_, weights=2 * np.ones(80), level=0.95)
    assert doubled == pytest.approx(ends, abs=1e-12)
    # skewed numbers of three groups, true gap 1
    cell = torch.tensor([0] * 40 + [1] * 60 + [2] * 100)
    shift = np.array([0.0, 0.4, 1.0])[cell.numpy()]
    covered = 0
    for _ in range(200):
        ends = mean_gap(stream.exponential(size=200) + shift, Groups.of(cell, small=0), level=0.95)
        covered += ends.low <= 1.0 <= ends.high
    assert covered >= 180  # .95 less more than three standard errors
    assert ends.verdict(5.0) == "met" and mean_gap(values, people_).verdict(1e-3) != "met"


def test_gaps_of_quantiles_and_distributions() -> None:
    stream = np.random.default_rng(1)
    a, b = stream.standard_normal(101), stream.standard_normal(101) + 2
    gaps = outcome_gaps(np.concatenate([a, b]), Groups(torch.tensor([0] * 101 + [1] * 101)))
    assert gaps["distribution"] == pytest.approx(scipy.stats.ks_2samp(a, b).statistic)
    assert gaps["quantile 0.5"] == pytest.approx(abs(np.median(a) - np.median(b)))
    assert gaps["mean"] == pytest.approx(b.mean() - a.mean())


def test_misuse_ends_in_one_line() -> None:
    x, cell, network = people(2)
    both = Groups.of({"a": [0, 0, 1, 1], "b": [0, 1, 0, 1]}, small=0)
    cases = [
        (lambda: MeanParity(bound=-1.0), "bound"),
        (lambda: MeanParity().fit(nn.Linear(5, 2), x, cell), "one number a row"),
        (lambda: MeanParity().fit(network, x, cell[:10]), "10"),
        (lambda: MeanParity().fit(network, x, torch.zeros(800)), "one group"),
        (lambda: mean_gap([1.0, np.nan], Groups(torch.tensor([0, 1]))), "finite"),
        (lambda: mean_gap(np.ones(4), both), "one attribute"),
        (lambda: mean_gap(np.ones(4), Groups.of([0, 0, 1, 1])), "large enough"),
    ]  # fmt: skip
    for call, message in cases:
        with pytest.raises((InputError, ConfigError), match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
    same = torch.cat([x, x])
    twice = torch.arange(1600) // 800
    network[0].weight.data[:, 0] = 0
    values = torch.randn(1600) + twice
    with pytest.raises(InputError, match="no linear branch"):
        MeanParity().slope(values.double(), same.double(), Groups(twice))


def test_check_22_communities_and_crime(real_root: Path) -> None:
    path = real_root / "communities_crime.csv.gz"
    with gzip.open(path, "rt") as handle:
        table = list(csv.DictReader(handle))
    outcome = np.array([float(row["ViolentCrimesPerPop"]) for row in table])
    share = np.array([float(row["racepctblack"]) for row in table])
    group = torch.as_tensor(share > np.median(share)).long()
    left = ("state", "communityname", "fold", "ViolentCrimesPerPop", "racepctblack", "racePctWhite", "county",
            "community")  # fmt: skip
    names = [
        name for name in table[0] if name not in left and all(row[name] not in ("", "?") for row in table)
    ]
    x = torch.tensor([[float(row[name]) for name in names] for row in table])
    y = torch.as_tensor(outcome).float()
    errors, gaps, bases = [], [], []
    for seed in range(3):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        train, val, test = order[:1196], order[1196:1595], order[1595:]
        scaled = (x - x[train].mean(0)) / x[train].std(0).clamp(min=1e-6)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = nn.Sequential(nn.Linear(x.shape[1], 32), nn.ReLU(), nn.Linear(32, 1))
        optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.1)
        for _ in range(120):
            optimizer.zero_grad()
            ((network(scaled[train])[:, 0] - y[train]) ** 2).mean().backward()
            optimizer.step()
        result = MeanParity().fit(network, scaled[val], group[val])
        with torch.no_grad():
            base, fair = network(scaled[test])[:, 0], result.module(scaled[test])
        people_ = Groups(group[test])
        bases.append(mean_gap(base, people_).gap)
        gaps.append(mean_gap(fair, people_).gap)
        errors.append(float(((fair - y[test]) ** 2).mean().sqrt()))
    print(f"base gap {np.mean(bases):.3f}, gap {np.mean(gaps):.3f}, RMSE {np.mean(errors):.3f}")
    assert np.mean(bases) >= 0.19 and np.mean(gaps) <= 0.03 and np.mean(errors) <= 0.18
