"""Extrapolators on curves with a known end, and on real ones where these are at hand."""

from pathlib import Path

import numpy as np
import pytest

from sevenfold.config import ConfigError, build
from sevenfold.errors import InputError
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.lce import EXTRAPOLATORS
from sevenfold.nas.lce.base import Seen
from sevenfold.nas.lce.features import published_features, smooth_features
from sevenfold.nas.lce.study import r2, tau, trial
from sevenfold.nas.lce.tables import curve_table

ROOT = Path(__file__).resolve().parents[3] / "../shared/data/nas"
SHORT = {"wpm": {"steps": 20, "chains": 2}}
LEARNED = [name for name in EXTRAPOLATORS if name in ("pool", "pow3", "ridge", "svr")]


def power_laws(n: int, epochs: int, noise: float, seed: int = 0):
    """Curves c - a t^-alpha with noise, and their losses."""
    rng = np.random.default_rng(seed)
    c, a, alpha = rng.uniform(60, 95, n), rng.uniform(20, 45, n), rng.uniform(0.3, 1.0, n)
    t = np.arange(1, epochs + 1)
    clean = c[:, None] - a[:, None] * t ** -alpha[:, None]
    return clean + noise * rng.standard_normal(clean.shape), (100 - clean) / 50, clean


@pytest.mark.parametrize("name", EXTRAPOLATORS)
def test_one_prediction_a_training_whatever_else_is_predicted(name: str) -> None:
    curves, losses, _ = power_laws(60, 40, 0.5)
    model = build(EXTRAPOLATORS, {"name": name, **SHORT.get(name, {})}, "extrapolator")
    model.fit(curves[:30], losses[:30], seen=10, end=40, stream=np.random.default_rng(1))
    seen = Seen(curves[30:, :10], losses[30:, :10])
    together = model.predict(seen)
    alone = np.concatenate([model.predict(seen.part(np.array([i]))) for i in range(4)])
    assert together.shape == (30,)
    assert np.allclose(together[:4], alone, atol=1e-6) != model.together
    assert tau(together, curves[30:, -1]) > 0.3


@pytest.mark.parametrize("name", LEARNED)
def test_what_is_learned_beats_the_last_value_on_power_laws(name: str) -> None:
    curves, losses, clean = power_laws(300, 60, 0.3)
    model = build(EXTRAPOLATORS, {"name": name}, "extrapolator")
    model.fit(curves[:100], losses[:100], seen=12, end=60, stream=np.random.default_rng(2))
    truth = clean[100:, -1]
    error = np.abs(model.predict(Seen(curves[100:, :12])) - truth).mean()
    assert error < 0.4 * np.abs(curves[100:, 11] - truth).mean()


def test_pow3_is_the_posterior_mean_of_one_alpha() -> None:
    """With one alpha the answer is Bayesian linear regression, solved here by the normal equations."""
    curves, _, _ = power_laws(50, 30, 0.5)
    model = build(EXTRAPOLATORS, {"name": "pow3", "alphas": [0.5, 0.5000001], "points": 2}, "extrapolator")
    model.fit(curves[:40], None, seen=8, end=30, stream=np.random.default_rng(0))
    x = np.stack([np.ones(8), -(np.arange(1.0, 9) ** -0.5)], axis=1)
    precision = np.linalg.inv(model.covariance[0])
    for y, found in zip(curves[40:, :8], model.predict(Seen(curves[40:, :8])), strict=True):
        right = x.T @ y / model.noise[0] + precision @ model.mean[0]
        weights = np.linalg.solve(x.T @ x / model.noise[0] + precision, right)
        assert found == pytest.approx(weights[0] - weights[1] * 30**-0.5, abs=1e-4)


def test_baselines_by_hand() -> None:
    seen = Seen(np.array([[10.0, 30.0, 20.0]]), np.array([[2.0, 1.0, 0.5]]))
    wanted = {"last": 20.0, "best": 30.0, "mean_last": 20.0, "tse": -(0.81 * 2 + 0.9 + 0.5)}
    for name, value in wanted.items():
        assert build(EXTRAPOLATORS, {"name": name}, "e").predict(seen)[0] == pytest.approx(value)


