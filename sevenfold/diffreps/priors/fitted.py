"""Exact priors fitted to images: one Gaussian, or a mixture with components of every class."""

from typing import Literal

import torch
from torch import Tensor

from sevenfold.config import build
from sevenfold.diffreps import SOURCES
from sevenfold.diffreps.nodes import ImagesNode
from sevenfold.diffreps.priors.mixture import Mixture
from sevenfold.diffreps.sources import Images
from sevenfold.ranges import Scale, Size

DIGITS = {"name": "digits"}


def gaussian(*, source: ImagesNode = DIGITS, floor: Scale = 0.03) -> Mixture:
    """Return one Gaussian fitted to images.

    Args:
        source: the images it is fitted to.
        floor: standard deviation whose square is added to all variances.
    """
    images = build(SOURCES, source, "source")
    mean, covariance = moments(images.images.flatten(1).double(), floor)
    return _with_range(Mixture(mean[None], covariance[None], torch.ones(1), shape=images.shape), images)


def gmm(
    *,
    source: ImagesNode = DIGITS,
    components: Size = 3,
    floor: Scale = 0.03,
    covariance: Literal["full", "diagonal"] = "full",
) -> Mixture:
    """Return a mixture of Gaussians fitted to the images of each class (k-means, then moments).

    Its denoiser is the exact posterior mean at every noise level in closed form (Karras et al. 2022).

    Args:
        source: the images it is fitted to.
        components: Gaussians of each class.
        floor: standard deviation whose square is added to all variances.
        covariance: ``full``, or ``diagonal``.

    Example:
        >>> prior = gmm(source={"name": "digits", "size": 8}, components=1)
        >>> prior.shape, prior.classes
        ((1, 8, 8), 10)
    """
    from sklearn.cluster import KMeans

    images = build(SOURCES, source, "source")
    flat, means, covariances, counts, labels = images.images.flatten(1).double(), [], [], [], []
    for label in images.labels.unique().tolist():
        members = flat[images.labels == label]
        # A fixed seed makes the prior a function of its options.
        clusters = torch.as_tensor(KMeans(components, n_init=4, random_state=0).fit_predict(members.numpy()))
        for cluster in range(components):
            mean, full = moments(members[clusters == cluster], floor)
            means.append(mean)
            covariances.append(full if covariance == "full" else full.diagonal())
            counts.append(float((clusters == cluster).sum()))
            labels.append(label)
    weights = torch.tensor(counts, dtype=torch.float64)
    return _with_range(
        Mixture(
            torch.stack(means), torch.stack(covariances), weights / weights.sum(),
            shape=images.shape, labels=torch.tensor(labels),
        ),
        images,
    )  # fmt: skip


def moments(flat: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Return mean (n,) and covariance (n, n) of rows, ``floor`` squared added to its diagonal."""
    mean = flat.mean(0)
    centered = flat - mean
    covariance = centered.T @ centered / max(1, len(flat) - 1)
    # A few images span few of the dimensions: without the floor the covariance is singular.
    return mean, covariance + floor**2 * torch.eye(len(mean), dtype=flat.dtype)


def _with_range(prior: Mixture, images: Images) -> Mixture:
    prior.range = images.range
    return prior.float()
