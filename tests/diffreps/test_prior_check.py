"""The check of a prior: every convention set wrong alone is named, and undone by one change."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sevenfold.config import ConfigError, build
from sevenfold.diffreps import PRIORS, SOURCES
from sevenfold.diffreps.command import main
from sevenfold.diffreps.noise_table import NoiseTable, Prediction, output_of
from sevenfold.diffreps.prior_check import (
    Reading,
    alternatives,
    behaviour,
    changed,
    class_gain,
    curve,
    linear_error,
    score,
    search,
    too_high,
)
from sevenfold.diffreps.priors.base import Condition
from sevenfold.diffreps.priors.fitted import gmm
from sevenfold.diffreps.priors.network import NetworkPrior
from sevenfold.diffreps.process import Table
from sevenfold.diffreps.sources import Images, digits
from sevenfold.diffreps.studies.check_prior import CheckPriorStudy
from sevenfold.errors import InputError

DIFFUSION = Path(__file__).resolve().parents[3] / "shared/data/diffusion"
STEPS = 200


class Exact(nn.Module):
    """The exact noise prediction under a mixture of digits, as a network of a table of 200 steps."""

    def __init__(self, kind: Prediction = "eps") -> None:
        super().__init__()
        self.kind = kind
        self.inner = gmm(source={"name": "digits", "size": 8}, components=2)
        self.process = Table(NoiseTable(steps=STEPS))

    def forward(self, x: Tensor, time: Tensor, labels: Tensor) -> Tensor:
        step = time.round().long()
        if bool((step < 0).any()) or bool((step >= STEPS).any()):
            raise IndexError("no such time")
        a, s = (level.float().view(-1, 1, 1, 1) for level in self.process.levels(step))
        clean = self.inner.denoise(x / a, (s / a).flatten(), Condition(labels))
        return output_of(clean, x, a, s, self.kind)


def right(kind: Prediction = "eps") -> NetworkPrior:
    return NetworkPrior(
        Exact(kind), NoiseTable(steps=STEPS), prediction=kind, shape=(1, 8, 8), data_range=(-1.0, 1.0),
        classes=10,
    )  # fmt: skip


def some(count: int = 48) -> Images:
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))[:count]
    source = digits(size=8)
    return replace(source, images=source.images[order], labels=source.labels[order])


def drawn(count: int = 48) -> Images:
    """Samples of the mixture itself, for which the network is the best denoiser."""
    images = Exact().inner.sample(count, torch.Generator().manual_seed(0))
    return Images("drawn", images, torch.full((count,), -1), (-1.0, 1.0))


READING, REAL = Reading(right(), (-1.0, 1.0)), drawn()
WRONG = [
    reading for reading in alternatives(READING)
    if not reading.line.startswith("prior.time_base")
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=lambda reading: reading.line)
def test_every_single_misconfiguration_is_undone_by_one_change(wrong: Reading) -> None:
    before, after = (float(score(reading, REAL).mean()) for reading in (wrong, READING))
    assert after < before - 0.1
    steps, _ = search(wrong, REAL, most=1)
    undone = steps[0].reading
    assert undone.span == READING.span and undone.turn == READING.turn
    assert undone.prior.prediction == "eps" and undone.prior.time_scale == 1
    assert undone.prior.noise_table == NoiseTable(steps=STEPS)
    assert torch.equal(score(undone, REAL), score(READING, REAL))  # the sign too


def test_the_right_configuration_is_left_alone() -> None:
    steps, others = search(READING, REAL)
    assert steps == [] and len(others) == len(WRONG) + 2
    assert not any(trial.better for trial in others)


@pytest.mark.parametrize("base", [-1.0, 1.0])
def test_a_time_off_by_one_is_noticed_at_the_lowest_noise(base: float) -> None:
    """The network is given steps from 0; a configuration that counts from 1 or -1 is off by one.

    An exact predictor of noise hardly changes with its time; there the two cannot be told apart, and are
    named so.
    """
    wrong = Reading(changed(right("x0"), time_base=base), (-1.0, 1.0))
    steps, _ = search(wrong, REAL)
    assert [step.reading.line for step in steps] == ["prior.time_base=0"]
    others = search(READING, REAL)[1]
    assert "prior.time_base=1" in [t.reading.line for t in others if t.undecided]


def test_what_one_image_cannot_tell_is_not_claimed() -> None:
    """With two images the errors of differences are large: a change is named only where it is certain."""
    few = replace(REAL, images=REAL.images[:2], labels=REAL.labels[:2])
    for trial in search(READING, few)[1]:
        assert trial.better is (trial.difference < -2 * trial.error and trial.difference < -0.02)


def test_the_linear_error_is_that_of_a_linear_denoiser() -> None:
    """The closed form against the denoiser written out, over 4,000 draws of noise: 3 % off at most."""
    source = digits(size=8)
    rest, images = source.images[:1700].double(), source.images[1700:1710].double()
    flat = rest.flatten(1)
    mean, covariance = flat.mean(0), torch.cov(flat.T)
    sigma = 0.5
    gain = covariance @ torch.linalg.inv(covariance + sigma**2 * torch.eye(64).double())
    noise = torch.randn(4000, 10, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = images.flatten(1)
    estimate = mean + (x + sigma * noise - mean) @ gain.mT
    expected = float((estimate - x).square().mean())
    assert float(linear_error(rest, images, torch.tensor([sigma]))) == pytest.approx(expected, rel=0.03)


def test_the_curve_passes_a_right_prior_and_flags_a_wrong_range() -> None:
    real = some(1797)
    rows = curve(right(), real, 24)
    assert too_high(rows) == []
    assert {row["level"] for row in rows if row["ratio"] < 0.8} >= {0.2, 0.35, 0.5}
    assert too_high(curve(right(), real.onto((0.0, 1.0)), 24))
    assert too_high(curve(changed(right(), prediction="x0"), real, 24))


def test_classes_are_compared_in_pairs() -> None:
    gain, error = class_gain(right(), some(), 48) or (0.0, 0.0)
    assert gain > 5 * error > 0
    shuffled = replace(some(), labels=some().labels.roll(-1) * 0 + (some().labels - 1) % 10)
    assert (class_gain(right(), shuffled, 48) or (0.0, 0.0))[0] < 0
    assert class_gain(right(), replace(some(), labels=torch.full((48,), -1)), 48) is None


def test_behaviour_needs_no_images() -> None:
    figures = behaviour(right())
    assert figures["not_finite"] == 0 and figures["again"] == 0 and figures["alone"] < 1e-4

    class Noisy(Exact):
        def forward(self, x: Tensor, time: Tensor, labels: Tensor) -> Tensor:
            return super().forward(x, time, labels) + torch.randn_like(x)

    noisy = changed(right(), network=Noisy())
    assert behaviour(noisy)["again"] > 1e-3


def study(**options: Any) -> CheckPriorStudy:
    node = {"name": "gmm", "source": {"name": "digits", "size": 8}}
    return CheckPriorStudy(**{"prior": node, "real": {"name": "digits", "size": 8}, **options})


def test_the_study_reports_what_to_change(tmp_path: Path) -> None:
    case = study()
    case.prior = changed(right(), prediction="v")  # type: ignore[misc]
    page = case.report(case.run_all(tmp_path), tmp_path)
    assert "FAILS: at" in str(page) and "change prior.prediction=eps (ln error -" in str(page)
    assert (tmp_path / "images/check_prior.png").is_file()
    case = study()
    case.prior = right()  # type: ignore[misc]
    text = str(case.report(case.run_all()))
    assert "Passes: at most" in text and "No other reading of the network is better" in text


def test_an_exact_prior_has_a_curve_and_without_images_only_its_behaviour() -> None:
    text = str((case := study()).report(case.run_all()))
    assert "Passes" in text and "change" not in text
    text = str((case := study(real=None)).report(case.run_all()))
    assert "Without images" in text and "not_finite" in text


def test_shapes_that_differ_and_too_few_images_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"real: has images of shape \(1, 16, 16\), the prior's are"):
        study(real={"name": "digits"}).check()
    with pytest.raises(ConfigError, match="images: 900 of 1797 leave too few"):
        study(images=900).check()


def test_the_command_prints_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["configs/diffreps/siren_gmm.yaml", "study.prior={name: gmm, components: 1}"]
    assert main(arguments) == 0
    assert "Passes" in capsys.readouterr().out
    assert main(["configs/flow/demo.yaml"]) == 2
    assert "has no study.prior to check" in capsys.readouterr().err
    assert main([]) == 2 and "usage" in capsys.readouterr().out


def test_pictures_of_a_folder_are_a_source(tmp_path: Path) -> None:
    from PIL import Image

    for name, value in (("cats/a.png", 255), ("dogs/b.png", 0)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10), (value, 0, 0)).save(tmp_path / name)
    source = build(SOURCES, {"name": "folder", "path": str(tmp_path), "size": [4, 6]}, "source")
    assert source.images.shape == (2, 3, 4, 6) and source.labels.tolist() == [0, 1]
    assert source.images[0, :, 0, 0].tolist() == [1.0, -1.0, -1.0] and source.range == (-1.0, 1.0)
    with pytest.raises(ValueError, match="no pictures"):
        build(SOURCES, {"name": "folder", "path": str(tmp_path / "cats/none")}, "source")


def test_a_picture_of_a_folder_stands_upright_and_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    from PIL import Image

    wide = Image.new("L", (4, 2), 0)
    wide.paste(255, (0, 0, 2, 2))  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # recorded by a camera turned by 90 degrees: the left side is up
    wide.save(tmp_path / "a.png", exif=exif)
    node = {"name": "folder", "path": str(tmp_path), "size": [4, 2], "channels": 1}
    image = build(SOURCES, node, "source").images[0, 0]
    assert image.tolist() == [[1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [-1.0, -1.0]]
    Image.new("I;16", (4, 4), 60000).save(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"b\.png' has more than 8 bits"):
        build(SOURCES, node, "source")
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(InputError, match=r"b\.png' cannot be read as a picture"):
        build(SOURCES, node, "source")


@pytest.mark.slow  # seventeen searches
@pytest.mark.skipif(not DIFFUSION.is_dir(), reason="shared/data/diffusion is not here")
def test_every_misconfiguration_of_the_third_party_network_is_undone() -> None:
    weights = {"name": "network", "weights": str(DIFFUSION / "mnist_unet_small.pth")}
    reading = Reading(build(PRIORS, weights, "prior"), (0.0, 1.0))
    source = build(SOURCES, {"name": "mnist", "root": str(DIFFUSION)}, "source")
    real = replace(source, images=source.images[:24], labels=source.labels[:24])
    best = score(reading, real)
    assert float(best.mean()) == pytest.approx(-2.155, abs=0.05)
    for wrong in alternatives(reading):
        undone = search(wrong, real, most=1)[0][0].reading
        assert torch.equal(score(undone, real), best), wrong.line
