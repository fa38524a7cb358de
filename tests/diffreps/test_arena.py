"""The arena: exact laws to compare with, equal calls, tuned rates, and the rule of which sampler is right."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffreps_problems import method, mixture, representation, task
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.binding import binding, case_of
from sevenfold.diffreps.linear_gaussian import conditional_mixture
from sevenfold.diffreps.priors.base import Condition
from sevenfold.diffreps.priors.fitted import gmm
from sevenfold.diffreps.representations.low_band import LowBand
from sevenfold.diffreps.representations.strokes import Strokes
from sevenfold.diffreps.run import run
from sevenfold.diffreps.scores import energy
from sevenfold.diffreps.studies.arena import ArenaStudy, diversity, weighted, within

SHAPE = (1, 3, 3)


def free(count: int) -> Condition:
    return Condition(torch.full((count,), -1))


def rendered(part: LowBand, theta: Tensor) -> Tensor:
    return (part.offset[0] + theta.flatten(1) @ part.matrix[0].T).view(len(theta), *part.shape)


@pytest.mark.parametrize("diagonal", [False, True])
def test_the_conditional_mixture_has_the_priors_density_on_the_range(diagonal: bool) -> None:
    prior, part = mixture(SHAPE), LowBand(size=3, count=4, middle=0.3)
    if diagonal:
        prior = type(prior)(prior.means, prior.variances + 0.1, prior.log_weights.exp(), shape=SHAPE)
    law, clean = conditional_mixture(prior, part), torch.zeros(9)
    theta = torch.randn(9, 4, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    difference = prior.log_prob(rendered(part, theta), clean, free(9)) - law.log_prob(theta, clean, free(9))
    assert float(difference.max() - difference.min()) < 1e-9
    samples = law.sample(20_000, torch.Generator().manual_seed(1)).flatten(1)
    # 20,000 samples: five standard errors of a mean
    error = (samples.mean(0) - law.mean().flatten()).abs() / samples.std(0) * len(samples) ** 0.5
    assert float(error.max()) < 5


def test_its_moments_are_those_of_an_integral_over_a_grid() -> None:
    prior, part = mixture(SHAPE), LowBand(size=3, count=2)
    law = conditional_mixture(prior, part)
    line = torch.linspace(-12, 12, 1201, dtype=torch.float64)
    theta = torch.cartesian_prod(line, line)[:, :, None, None]
    logs = prior.log_prob(rendered(part, theta), torch.zeros(len(theta)), free(len(theta)))
    share, places = logs.softmax(0), theta.flatten(1)
    mean = share @ places
    covariance = (share[:, None] * (places - mean)).T @ (places - mean)
    weights, means = law.log_weights.exp(), law.means
    parts = law.bases @ (law.variances[..., None] * law.bases.mT) if law.bases is not None else None
    assert parts is not None
    expected = weights @ means
    around = means - expected
    spread = (weights[:, None, None] * (parts + around[:, :, None] * around[:, None])).sum(0)
    assert float((mean - expected).abs().max()) < 1e-6 and float((covariance - spread).abs().max()) < 1e-6


def test_the_energy_distance_is_that_of_its_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    one, two = torch.randn(5, 2, generator=generator), torch.randn(7, 2, generator=generator) + 1
    across = [float((a - b).norm()) for a in one for b in two]
    within_one = [float((one[i] - one[j]).norm()) for i in range(5) for j in range(5) if i != j]
    within_two = [float((two[i] - two[j]).norm()) for i in range(7) for j in range(7) if i != j]
    expected = 2 * sum(across) / 35 - sum(within_one) / 20 - sum(within_two) / 42
    assert energy(one, two) == pytest.approx(expected, rel=1e-6)


def test_binding_is_the_share_that_cannot_be_rendered() -> None:
    """For an affine representation it is the share outside its range; pixels render everything."""
    prior = gmm(source={"name": "digits", "size": 6}, components=1)
    images = prior.sample(30, torch.Generator().manual_seed(0)).double()
    part = LowBand(size=6, count=9)
    basis = part.matrix[0]
    flat = images.flatten(1)
    left = flat - flat @ basis @ basis.T
    expected = float(left.square().mean() / (flat - flat.mean(0)).square().mean())
    assert binding(task(part, prior.double()), images) == pytest.approx(expected, rel=1e-3)
    assert binding(task(representation("pixels", channels=1), prior.double()), images) < 1e-4
    assert [case_of(0.001, 1), case_of(0.3, 1), case_of(0.001, 8)] == [1, 2, 3]


@pytest.mark.parametrize(
    "node",
    [
        {"name": "pullback"},
        {"name": "pullback", "order": "heun"},
        {"name": "pullback", "order": "heun", "resampling": {"rounds": 3}},
        {"name": "anneal"},
        {"name": "fit", "images": {"name": "reference", "order": "heun"}},
        {"name": "sds"},
    ],
)
def test_a_budget_is_used_up_and_never_exceeded(node: dict[str, Any]) -> None:
    prior = mixture((1, 6, 6))
    fitted = within(node, 21, prior)
    calls = run(method(**fitted), task(representation("pixels", channels=1), prior, count=1)).calls
    assert 21 - (5 if "resampling" in node else 1) <= calls <= 21
    assert within(node, 600, prior) != fitted


def test_classes_that_are_drawn_have_their_shares_in_the_truth() -> None:
    prior = mixture(SHAPE)
    weighted(prior, [0, 2, 2])
    assert torch.allclose(prior.log_weights.exp(), torch.tensor([1 / 3, 0.0, 2 / 3]).double(), atol=1e-6)
    before = mixture(SHAPE).log_weights
    weighted(prior := mixture(SHAPE), [])
    assert torch.equal(prior.log_weights, before)


def test_diversity_is_within_classes() -> None:
    images = torch.tensor([0.0, 2.0, 100.0, 102.0]).view(4, 1, 1, 1)
    truth = torch.tensor([0.0, 4.0]).view(2, 1, 1, 1)
    assert diversity(images, torch.tensor([0, 0, 1, 1]), truth) == 0.5
    assert diversity(images[:1], torch.tensor([0]), truth) != 0.5  # one sample has none


def test_strokes_draw_where_their_points_are() -> None:
    pen = Strokes(size=16, count=1, edge=0.02)
    y = -0.5  # a straight horizontal line at y = -.5
    points = torch.tensor([-0.6, y, -0.2, y, 0.2, y, 0.6, y])
    theta = torch.cat([points, torch.tensor([-2.5]), torch.tensor([9.0])])
    image = pen.to(torch.float32).render(theta, torch.zeros(0))[0]
    rows, columns = (image > 0).any(1).nonzero().flatten(), (image > 0).any(0).nonzero().flatten()
    assert rows.tolist() == [3, 4] and columns.min() == 3 and columns.max() == 12
    assert float(image.min()) == pytest.approx(-1, abs=1e-3) and float(image.max()) > 0.4


def arena(**options: Any) -> ArenaStudy:
    node = {
        "prior": {"name": "gmm", "components": 1, "source": {"name": "digits", "size": 8}},
        "real": {"name": "digits", "size": 8}, "budgets": [4], "seeds": 2, "samples": 3,
        "representations": {"low_band": {"name": "low_band", "size": 8, "count": 8}},
        "methods": {"anneal": {"name": "anneal"}, "sds": {"name": "sds"}}, "rates": [1e-3, 0.1],
    }  # fmt: skip
    return ArenaStudy(**{**node, **options})


def test_an_arena_reports_arms_with_deviations_and_the_case(tmp_path: Path) -> None:
    study = arena()
    records = study.run_all(tmp_path)
    assert len(records) == 1 + 2 * 2 * 3
    page = study.report(records, tmp_path)
    text = str(page)
    assert "low_band (binding" in text and "binds: anneal gives the most plausible" in text
    assert [row[0] for row in page.headline[1:]] == ["low_band/anneal@4", "low_band/sds@4"]
    assert [row[1] for row in page.headline[1:]] == ["4", "4"] and (tmp_path / "images/arena.png").is_file()
    chosen = json.loads((tmp_path / "tuning/low_band--sds@4.json").read_text())
    assert chosen["rate"] == min(chosen["grid"], key=lambda rate: chosen["grid"][rate]) or (
        str(chosen["rate"]) == min(chosen["grid"], key=lambda rate: chosen["grid"][rate])
    )
    # the truth is the law on the representable images, whose spread outside of them is none
    truth, basis = study.truth("low_band"), study.representations["low_band"].matrix[0].float()  # type: ignore[union-attr]
    assert truth is not None
    flat = truth.flatten(1)
    assert float((flat - flat @ basis @ basis.T).abs().max()) < 1e-4


def test_an_arena_refuses_what_has_no_budget() -> None:
    with pytest.raises(ConfigError, match="budgets: needs at least one"):
        arena(budgets=[])
    with pytest.raises(ConfigError, match="budgets: needs at least one, none twice"):
        arena(budgets=[4, 4])
