"""The exact threshold sweep against brute force; objectives and margins."""

import numpy as np
import pytest
import torch

from sevenfold.config import ConfigError
from sevenfold.fairness.confusion import counts
from sevenfold.fairness.inference import interval
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.threshold import Search, best_threshold, resamples, sweep


def draw(stream: np.random.Generator, ties: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    n = int(stream.integers(2, 60))
    scores = stream.integers(-4, 5, n) / 2 if ties else stream.standard_normal(n)
    return torch.as_tensor(scores, dtype=torch.float64), *map(torch.as_tensor, stream.integers(0, 2, (2, n)))


def brute_force(
    s: torch.Tensor, y: torch.Tensor, a: torch.Tensor, objective: Objective, thresholds: torch.Tensor
) -> tuple[float, float]:
    """Return the best phi over some thresholds, and the least |mu| among those of the best phi."""
    result = []
    for threshold in thresholds.tolist():
        phi, _, mu = objective.value(counts(s > threshold, y, a))
        result.append((float(phi), abs(float(mu)) if mu == mu else 1e9))
    best = max(phi for phi, _ in result)
    return best, min(mu for phi, mu in result if phi >= best - 1e-12)


@pytest.mark.parametrize("measure", ["spd", "eod", "aod"])
@pytest.mark.parametrize("kind", ["constrained", "smooth", "linear"])
def test_the_exact_sweep_equals_brute_force(measure: str, kind: str) -> None:
    stream = np.random.default_rng(3)
    objective = Objective(measure=measure, epsilon=0.2, kind=kind)
    for case in range(60):
        s, y, a = draw(stream, ties=case % 2 == 0)
        every = torch.cat([s.unique(), torch.tensor([torch.inf, -torch.inf], dtype=s.dtype)])
        best = best_threshold(s[None], y, a, objective)
        phi, mu = brute_force(s, y, a, objective, every)
        assert float(best.phi[0]) == pytest.approx(phi, abs=1e-12)
        if mu < 1e9:
            assert abs(float(best.mu[0])) == pytest.approx(mu, abs=1e-12)
        again = objective.value(counts(s > best.threshold[0], y, a))
        assert float(again[0]) == pytest.approx(float(best.phi[0]), abs=1e-12)
        grid = best_threshold(s[None], y, a, objective, Search(search="grid", points=101))
        assert grid.phi[0] <= best.phi[0] + 1e-12
        direct = objective.value(counts(s > grid.threshold[0], y, a))[0]
        assert float(direct) == pytest.approx(float(grid.phi[0]), abs=1e-12)


def test_candidates_do_not_influence_each_other() -> None:
    stream = np.random.default_rng(5)
    y, a = map(torch.as_tensor, stream.integers(0, 2, (2, 50)))
    scores = torch.as_tensor(stream.standard_normal((7, 50)))
    together = best_threshold(scores, y, a, Objective())
    for i in range(7):
        alone = best_threshold(scores[i : i + 1], y, a, Objective())
        assert alone.threshold[0] == together.threshold[i] and alone.phi[0] == together.phi[i]


def test_neighboring_floats_are_separated() -> None:
    high = torch.tensor(0.1, dtype=torch.float64)
    s = torch.stack([high, torch.nextafter(high, torch.tensor(0.0, dtype=torch.float64))])
    result = sweep(s[None], torch.tensor([1, 0]), torch.tensor([0, 1]), Objective())
    assert (s > result.thresholds[0, 1]).tolist() == [True, False]


def test_the_bootstrap_objective_is_the_mean_over_repeated_rows() -> None:
    stream = np.random.default_rng(6)
    s, y, a = (
        torch.as_tensor(stream.standard_normal(40)),
        *map(torch.as_tensor, stream.integers(0, 2, (2, 40))),
    )
    objective, weights = Objective(epsilon=0.3), resamples(40, 5, 0)
    result = sweep(s[None], y, a, objective, weights)
    for place in (3, 17, 30):
        threshold, values = result.thresholds[0, place], []
        for w in weights:
            rows = torch.repeat_interleave(torch.arange(40), w.long())
            values.append(float(objective.value(counts(s[rows] > threshold, y[rows], a[rows]))[0]))
        assert float(result.phi[0, place]) == pytest.approx(np.mean(values), abs=1e-12)
    assert (weights.sum(1) == 40).all() and torch.equal(weights, resamples(40, 5, 0))


def test_default_objective_prefers_any_useful_decision_to_a_constant() -> None:
    y, a = torch.tensor([0, 1] * 20), torch.tensor([0, 0, 1, 1] * 10)
    scores = y + 0.0
    scores[:2] = 1 - scores[:2]  # nearly right
    objective = Objective(epsilon=0.2)
    useful, constant = (objective.value(counts(d, y, a))[0] for d in (scores > 0.5, torch.ones(40)))
    assert useful > constant == 0.5
    # the linear form is the one in which a constant is nearly best: a quarter of the minority's share
    rare = (torch.arange(100) < 24).long()
    linear = Objective(kind="linear")
    value = linear.value(counts(torch.zeros(100), rare, torch.arange(100) % 2))[0]
    assert float(-value) == pytest.approx(0.25 * 0.24)


def test_smooth_form_does_not_overflow() -> None:
    y, a = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    values = Objective(kind="smooth", sharpness=1e6).value(counts(a, y, a))
    assert values[0] == 0 and abs(values[2]) == 1


def test_automatic_margin_costs_and_keeps_the_upper_bound() -> None:
    stream = np.random.default_rng(8)
    a, y = map(torch.as_tensor, stream.integers(0, 2, (2, 4000)))
    s = torch.as_tensor(stream.standard_normal(4000)) + y + 0.3 * a
    fixed, auto = (
        best_threshold(s[None], y, a, Objective(epsilon=0.08, margin=margin)) for margin in (0.0, "auto")
    )
    assert auto.phi[0] <= fixed.phi[0]
    low, high = interval("spd", counts(s > auto.threshold[0], y, a), level=0.9)
    assert max(abs(low), abs(high)) < 0.08


@pytest.mark.parametrize(
    ("options", "key"),
    [({"measure": "spdd"}, "measure"), ({"epsilon": 0.0}, "epsilon"), ({"margin": 0.05}, "margin")],
)
def test_a_wrong_objective_is_refused(options: dict, key: str) -> None:
    with pytest.raises(ConfigError) as error:
        Objective(**options)
    assert error.value.key == key