def test_features_by_hand() -> None:
    seen = Seen(np.array([[10.0, 30.0, 20.0]]), np.array([[2.0, 1.0, 0.0]]))
    spread = np.std([0.1, 0.3, 0.2])
    wanted = [0.1, 0.3, 0.2, 0.2, -0.1, -0.3, 0.2, spread, 2, 1, 0, 3]
    assert np.allclose(published_features(seen)[0], wanted)
    assert np.allclose(smooth_features(seen)[0], [0.3, 0.2, 0.2, 0.1, 0.3, 0.2, spread, 2, 1, 0, 3])


def test_trainings_at_chance_are_told_apart_and_do_not_bend_the_regression() -> None:
    curves, _, _ = power_laws(80, 30, 0.2)
    curves[::8] = 10.0
    model = build(EXTRAPOLATORS, {"name": "ridge"}, "e")
    model.fit(curves[:40], None, seen=10, end=30, stream=np.random.default_rng(0))
    found = model.predict(Seen(curves[40:, :10]))
    assert (found[::8] == 10).all() and (np.delete(found, np.arange(0, 40, 8)) > 40).all()


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"name": "svr", "draws": 0}, "draws: expected a number from 1"),
        ({"name": "tse", "decay": 0.0}, "decay: expected a number above 0"),
        ({"name": "rigde"}, "Did you mean .ridge."),
    ],
)
def test_bad_options_are_named(node, message) -> None:
    with pytest.raises(ConfigError, match=message):
        build(EXTRAPOLATORS, node, "extrapolator")


def test_what_cannot_be_learned_or_read_says_why() -> None:
    flat = np.full((20, 12), 10.0)
    with pytest.raises(InputError, match="0 of 20 trainings are above chance after 4 epochs"):
        build(EXTRAPOLATORS, {"name": "ridge"}, "e").fit(
            flat, None, seen=4, end=12, stream=np.random.default_rng(0)
        )
    with pytest.raises(InputError, match="no train/loss"):
        build(EXTRAPOLATORS, {"name": "tse"}, "e").predict(Seen(flat))


def test_digits_curves_are_one_training_of_each_network() -> None:
    table = curve_table(load_benchmark("digits-nb201"))
    assert table.curves.shape == (5425, 20) and table.losses.shape == (5425, 20)


@pytest.mark.skipif(not ROOT.is_dir(), reason="the shared NAS tables are absent")
@pytest.mark.slow
def test_a13_improved_lcsvr_on_real_curves() -> None:
    """100 training curves, 500 test curves, 20 of 100 epochs, ten splits."""
    table = curve_table(load_benchmark("spikenas", root=str(ROOT)))
    means = {}
    nodes = {"svr": {"name": "svr"}, "losses": {"name": "svr", "losses": True}, "mean": {"name": "mean_last"}}
    for label, node in nodes.items():
        found = [
            trial(
                table, build(EXTRAPOLATORS, node, "e"), seen=20, train=100, test=500, seed=seed, chance=10.0
            )
            for seed in range(10)
        ]
        means[label] = {name: np.mean([one[name] for one in found]) for name in found[0]}
    assert means["svr"]["tau"] >= 0.68 and means["svr"]["tau"] >= means["mean"]["tau"]
    assert means["svr"]["alive_r2"] >= 0.75
    assert means["losses"]["tau"] >= 0.72


@pytest.mark.skipif(not ROOT.is_dir(), reason="the shared NAS tables are absent")
def test_a_table_without_curves_is_refused() -> None:
    with pytest.raises(InputError, match="has no learning curves of val/acc"):
        curve_table(load_benchmark("nb201-cifar", root=str(ROOT), dataset="cifar100/200"))


def test_scores_by_hand() -> None:
    truth = np.array([1.0, 2.0, 3.0])
    assert r2(truth, truth) == 1 and r2(np.full(3, 2.0), truth) == 0
    assert tau(truth, truth) == 1 and tau(np.ones(3), truth) == 0
