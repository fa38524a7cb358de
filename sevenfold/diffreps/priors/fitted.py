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
    """Fit one Gaussian.

    Args:
        source: the images it is fitted to.
        floor: standard deviation whose square is added to all variances.
    """
    found = build(SOURCES, source, "source")
    mean, covariance = moments(found.images.flatten(1).double(), floor)
    return _ready(Mixture(mean[None], covariance[None], torch.ones(1), shape=found.shape), found)


def gmm(
    *,
    source: ImagesNode = DIGITS,
    components: Size = 3,
    floor: Scale = 0.03,
    covariance: Literal["full", "diagonal"] = "full",
) -> Mixture:
    """Fit Gaussians to each class (k-means, then moments).

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

    found = build(SOURCES, source, "source")
    flat, means, covariances, counts, labels = found.images.flatten(1).double(), [], [], [], []
    for label in found.labels.unique().tolist():
        own = flat[found.labels == label]
        clusters = torch.as_tensor(KMeans(components, n_init=4, random_state=0).fit_predict(own.numpy()))
        for cluster in range(components):
            mean, full = moments(own[clusters == cluster], floor)
            means.append(mean)
            covariances.append(full if covariance == "full" else full.diagonal())
            counts.append(float((clusters == cluster).sum()))
            labels.append(label)
    weights = torch.tensor(counts, dtype=torch.float64)
    return _ready(
        Mixture(
            torch.stack(means), torch.stack(covariances), weights / weights.sum(),
            shape=found.shape, labels=torch.tensor(labels),
        ),
        found,
    )  # fmt: skip


def moments(flat: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Return mean (n,) and covariance (n, n) of rows, ``floor`` squared added to its diagonal."""
    mean = flat.mean(0)
    centered = flat - mean
    own = centered.T @ centered / max(1, len(flat) - 1)
    return mean, own + floor**2 * torch.eye(len(mean), dtype=flat.dtype)


def _ready(prior: Mixture, found: Images) -> Mixture:
    prior.range = found.range
    return prior.float()
