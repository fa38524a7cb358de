"""Scores of samples: against independent computations and closed forms; pictures are written."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffreps_problems import mixture
from scipy.linalg import sqrtm
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.pictures import animation, as_bytes, contact_sheet, curves
from sevenfold.diffreps.scores import (
    Classifier,
    Scorer,
    entropy,
    frechet,
    kid,
    pairwise,
    psnr,
    set_scores,
    ssim,
)
from sevenfold.diffreps.sources import Images, digits, photos
from sevenfold.diffreps.studies.samples import SamplesStudy


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_psnr_ssim_and_pairwise_by_hand() -> None:
    one = normal(3, 1, 8, 8)
    assert psnr(one + 0.1, one, 2.0).tolist() == pytest.approx([10 * math.log10(4 / 0.01)] * 3, rel=1e-4)
    assert ssim(one, one, 2.0).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert bool((ssim(one + normal(3, 1, 8, 8, seed=1), one, 2.0) < 0.9).all())
    two = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 4.0]]).view(3, 1, 1, 2)
    assert pairwise(two) == pytest.approx((5 + 4 + 3) / 3)


def test_entropy_is_one_for_all_classes_alike_and_zero_for_one() -> None:
    assert entropy(torch.eye(5)) == pytest.approx(1)
    assert entropy(torch.tensor([[1.0, 0.0], [1.0, 0.0]])) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_is_its_definition() -> None:
    one, two = normal(50, 4).double(), 1.5 * normal(60, 4, seed=1).double() + 0.3
    a, b = np.cov(one.numpy().T), np.cov(two.numpy().T)
    expected = float(((one.mean(0) - two.mean(0)) ** 2).sum()) + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet(one, two) == pytest.approx(expected, rel=1e-6)
    assert frechet(one, one) == pytest.approx(0, abs=1e-6)


def test_kid_is_unbiased() -> None:
    draws = [kid(normal(40, 3, seed=2 * k), normal(40, 3, seed=2 * k + 1)) for k in range(200)]
    mean, error = np.mean(draws), np.std(draws) / math.sqrt(len(draws))
    assert abs(mean) < 4 * error
    assert kid(normal(40, 3), normal(40, 3, seed=1) + 2) > 10 * error


def test_the_classifier_and_the_scorer_recognize_digits() -> None:
    real, prior = digits(size=8), mixture((1, 8, 8)).float()
    scorer = Scorer(real, prior)
    assert scorer.classifier.accuracy > 0.95
    result = scorer.columns(real.images[:100], real.labels[:100])
    assert float(result["correct"].mean()) > 0.95 and result["features"].shape == (100, 32)
    assert result["log_likelihood"].shape == (100,)
    assert "correct" not in scorer.columns(real.images[:3], torch.full((3,), -1))


def test_two_classes_have_two_probabilities() -> None:
    images = torch.cat([normal(60, 1, 4, 4) + 2, normal(60, 1, 4, 4, seed=1) - 2])
    judge = Classifier(Images("two", images, torch.arange(2).repeat_interleave(60), (-4.0, 4.0)))
    result = judge.probabilities(judge.features(images))
    assert result.shape == (120, 2) and judge.accuracy > 0.95
    assert float(result[:60, 0].mean()) > 0.9 and float(result[60:, 1].mean()) > 0.9


def test_crops_of_photographs_are_deterministic() -> None:
    one = photos(size=8, channels=1, count=20)
    assert torch.equal(one.images, photos(size=8, channels=1, count=20).images)
    assert one.images.shape == (20, 1, 8, 8) and one.labels.tolist() == [0] * 10 + [1] * 10
    assert -1 <= float(one.images.min()) < float(one.images.max()) <= 1


def test_pictures_are_written(tmp_path: Path) -> None:
    from PIL import Image

    images = normal(5, 1, 8, 8)
    ramp = as_bytes(torch.tensor([[[[-1.0, 0.0, 1.0]]]]), (-1, 1))
    assert ramp[..., 0].flatten().tolist() == [0, 128, 255] and ramp.shape == (1, 1, 3, 3)
    contact_sheet({"a": images, "b": images[:3]}, (-1, 1), tmp_path / "sheet.png")
    animation(normal(4, 2, 3, 8, 8), (-1, 1), tmp_path / "way.gif")
    with Image.open(tmp_path / "sheet.png") as sheet, Image.open(tmp_path / "way.gif") as way:
        assert sheet.width > 100 and way.n_frames == 4  # type: ignore[attr-defined]
    curves({"image": [{"residual": 0.0, "sigma": 1.0, "calls": 1, "inner": 0}]}, tmp_path / "none.png")
    curves({"solve": [{"residual": 0.1, "sigma": 1.0, "calls": 1, "inner": 2}]}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").is_file() and not (tmp_path / "none.png").exists()


def test_ranges_of_prior_and_source_are_mapped_or_refused() -> None:
    options: dict[str, Any] = {
        "prior": {"name": "gmm", "components": 1, "source": {"name": "digits", "size": 8}}, "reference": None,
        "representations": {"siren": {"name": "siren", "size": 8, "width": 8}}, "samples": 2,
        "real": {"name": "digits", "size": 8}, "methods": {"pullback": {"name": "pullback"}},
    }  # fmt: skip
    mapped, refused = SamplesStudy(**options, map_real=True), SamplesStudy(**options)
    for study in (mapped, refused):
        study.prior.range = (-0.5, 0.5)
    with pytest.raises(ConfigError, match=r"real: lies in \[-1, 1\], the prior's images in \[-0.5, 0.5\]"):
        refused.check()
    by_hand = digits(size=8)
    by_hand = Images("digits8", by_hand.images / 2, by_hand.labels, (-0.5, 0.5))
    assert mapped.real is not None and mapped.real.range == (-0.5, 0.5)
    drawn = by_hand.images[:50] + 0.05 * torch.randn(50, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    scores = []
    for real in (mapped.real, by_hand):
        scorer = Scorer(real, mapped.prior)
        columns = scorer.columns(drawn, torch.full((50,), -1))
        scores.append(set_scores({**columns, "images": drawn}, scorer.real()))
    assert scores[0] == pytest.approx(scores[1], rel=1e-6)
    # what happened before: images of one range scored as those of another
    wrong = Scorer(digits(size=8), mapped.prior)
    columns = wrong.columns(drawn, torch.full((50,), -1))
    wrongly = set_scores({**columns, "images": drawn}, wrong.real())
    assert abs(wrongly["pairwise"] - scores[1]["pairwise"]) > 0.2
