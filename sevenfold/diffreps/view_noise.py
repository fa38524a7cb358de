"""Noise of views, carried outside the parameters.

Every kind keeps white variables and makes each view's noise a linear image of them, so that mixing the
variables with fresh ones (re-noising, churn, ancestral steps) mixes the noise of every view alike, and it stays
N(0, I).
"""

import copy
from abc import ABC, abstractmethod

from torch import Tensor

from sevenfold.diffreps.representations.base import Representation
from sevenfold.diffreps.streams import Streams

Noise = dict[str, Tensor]


class ViewNoise(ABC):
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
    def at(self, noise: Noise, index: Tensor) -> Tensor:
        """Return the noise (B, V, C, H, W) of the views ``index`` (V,) of the pool: within a view N(0, I)."""

    def advance(self, noise: Noise, streams: Streams) -> Noise:
        """Return the variables for the next denoiser call: carried, that is the same."""
        return noise

    def mix(self, noise: Noise, keep: float, streams: Streams) -> Noise:
        """Return keep w + sqrt(1 - keep^2) n with fresh n, for every variable w."""
        fresh = self.start(streams)
        return {name: keep * own + (1 - keep**2) ** 0.5 * fresh[name] for name, own in noise.items()}


class Pool(ViewNoise):
    """Every view of the pool has its own noise for the whole run."""

    def start(self, streams: Streams) -> Noise:
        """Draw one noise image a view."""
        return {"views": streams.normal(len(self.pool), *self.representation.shape)}

    def at(self, noise: Noise, index: Tensor) -> Tensor:
        """Return the views' own noise."""
        return noise["views"][:, index]


class Fresh(Pool):
    """New noise in every denoiser call; for ablation only, for it samples no distribution but a mode."""

    def advance(self, noise: Noise, streams: Streams) -> Noise:
        """Draw anew."""
        return self.start(streams)
