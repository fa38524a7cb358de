"""The colour prior of the package: its size, and its figures beside the best linear denoiser."""

import pytest
import torch

from benchmarks.colour_prior import panoramas, ratios, sharpness
from sevenfold.diffreps.priors.base import Condition
from sevenfold.diffreps.priors.network import NetworkPrior
from sevenfold.diffreps.priors.shipped import FOLDER, shipped
from sevenfold.diffreps.scapes import scapes
from sevenfold.seeding import torch_generator


@pytest.fixture(scope="module")
def prior() -> NetworkPrior:
    return shipped()


def test_it_is_small_and_denoises_pictures_that_it_has_not_seen(prior: NetworkPrior) -> None:
    assert (FOLDER / "scapes.pth").stat().st_size <= 3_000_000
    pictures, sigma = scapes(count=16, seed=12), torch.full((16,), 0.3)
    noise = 0.3 * torch.randn(pictures.images.shape, generator=torch_generator(0, "shipped"))
    with torch.no_grad():
        image = prior.denoise(pictures.images + noise, sigma, Condition(pictures.labels))
    error = (image - pictures.images).square().mean()
    assert error < 0.1 * noise.square().mean()  # recorded: .042


@pytest.mark.slow
def test_a20_it_denoises_better_than_the_best_linear_map(prior: NetworkPrior) -> None:
    """Recorded ratios of squared errors .35, .39, .48, .58, .67 over 128 pictures."""
    assert max(ratios(prior, 32).values()) < 1


@pytest.mark.slow
def test_a20_its_samples_are_sharp_and_its_rings_close(prior: NetworkPrior) -> None:
    """The bars of the specification; recorded: energy .86, jump at the closure 1.7 medians."""
    energy, samples = sharpness(prior, 4)
    assert samples.isfinite().all() and 0.7 <= energy <= 1.5
    figures, rings = panoramas(prior, [0, 6])
    assert rings.shape == (2, 3, 32, 192)
    closure, elsewhere = figures.values()
    assert closure <= 2.5 and closure <= elsewhere
