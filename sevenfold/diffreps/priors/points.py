"""Mixtures of isotropic Gaussians in the plane, for pictures that can be checked by eye."""

import torch

from sevenfold.config import ConfigError
from sevenfold.diffreps.priors.mixture import Mixture
from sevenfold.ranges import Finite, Positive, Scale

MEANS = [[-1.0, 0.8], [0.9, -0.6], [1.2, 0.8]]


def points(
    *,
    means: list[list[Finite]] = MEANS,
    deviations: list[Scale] = [0.8, 0.7, 0.6],  # noqa: B006 (never changed)
    weights: list[Positive] = [0.4, 0.3, 0.3],  # noqa: B006
) -> Mixture:
    """Return a mixture over "images" of two channels and one pixel: points of the plane.

    Args:
        means: places (x, y) of the Gaussians.
        deviations: their standard deviations.
        weights: their weights, which need not sum to 1.
    """
    if not len(means) == len(deviations) == len(weights) or any(len(mean) != 2 for mean in means):
        raise ConfigError("means", "needs pairs of numbers, and as many deviations and weights as means")
    # float64 until the weights sum to one
    share = torch.tensor(weights, dtype=torch.float64)
    variances = torch.tensor(deviations, dtype=torch.float64)[:, None].expand(-1, 2) ** 2
    centers = torch.tensor(means, dtype=torch.float64)
    return Mixture(centers, variances, share / share.sum(), shape=(2, 1, 1)).float()
