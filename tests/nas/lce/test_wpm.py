"""WPM: families, fits, the chain's law, calibration (A14)."""

import numpy as np
import pytest
import torch

from sevenfold.nas.lce.families import FAMILIES
from sevenfold.nas.lce.wpm import WPM, Chains, fit

TIMES = torch.arange(1, 21, dtype=torch.float64)


def curve(family, theta: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    return family.curve(theta[..., None], times)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_finds_its_own_curve(family) -> None:
    theta = torch.tensor([family.mean], dtype=torch.float64) + 0.05
    y = curve(family, theta, TIMES)
    found, factor = fit(family, y, TIMES)
    assert (curve(family, found, TIMES) - y).abs().max() < 2e-3
    assert torch.isfinite(factor).all()


def test_families_by_hand() -> None:
    """At t = 3 with simple parameters; Hill3 has kappa^eta, which the authors' code has as kappa * eta."""
    t, log = torch.tensor([3.0], dtype=torch.float64), np.log
    wanted = {
        "vapor_pressure": ((0.1, 0.3, 0.2), 0.1 + 0.1 + 0.2 * log(3)),
        "pow3": ((0.9, log(0.5), log(2)), 0.9 - 0.5 * 3**-2),
        "log_log_linear": ((log(0.2), log(1.5)), log(0.2 * log(3) + 1.5)),
        "log_power": ((log(0.8), 1.0, log(0.5)), 0.8 / (1 + (3 / np.e) ** -0.5)),
        "pow4": ((0.9, log(2), log(1.5), log(0.5)), 0.9 - 7.5**-0.5),
        "mmf": ((0.9, 0.2, log(0.5), log(2)), 0.9 - 0.7 / (1 + 1.5**2)),
        "exp4": ((0.9, log(0.2), log(2), -0.5), 0.9 - np.exp(-0.2 * 9 - 0.5)),
        "janoschek": ((0.9, 0.2, log(0.1), log(2)), 0.9 - 0.7 * np.exp(-0.9)),
        "weibull": ((0.9, 0.2, log(0.5), log(2)), 0.9 - 0.7 * np.exp(-(1.5**2))),
        "ilog2": ((0.9, log(0.3)), 0.9 - 0.3 / log(4)),
        "hill3": ((log(0.9), log(2), log(1.5)), 0.9 * 9 / (1.5**2 + 9)),
    }
    for family in FAMILIES:
        theta, value = wanted[family.name]
        assert float(curve(family, torch.tensor([theta], dtype=torch.float64), t)) == pytest.approx(value)


def test_a_refused_move_leaves_the_chain_as_it_was(monkeypatch) -> None:
    """The authors' chain adds proposals in place, so that refused ones change it all the same."""
    y = torch.linspace(0.3, 0.8, 20, dtype=torch.float64)[None]
    chains = Chains.start(y, torch.cat([TIMES, torch.tensor([100.0], dtype=torch.float64)]), 3)
    before = [p.clone() for p in chains.parameters], chains.logits.clone(), chains.log_sigma.clone()
    values = chains.values.clone()
    monkeypatch.setattr(Chains, "log_density", lambda self, mixed, sigma: torch.full(sigma.shape, -torch.inf))
    chains.density = torch.zeros(1, 3, dtype=torch.float64)
    accepted = chains.sweep(torch.Generator().manual_seed(0), adapt=False)
    assert accepted.item() == 0 and torch.equal(chains.values, values)
    assert all(torch.equal(a, b) for a, b in zip(before[0], chains.parameters, strict=True))
    assert torch.equal(before[1], chains.logits) and torch.equal(before[2], chains.log_sigma)


def test_kept_quantities_are_those_of_the_state() -> None:
    y = torch.as_tensor(0.8 - 0.5 * np.arange(1, 21.0) ** -0.6)[None]
    chains = Chains.start(y, torch.cat([TIMES, torch.tensor([100.0], dtype=torch.float64)]), 4)
    generator = torch.Generator().manual_seed(1)
    for _ in range(30):
        chains.sweep(generator, adapt=True)
    values = torch.stack(
        [curve(f, p, chains.times) for f, p in zip(FAMILIES, chains.parameters, strict=True)], dim=2
    )
    mixed = (chains.logits.softmax(-1)[..., None] * values).sum(-2)
    assert torch.allclose(mixed, chains.mixed) and torch.allclose(values, chains.values)
    assert torch.allclose(chains.log_density(mixed, chains.log_sigma), chains.density)


@pytest.mark.slow
def test_a14_calibration_on_power_laws() -> None:
    """200 curves c - a t^-alpha, noise 0.5 points, 20 of 100 epochs seen."""
    rng = np.random.default_rng(0)
    c, a, alpha = rng.uniform(60, 95, 200), rng.uniform(20, 45, 200), rng.uniform(0.3, 1.0, 200)
    clean = c[:, None] - a[:, None] * np.arange(1, 101) ** -alpha[:, None]
    seen = (clean + 0.5 * rng.standard_normal(clean.shape))[:, :20]
    model = WPM().fit(clean, None, seen=20, end=100, stream=rng)
    found = model.posterior(seen)
    low, high = np.quantile(found.ends, [0.1, 0.9], axis=1)
    covered = ((low <= clean[:, -1]) & (clean[:, -1] <= high)).mean()
    assert 0.65 <= covered <= 0.95
    assert np.median(np.abs(found.ends.mean(axis=1) - clean[:, -1])) <= 1.5
    assert 0.1 <= found.acceptance.mean() <= 0.6
