"""The prior-fitted network: laws of its tokens, attention, density, prior and training."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.nas.lce.base import Seen
from sevenfold.nas.lce.pfn.extrapolator import PFN, BarDensity
from sevenfold.nas.lce.pfn.network import CurvePFN
from sevenfold.nas.lce.pfn.prior import LONGEST, SLOTS, Draw, _noise, draw_tasks, learning_shape
from sevenfold.nas.lce.pfn.tokens import FEATURES, tokens
from sevenfold.nas.lce.pfn.train import Training, rate
from sevenfold.nas.lce.pfn.weights import write_weights
from sevenfold.nas.studies.curve_pfn import STORED, WEIGHTS, CurvePFNTraining
from sevenfold.seeding import torch_generator
from sevenfold.study import Context

SMALL = {"width": 16, "layers": 2, "heads": 2}


def network() -> CurvePFN:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return CurvePFN(**SMALL).eval()


def curves(n: int, epochs: int = 30, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(1, epochs + 1)
    clean = rng.uniform(60, 90, (n, 1)) - 40 * t ** -rng.uniform(0.3, 1, (n, 1))
    return clean + rng.standard_normal((n, epochs))


@pytest.fixture
def model(tmp_path: Path) -> PFN:
    write_weights(network(), tmp_path / WEIGHTS, {})
    return PFN(weights=str(tmp_path / WEIGHTS))


def naive_features(ys: list[np.ndarray], horizon: int, end: int) -> np.ndarray:
    """The definition (specified features of a token), curve by curve."""

    def noise_of(y: np.ndarray) -> float:
        c = len(y)
        squares = [(y[i] - y[i - 1]) ** 2 for i in range(1, c) if i + 1 > c / 2]
        return math.sqrt(np.mean(squares) / 2) if squares else 0.0

    lasts = np.array([y[-1] for y in ys])
    m, low = np.median(lasts), min(map(np.min, ys))
    span = max(map(np.max, ys)) - low
    mad = 1.4826 * np.median(np.abs(lasts - m))
    s = math.sqrt(mad**2 + np.median([noise_of(y) for y in ys]) ** 2 + (0.001 * span) ** 2)
    rows = []
    for y in ys:
        c = len(y)
        late = [i for i in range(1, c + 1) if i > c / 2]
        slope = np.polyfit(late, y[np.array(late) - 1], 1)[0] if len(late) > 1 else 0.0
        quarter = [y[i - 1] for i in range(1, c + 1) if i > 0.75 * c]
        row = [c / end, horizon / end, math.log(c) / 5, math.log(horizon - c) / 5, math.asinh(slope * c / s)]
        row += [math.log(max(noise_of(y) / s, 1e-3)), math.log(s / span)]
        middles = (y[-5:].mean(), y.max(), y[-1], np.mean(quarter), y.mean())
        row += [math.asinh((v - m) / s) for v in middles]
        at = np.array([y[math.ceil(k * c / 16) - 1] for k in range(1, 17)])
        rows.append([*row, *np.arcsinh((at - m) / s), *np.arcsinh((at - y[-1]) / s), *(at - low) / span])
    return np.array(rows)


def test_tokens_are_those_of_the_definition() -> None:
    whole, cuts = curves(5, 40), [1, 2, 7, 16, 33]
    expected = naive_features([y[:c] for y, c in zip(whole, cuts, strict=True)], 39, 40)
    present = torch.ones(1, 5, dtype=torch.bool)
    cut, horizon = torch.tensor([cuts]), torch.full((1, 5), 39)
    made = tokens(torch.from_numpy(whole)[None], cut, horizon, torch.tensor([40.0]), present)
    assert made.features.shape == (1, 5, FEATURES)
    np.testing.assert_allclose(made.features[0].numpy(), expected, atol=1e-5)


def test_what_is_not_seen_or_not_there_changes_no_token() -> None:
    values = torch.from_numpy(curves(6))[None]
    cuts, horizons = torch.full((1, 6), 9), torch.full((1, 6), 30)
    present = torch.tensor([[True, True, False, True, True, True]])
    made = tokens(values, cuts, horizons, torch.tensor([30.0]), present).features
    changed = values.clone()
    changed[:, :, 9:] = 1e6
    changed[:, 2] = -1e6
    again = tokens(changed, cuts, horizons, torch.tensor([30.0]), present).features
    assert torch.equal(made[present], again[present])


@pytest.mark.parametrize(("factor", "shift"), [(0.01, 0.0), (3.0, -70.0), (250.0, 1e3)])
@pytest.mark.parametrize("known", [0, 12])
def test_answers_move_with_the_unit_of_accuracies(
    model: PFN, factor: float, shift: float, known: int
) -> None:
    y, rng = curves(20), np.random.default_rng(0)
    answers = []
    for z in (y, factor * y + shift):
        model.fit(z[:known], None, seen=10, end=30, stream=rng)
        answers.append(model.predict(Seen(z[12:, :10])))
    np.testing.assert_allclose((answers[1] - shift) / factor, answers[0], rtol=1e-4)


def test_a_layer_is_softmax_attention_to_context_and_null_alone() -> None:
    layer = network().layers[0].double()
    x = torch.randn(1, 5, 16, dtype=torch.float64, generator=torch_generator(0, "x"))
    known = torch.tensor([[[[True, True, False, True]]]])  # null token, then three places
    with torch.no_grad():
        got = layer(x, known)[0]
        normed = layer.before(x[0])
        sources = [layer.null[0, 0], normed[0], normed[2]]
        for i in range(5):
            mixed = []
            for h in (slice(0, 8), slice(8, 16)):
                q = layer.query(normed[i])[h]
                keys = torch.stack([layer.both(one)[:16][h] for one in sources])
                values = torch.stack([layer.both(one)[16:][h] for one in sources])
                weights = torch.exp(keys @ q / math.sqrt(8))
                mixed.append(weights @ values / weights.sum())
            state = x[0, i] + layer.out(torch.cat(mixed))
            expected = state + layer.forth(layer.between(state))
            torch.testing.assert_close(got[i], expected, rtol=1e-9, atol=1e-9)


def test_no_answer_depends_on_another_question_nor_on_the_order_of_the_context() -> None:
    net, g = network(), torch_generator(1, "features")
    features, u = torch.randn(1, 9, FEATURES, generator=g), torch.randn(1, 5, generator=g)
    known = torch.tensor([[True, True, False, True, True]])
    with torch.no_grad():
        base = net(features, u, known)
        other = features.clone()
        other[:, 6:] = 7.0
        assert torch.equal(net(other, u, known)[:, 0], base[:, 0])
        order = torch.tensor([4, 2, 0, 1, 3])
        moved = torch.cat([features[:, order], features[:, 5:]], 1)
        torch.testing.assert_close(net(moved, u[:, order], known[:, order]), base)
        other = features.clone()
        other[:, 0] += 1.0  # a known curve does count
        assert not torch.allclose(net(other, u, known), base)
        empty = net(features[:, 5:], u[:, :0], known[:, :0])
        torch.testing.assert_close(net(features, u, torch.zeros_like(known)), empty)


def test_a_density_integrates_to_one_and_its_quantiles_invert_it() -> None:
    bars = np.random.default_rng(0).dirichlet(np.ones(128), 3)
    density = BarDensity(bars, 70.0, 2.0)
    # Midpoints in u, whose image in y has the width dy/du = s cosh(u).
    u = (np.arange(128_000) + 0.5) / 12_800 - 5
    y, dy = 70 + 2 * np.sinh(u), 2 * np.cosh(u) / 12_800
    for row in range(3):
        one = BarDensity(np.repeat(bars[row : row + 1], len(u), 0), 70.0, 2.0) if row == 0 else None
        if one is not None:
            assert abs(float((np.exp(one.log(y)) * dy).sum()) - 1) < 1e-6
    for p in (0.01, 0.1, 0.5, 0.97):
        values = density.quantile(p)
        np.testing.assert_allclose([1 - density.above(v)[i] for i, v in enumerate(values)], p, atol=1e-9)


def test_the_prior_has_its_formulas() -> None:
    g = torch.tensor
    shape = learning_shape(g(7.0), g(3.0), g(1.3), g(0.8), g(0.4))
    first = 1 - math.exp(-math.log(2) * (7 / 3) ** 0.8)
    second = 1 - (1 + (2 ** (1 / 1.3) - 1) * 7 / 3) ** -1.3
    assert math.isclose(float(shape), 0.4 * first + 0.6 * second, rel_tol=1e-6)
    span = torch.ones(4, 1, 1)
    noise = _noise(4, 3, span, Draw(torch_generator(0, "noise")))
    draw = Draw(torch_generator(0, "noise"))
    size, phi = draw.log_uniform(4, 1, 1, low=0.0008, high=0.12), draw.uniform(4, 1, 1, high=0.8)
    white = (1 - phi**2).sqrt() * draw.normal(4, 3, LONGEST)
    x, rows = torch.zeros(4, 3, 1), []
    for e in range(LONGEST):
        x = phi * x + white[:, :, e : e + 1]
        rows.append(size * x)
    plain, one_sided = torch.cat(rows, 2), draw.chosen(0.5, 4, 1, 1)
    torch.testing.assert_close(noise, torch.where(one_sided, -plain.abs(), plain), rtol=1e-4, atol=1e-6)


def test_tasks_of_the_prior_are_within_their_ranges() -> None:
    tasks = draw_tasks(400, torch_generator(0, "tasks"))
    end = tasks.epochs[:, None]
    assert tasks.values.isfinite().all() and (tasks.cuts >= 1).all()
    assert (tasks.horizons > tasks.cuts).all() and (tasks.horizons <= end).all()
    assert tasks.epochs.min() >= 10 and tasks.epochs.max() <= 200
    sizes, whole = (
        tasks.known.sum(1),
        (tasks.horizons == end).all(1) & (tasks.cuts == tasks.cuts[:, :1]).all(1),
    )
    # Shares .12 of no context, .6 of one cut: 400 draws, five standard errors.
    assert abs((sizes == 0).float().mean() - 0.12) < 5 * math.sqrt(0.12 * 0.88 / 400)
    assert abs(whole.float().mean() - 0.6) < 5 * math.sqrt(0.6 * 0.4 / 400)
    assert set(sizes.tolist()) <= {0, 1, 2, 5, 10, 20, 50, 100} and tasks.known.shape[1] == SLOTS


def test_the_loss_falls() -> None:
    training = Training(network().train(), steps=60, tasks=2, lr=3e-3, seed=0)
    losses = [float(training.step()) for _ in range(60)]
    # From about ln 10 = 2.30, that of equal bars.
    assert np.mean(losses[:5]) > 2.0 and np.mean(losses[-15:]) < 1.7
    assert rate(0, 6000) == 0.01 and rate(99, 6000) == rate(100, 6000) == 1.0


def test_a_stopped_training_goes_on_exactly(tmp_path: Path) -> None:
    study = CurvePFNTraining(steps=4, tasks=1, every=1, fresh=2, **SMALL)
    piece, results = study.pieces()[0], []
    for name, stop in (("whole", ()), ("parts", (False, True))):
        (tmp_path / name).mkdir()
        answers = iter(stop)
        broken = Context(tmp_path / name, seed=1, stopping=lambda answers=answers: next(answers, False))
        records = study.run(piece, broken)
        if stop:
            assert records == [] and (tmp_path / name / STORED).is_file()
            records = study.run(piece, broken)
        results.append({key: value for key, value in records[0].items() if key != "seconds"})
    assert results[0] == results[1]
    assert (tmp_path / "whole" / WEIGHTS).read_bytes() == (tmp_path / "parts" / WEIGHTS).read_bytes()


def test_bad_input_ends_in_one_line(model: PFN, tmp_path: Path) -> None:
    rng, y = np.random.default_rng(0), curves(4)
    with pytest.raises(InputError, match="fit\\(\\) comes first"):
        model.predict(Seen(y[:, :5]))
    with pytest.raises(InputError, match="expected 0 < seen < end"):
        model.fit(y, None, seen=30, end=30, stream=rng)
    with pytest.raises(InputError, match="fitted for 5 epochs seen, got 6"):
        model.fit(y, None, seen=5, end=30, stream=rng).predict(Seen(y[:, :6]))
    with pytest.raises(InputError, match="1 of 4 curves have values that are not finite"):
        model.fit(np.where(y == y[1, 2], np.nan, y), None, seen=5, end=30, stream=rng)
    (tmp_path / "text.safetensors").write_text("no weights at all")
    with pytest.raises(InputError, match="is no safetensors file"):
        PFN(weights=str(tmp_path / "text.safetensors"))
    with pytest.raises(ConfigError, match="width"):
        CurvePFNTraining(width=128, layers=6).check()
    CurvePFNTraining(width=112).check()
