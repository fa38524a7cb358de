"""Exact priors of images of scenes from a ring of cameras: one law for each view, or a joint law of all."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from sevenfold.diffreps.priors.base import Condition, Prior
from sevenfold.diffreps.priors.mixture import Mixture
from sevenfold.diffreps.worlds.multiview import World
from sevenfold.errors import InputError
from sevenfold.ranges import Count, NonNegativeInt, Scale, Size

NEAR = 1e-3
P = TypeVar("P", bound=Prior)


class ViewedPrior(Prior):
    """A prior of images from the views of a ring."""

    ring: Tensor

    def __init__(self, ring: Tensor, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("ring", ring)

    def places(self, condition: Condition) -> Tensor:
        """Return the number in the ring, (N,), of the view of each image."""
        if condition.views is None or condition.views.shape[1] != self.ring.shape[1]:
            raise InputError("this prior knows views of a ring; use it with a volume")
        distance = torch.cdist(condition.views.double(), self.ring.double())
        nearest = distance.min(1)
        if float(nearest.values.max()) > NEAR:
            raise InputError(
                f"a view is none of the {len(self.ring)} the prior knows; give prior and data the same views"
            )
        return nearest.indices


class MultiViewKernel(ViewedPrior):
    """A mixture of Gaussians of one width at the images of known scenes.

    Args:
        points: (M, K, C, H, W), M scenes in the K views of ``ring`` (K, d).
        width: standard deviation.
        together: number of consecutive views of a sample with a joint law: 1 for a separate law of each
            view, 0 for the joint law of all views.
    """

    points: Tensor

    def __init__(self, points: Tensor, ring: Tensor, *, width: float, together: int = 1) -> None:
        super().__init__(ring, (points.shape[2], points.shape[3], points.shape[4]))
        self.width, self.together = width, together
        self.register_buffer("points", points.flatten(2).transpose(0, 1).contiguous())  # (K, M, n)

    def denoise(self, z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return the posterior mean: scenes weighted by their posterior, shrunk towards ``z``."""
        flat, places = z.flatten(1), self.places(condition)
        total = (self.width**2 + sigma.to(z) ** 2)[:, None]
        logits = self._by_view(places, lambda rows, k: self._closeness(flat[rows], k)) / (2 * total)
        posterior = self._pooled(logits, condition.group).softmax(1)
        nearest = self._by_view(places, lambda rows, k: posterior[rows] @ self.points[k])
        return (nearest + self.width**2 / total * (flat - nearest)).reshape(z.shape)

    def expectation(self, condition: Condition) -> Tensor:
        """Return the mean image of each view."""
        return self.points.mean(1)[self.places(condition)].reshape(-1, *self.shape)

    def mean(self) -> Tensor:
        """Return the mean image over scenes and views."""
        return self.points.mean((0, 1)).reshape(self.shape)

    def _closeness(self, flat: Tensor, k: int) -> Tensor:
        """Return -|z - x|^2 up to a constant that does not depend on the scene."""
        points = self.points[k]
        return 2 * flat @ points.T - points.square().sum(1)

    def _by_view(self, places: Tensor, function: Callable[[Tensor, int], Tensor]) -> Tensor:
        """Return ``function(rows, view)`` of the images of each view, in the images' order."""
        parts = [(places == k).nonzero()[:, 0] for k in places.unique()]
        values = torch.cat([function(rows, int(places[rows[0]])) for rows in parts])
        return torch.empty_like(values).index_copy(0, torch.cat(parts), values)

    def _pooled(self, logits: Tensor, group: int) -> Tensor:
        together = self.together or group
        if together == 1:
            return logits
        if group % together:
            raise InputError(f"{group} views a step cannot be shared out in sets of {together}")
        # views of one scene are independent given the scene: log p(scene | z) = sum_v log p(z_v | scene) + c
        summed = logits.unflatten(0, (-1, together)).sum(1)
        return summed.repeat_interleave(together, 0)


class PerView(ViewedPrior):
    """One exact prior for each view of a ring."""

    def __init__(self, priors: list[Mixture], ring: Tensor) -> None:
        super().__init__(ring, priors[0].shape)
        self.priors = torch.nn.ModuleList(priors)  # so that ``.to()`` applies to them
        self.own = priors

    def denoise(self, z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return each view's posterior mean."""
        places, images = self.places(condition), torch.empty_like(z)
        for k in places.unique().tolist():
            rows = (places == k).nonzero()[:, 0]
            image = self.own[k].denoise(z[rows], sigma[rows], Condition(condition.labels[rows]))
            images = images.index_copy(0, rows, image)
        return images

    def expectation(self, condition: Condition) -> Tensor:
        """Return the mean image of each view."""
        return torch.stack([prior.mean() for prior in self.own])[self.places(condition)]

    def mean(self) -> Tensor:
        """Return the mean image over views."""
        return torch.stack([prior.mean() for prior in self.own]).mean(0)


def multiview_kde(
    *, world: World, views: Count, width: Scale = 0.075, together: NonNegativeInt = 1
) -> MultiViewKernel:
    """Return a mixture with a Gaussian at every training scene of a world, in a ring of views.

    Args:
        width: standard deviation of the Gaussian at each scene.
        together: number of consecutive views denoised jointly, as one image; 1: separately.
    """
    ring = world.ring(views)
    prior = MultiViewKernel(world.renders(ring), ring, width=width, together=together)
    return _with_range(prior)


def multiview_gmm(*, world: World, views: Count, components: Size = 4, floor: Scale = 0.05) -> PerView:
    """Return a mixture of diagonal Gaussians for each view of a ring, fitted to the training scenes.

    Args:
        components: Gaussians of each view.
        floor: standard deviation whose square is added to all variances.
    """
    ring = world.ring(views)
    each = world.renders(ring).flatten(2).double().unbind(1)
    priors = [_cluster_mixture(flat, components, floor, world.shape) for flat in each]
    return _with_range(PerView(priors, ring).float())


def _cluster_mixture(flat: Tensor, components: int, floor: float, shape: tuple[int, int, int]) -> Mixture:
    """Return a mixture of diagonal Gaussians fitted to clusters of rows (k-means)."""
    from sklearn.cluster import KMeans

    clusters = torch.as_tensor(KMeans(components, n_init=1, random_state=0).fit_predict(flat.numpy())).long()
    rows = [flat[clusters == k] for k in clusters.unique()]
    variances = torch.stack([members.var(0, correction=0) for members in rows]) + floor**2
    share = torch.tensor([len(members) / len(flat) for members in rows], dtype=torch.float64)
    return Mixture(torch.stack([members.mean(0) for members in rows]), variances, share, shape=shape)


def _with_range(prior: P) -> P:
    prior.range, prior.sigma_max, prior.sigma_min = (0.0, 1.0), 20.0, 0.02
    return prior
