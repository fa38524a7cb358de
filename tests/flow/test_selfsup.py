"""The loss of pairs without truth against loops, and adaptation to a clip."""

import copy

import numpy as np
import pytest
import torch
from real_pairs import needs_data, pair
from torch.nn.functional import interpolate

import sevenfold
from sevenfold.errors import ConfigError, InputError
from sevenfold.flow import load
from sevenfold.flow.adapt_command import main as adapt_main
from sevenfold.flow.data.declared import FlowSet
from sevenfold.flow.deq_flow import DEQFlow
from sevenfold.flow.estimator import Estimator
from sevenfold.flow.formats import write_image
from sevenfold.flow.selfsup import (
    Adaptation,
    Frames,
    adapt,
    census_distance,
    photometric_loss,
    seen,
    smoothness,
    unlabeled_loss,
    unlabeled_part,
)
from sevenfold.flow.tiles import enlarged

SMALL = Adaptation(steps=3, crop=(64, 64), iterations=6, lr=1e-3)


def pictures(count=2, height=24, width=32, seed=0):
    """Smooth random pictures."""
    coarse = torch.rand(count, 3, height // 4, width // 4, generator=torch.Generator().manual_seed(seed))
    return interpolate(coarse, (height, width), mode="bicubic", align_corners=False).clamp(0, 1)


def test_census_equals_a_loop():
    one, two = pictures().double().split(1)
    found = census_distance(one, two)[0].numpy()
    gray = [np.tensordot([0.299, 0.587, 0.114], 255 * x[0].numpy(), axes=1) for x in (one, two)]
    gray = [np.pad(each, 3) for each in gray]
    for y, x in ((0, 0), (3, 5), (12, 20), (23, 31)):
        total = 0.0
        for j in range(7):
            for i in range(7):
                d = [each[y + j, x + i] - each[y + 3, x + 3] for each in gray]
                t = [v / np.sqrt(0.81 + v**2) for v in d]
                total += (t[0] - t[1]) ** 2 / (0.1 + (t[0] - t[1]) ** 2)
        assert found[y, x] == pytest.approx(total, abs=1e-9)


def test_smoothness_equals_a_loop():
    image, flow = pictures(1).double(), 3 * torch.randn(1, 2, 24, 32).double()
    sums = []
    i, f = image[0].numpy(), flow[0].numpy()
    for axis in (1, 2):
        i_, f_ = np.moveaxis(i, axis, 1), np.moveaxis(f, axis, 1)
        terms = []
        for p in range(1, i_.shape[1] - 1):
            weight = np.exp(-150 * np.mean(((i_[:, p + 1] - i_[:, p - 1]) / 2) ** 2, axis=0))
            second = f_[:, p - 1] - 2 * f_[:, p] + f_[:, p + 1]
            terms.append(weight * np.sqrt(second**2 + 1e-6))
        sums.append(np.mean(terms))
    assert float(smoothness(flow, image)) == pytest.approx(np.mean(sums), abs=1e-9)
    ramp = torch.arange(32.0).expand(1, 2, 24, 32)
    assert float(smoothness(ramp, image.float())) < 2e-3  # an affine flow costs nothing


def test_the_true_flow_has_the_least_loss():
    whole = pictures(1, 40, 64)
    first, second = whole[..., 4:36, 6:54], whole[..., 4:36, 3:51]  # second(x + 3) = first(x)
    mask = torch.ones(1, 32, 48, dtype=torch.bool)
    mask[..., -6:] = mask[..., :3] = mask[:, :3] = mask[:, -3:] = False

    def loss(u, v=0.0):
        flow = torch.tensor([u, v]).view(1, 2, 1, 1).expand(1, 2, 32, 48)
        return float(photometric_loss(flow, first, second, mask))

    others = [loss(u, v) for u, v in ((0.0, 0.0), (2.0, 0.0), (4.0, 0.0), (3.0, 1.0), (-3.0, 0.0))]
    assert loss(3.0) < 0.9 * min(others)


def test_what_is_hidden_or_outside_is_left_out():
    forward = torch.zeros(1, 2, 20, 20)
    forward[0, 0, :, 10:] = 8.0  # the right half moves out, and the left one is not contradicted
    mask = seen(forward, torch.zeros(1, 2, 20, 20))
    assert mask[0, 3:-3, 3:10].all() and not mask[0, :, 10:].any()
    assert not mask[0, :3].any() and not mask[0, :, :3].any()


def test_gradients_reach_the_update_and_not_the_mask():
    torch.manual_seed(0)
    network = DEQFlow(variant="demo").train()
    one, two = pictures(2, 64, 64).split(1)
    loss = unlabeled_loss(network, one, two, steps=6, smooth=1.0, still=0.1)
    loss.backward()
    assert loss.isfinite()
    norms = [p.grad.norm() for name, p in network.named_parameters() if p.grad is not None]
    assert len(norms) > 10 and all(norm.isfinite() for norm in norms) and max(norms) > 0


def test_unlabeled_pairs_of_a_batch_have_their_share():
    torch.manual_seed(0)
    network = DEQFlow(variant="demo").train()
    one, two = pictures(6, 32, 32).split(3)
    batch = {"image1": one, "image2": two}
    assert unlabeled_part(network, batch, 6) == 0
    assert unlabeled_part(network, {**batch, "supervised": torch.ones(3).bool()}, 6) == 0
    flags = torch.tensor([True, False, True])
    alone = unlabeled_loss(network, one[1:2], two[1:2], steps=6, smooth=1.0, still=0.1)
    part = unlabeled_part(network, {**batch, "supervised": flags}, 6)
    assert float(part.detach()) == pytest.approx(float(alone.detach()) / 3, rel=1e-5)


def test_adaptation_is_the_same_for_one_seed_and_leaves_the_old_network():
    torch.manual_seed(0)
    estimator = Estimator(DEQFlow(variant="demo"), steps=3)
    before = copy.deepcopy(estimator.network.state_dict())
    clip = list(pictures(3, 64, 80))
    pairs = [Frames(a, b) for a, b in zip(clip, clip[1:], strict=False)]
    one, two = (adapt(estimator, pairs, SMALL) for _ in range(2))
    assert one.losses == two.losses and one.steps == 3 and one.after == two.after
    assert adapt(estimator, pairs, Adaptation(**{**vars(SMALL), "seed": 1})).losses != one.losses
    assert all(torch.equal(part, before[name]) for name, part in estimator.network.state_dict().items())
    assert "after 3 steps: photometric error" in str(one)


def test_pure_noise_brings_the_old_weights_back():
    estimator = load(steps=4)
    clip = torch.rand(3, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    adapted = estimator.adapt(clip, minutes=None, options=SMALL)
    assert not adapted.accepted and adapted.estimator is estimator
    assert "nothing to learn from" in adapted.reason or "both risen" in adapted.reason


def test_an_adapted_model_is_written_and_opened(tmp_path, capsys):
    whole = pictures(1, 96, 160)[0]
    for number in range(3):
        shifted = whole[:, 8:72, 8 + 3 * number : 104 + 3 * number]
        write_image(tmp_path / f"clip/{number}.png", (255 * shifted).round().to(torch.uint8))
    out = tmp_path / "my.pt"
    status = adapt_main([str(tmp_path / "clip"), "--steps", "2", "--out", str(out)])
    assert status == (0 if out.exists() else 1) and "photometric error" in capsys.readouterr().out
    if status == 0:
        assert load(out).facts()["trained_on"].endswith("adapted to clip")
    for words, message in (
        (["--out", "x.bin"], "ends in .pt"),
        (["--minutes", "0"], "minutes: expected a number above 0"),
        (["--steps", "0"], "--steps must be at least 1"),
    ):
        assert adapt_main([str(tmp_path / "clip"), *words]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(InputError, match="needs at least two frames"):
        load().adapt([whole])


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize(("name", "factor"), [("clean/alley_1", 0.85), ("venus", 0.95)])
def test_adaptation_lowers_the_error_on_real_pairs(name, factor):
    """From the small trained network, about 100 CPU-seconds each."""
    first, second, flow, valid = pair(name)
    if name != "venus":  # half size
        first, second = (
            interpolate(image[None], scale_factor=0.5, mode="area")[0] for image in (first, second)
        )
        flow = enlarged(torch.where(valid, flow, 0)[None], tuple(first.shape[1:]))[0]
        valid = interpolate(valid[None, None].float(), scale_factor=0.5, mode="area")[0, 0] == 1
    estimator = Estimator(sevenfold.load("flow/demo").network, steps=12)
    options = Adaptation(steps=80, lr=1e-3, anchor=0.5)
    adapted = adapt(estimator, [Frames(first, second, flow, valid)], options)
    assert adapted.accepted and adapted.after.epe < factor * adapted.before.epe, adapted


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Adaptation(steps=0), "steps: expected a number from 1"),
        (lambda: Adaptation(lr=float("nan")), "lr: expected a finite number above 0"),
        (lambda: FlowSet(weight=-1.0), "weight: expected a finite number above 0"),
        (lambda: FlowSet(flip=(0.5, 2.0)), r"flip\[1\]: expected"),
    ],
)
def test_options_out_of_range_are_refused_where_python_gives_them(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
