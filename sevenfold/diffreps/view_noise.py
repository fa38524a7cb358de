"""Noise of views, carried outside the parameters.

Every kind keeps white variables and makes each view's noise a linear image of them, so that mixing the
variables with fresh ones (re-noising, churn, ancestral steps) mixes the noise of every view alike, and it
stays N(0, I).
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
        """Return this kind of noise for a pool of views (K, d); what is costly is prepared here, once."""
        bound = copy.copy(self)
        bound.representation, bound.pool = representation, pool
        bound.prepare()
        return bound

    def prepare(self) -> None:
        """Check what was bound, prepare what ``at`` needs."""
        return None

    @abstractmethod
    def start(self, streams: Streams) -> Noise:
        """Draw the white variables, tensors (B, ...), each N(0, I)."""

    @abstractmethod
    def at(self, noise: Noise, index: Tensor, theta: Tensor) -> Tensor:
        """Return the noise (B, V, C, H, W) of the views ``index`` (V,) of the pool: within a view N(0, I).

        ``theta`` (B, p) are the parameters as they are now; most kinds do not look at them.
        """

    def advance(self, noise: Noise, streams: Streams) -> Noise:
        """Return the variables for the next denoiser call: carried, that is the same."""
        return noise

    def mix(self, noise: Noise, keep: float, streams: Streams) -> Noise:
        """Return keep w + sqrt(1 - keep^2) n with fresh n, for every variable w."""
        fresh = self.start(streams)
        return {
            name: keep * variable + (1 - keep**2) ** 0.5 * fresh[name] for name, variable in noise.items()
        }


class Pool(ViewNoise):
    """Every view of the pool has its own noise for the whole run.

    Args:
        share_within: views nearer than so many degrees share the first one's noise; 0 shares nothing.

    Example:
        >>> Pool(share_within=30.0).share_within
        30.0
    """

    def __init__(self, *, share_within: NonNegative = 0.0) -> None:
        self.share_within = share_within

    def prepare(self) -> None:
        """Find out which view each takes its noise from."""
        self.owner = torch.arange(len(self.pool), device=self.pool.device)
        if self.share_within:
            near = self.representation.angles(self.pool) <= self.share_within
            for k in range(len(self.pool)):  # the first view near that has noise of its own
                owners = near[k] & (self.owner == torch.arange(len(self.pool)).to(self.owner))
                owners[k:] = False
                self.owner[k] = int(owners.nonzero()[0]) if bool(owners.any()) else k

    def start(self, streams: Streams) -> Noise:
        """Draw one noise image a view."""
        return {"views": streams.normal(len(self.pool), *self.representation.shape)}

    def at(self, noise: Noise, index: Tensor, theta: Tensor) -> Tensor:
        """Return the views' own noise."""
        return noise["views"][:, self.owner[index]]


class Fresh(Pool):
    """New noise in every denoiser call; for ablation only, for it samples no distribution but a mode."""

    def advance(self, noise: Noise, streams: Streams) -> Noise:
        """Draw anew."""
        return self.start(streams)


class Anchored(ViewNoise):
    """Noise lives on the representation's own places (pixels of a canvas, cells of a sphere); a view shows
    that of the nearest ones, never interpolated, which would change its variance.
    """

    def prepare(self) -> None:
        """Find every view's places; refuse places so coarse that two pixels of a view share one."""
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
