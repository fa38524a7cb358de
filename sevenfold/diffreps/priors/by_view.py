"""A learned prior of views: a class-conditional denoiser whose classes are the cameras of a ring."""

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.priors.base import Condition, Prior
from sevenfold.diffreps.priors.multiview import ViewedPrior
from sevenfold.diffreps.priors.network import unet
from sevenfold.diffreps.sources import Images
from sevenfold.diffreps.worlds.multiview import World
from sevenfold.ranges import Count


class ByView(ViewedPrior):
    """A prior of views from a class-conditional prior whose class k is view k of a ring.

    Args:
        prior: has as many classes as the ring has views, trained on as many scenes in every view.
        ring: (K, 2) views.
    """

    def __init__(self, prior: Prior, ring: Tensor) -> None:
        super().__init__(ring, prior.shape)
        if prior.classes != len(ring):
            raise ConfigError(
                "views", f"the prior knows {prior.classes} views, the arm has {len(ring)}; give them alike"
            )
        self.prior, self.range = prior, prior.range
        # schedules read the table of the trained network
        self.noise_table = prior.noise_table
        self.sigma_min, self.sigma_max = prior.sigma_min, prior.sigma_max

    def denoise(self, z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return the posterior mean."""
        return self.at(z, torch.zeros_like(z), sigma, condition)

    def at(self, y: Tensor, e: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return the denoised image of the view's class."""
        return self.prior.at(y, e, sigma, Condition(self.places(condition), None, condition.group))


def learned(*, world: World, views: Count, path: str) -> ByView:
    """Load a checkpoint of ``denoiser_trainer`` trained on the source ``world_views``.

    Args:
        path: the checkpoint.
    """
    return ByView(unet(path=path), world.ring(views))


def world_views(*, world: World = World(), views: Count = 32) -> Images:
    """Return all training scenes in all views of a ring; the label is the view.

    Args:
        world: its scenes and cameras.
        views: cameras on the ring.
    """
    renders = world.renders(world.ring(views))
    labels = torch.arange(views).repeat(len(renders))
    return Images(f"world{views}", renders.flatten(0, 1), labels, (0.0, 1.0))
