"""Noise of views, which stays outside the parameters.

Every kind has white variables, of which each view's noise is a linear image. Mixing the variables with fresh
ones (re-noising, churn, ancestral steps) therefore mixes the noise of every view alike, and it remains
N(0, I).
"""

import copy
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.random_streams import Streams
from sevenfold.diffreps.representations.base import Representation
from sevenfold.ranges import Checked, NonNegative

Noise = dict[str, Tensor]


class ViewNoise(Checked, ABC):
    """Noise of a pool of views; ``bind`` it to a representation and its pool before use."""

    representation: Representation
    pool: Tensor

    def bind(self, representation: Representation, pool: Tensor) -> "ViewNoise":
        """Return this noise for a pool of views (K, d), after all costly preparation."""
        bound = copy.copy(self)
        bound.representation, bound.pool = representation, pool
        bound.prepare()
        return bound

    def prepare(self) -> None:
        """Check representation and pool, and prepare what ``at`` needs."""
        return None

    @abstractmethod
    def start(self, streams: Streams) -> Noise:
        """Draw the white variables, tensors (B, ...), each N(0, I)."""

    @abstractmethod
    def at(self, noise: Noise, index: Tensor, theta: Tensor) -> Tensor:
        """Return the noise (B, V, C, H, W) of the views ``index`` (V,) of the pool: within a view N(0, I).

        ``theta`` (B, p) are the present parameters; most kinds do not depend on them.
        """

    def advance(self, noise: Noise, streams: Streams) -> Noise:
        """Return the variables for the next denoiser call: by default the same."""
        return noise

    def mix(self, noise: Noise, keep: float, streams: Streams) -> Noise:
        """Return keep w + sqrt(1 - keep^2) n with fresh n, for every variable w."""
        # RePaint's step back up: e <- (sigma' e + sqrt(sigma^2 - sigma'^2) n) / sigma, keep = sigma' / sigma
        # (Lugmayr et al. 2022)
        fresh = self.start(streams)
        return {
            name: keep * variable + (1 - keep**2) ** 0.5 * fresh[name] for name, variable in noise.items()
        }


class Pool(ViewNoise):
    """Independent noise of every view of the pool, the same for the whole run.

    The noise of V views has the shape of their images, (B, V, C, H, W).

    Args:
        share_within: angle in degrees within which views share the noise of the first; 0: none.

    Example:
        >>> Pool(share_within=30.0).share_within
        30.0
    """

    def __init__(self, *, share_within: NonNegative = 0.0) -> None:
        self.share_within = share_within

    def prepare(self) -> None:
        """Set the view whose noise each view uses."""
        self.owner = torch.arange(len(self.pool), device=self.pool.device)
        if self.share_within:
            near = self.representation.angles(self.pool) <= self.share_within
            for k in range(len(self.pool)):  # the first near view that does not use another one's noise
                owners = near[k] & (self.owner == torch.arange(len(self.pool)).to(self.owner))
                owners[k:] = False
                self.owner[k] = int(owners.nonzero()[0]) if bool(owners.any()) else k

    def start(self, streams: Streams) -> Noise:
        """Draw one noise image for each view."""
        return {"views": streams.normal(len(self.pool), *self.representation.shape)}

    def at(self, noise: Noise, index: Tensor, theta: Tensor) -> Tensor:
        """Return the noise of views."""
        return noise["views"][:, self.owner[index]]


class Fresh(Pool):
    """New noise in every denoiser call; for ablations only, because it leads to modes, not to samples."""

    def advance(self, noise: Noise, streams: Streams) -> Noise:
        """Draw new variables."""
        return self.start(streams)


class Anchored(ViewNoise):
    """Noise anchored to places of the representation (pixels of a canvas, cells of a sphere).

    A view shows the noise of the nearest places. It is not interpolated, which would change its variance.
    """

    def prepare(self) -> None:
        """Look up every view's places; refuse places so coarse that two pixels of a view share one."""
        places = torch.stack([self.representation.anchors(view) for view in self.pool]).flatten(1)
        sorted_places = places.sort(1).values
        if bool((sorted_places[:, 1:] == sorted_places[:, :-1]).any()):
            raise ConfigError(
                "view_noise",
                "two pixels of a view share a place: give the representation more of them (rows)",
            )
        self.places = places

    def start(self, streams: Streams) -> Noise:
        """Draw noise for every place."""
        return {"cells": streams.normal(self.representation.shape[0], self.representation.cells)}

    def at(self, noise: Noise, index: Tensor, theta: Tensor) -> Tensor:
        """Gather the views' places."""
        values = noise["cells"][:, :, self.places[index]]  # (B, C, V, H W)
        return values.transpose(1, 2).unflatten(3, self.representation.shape[1:])
