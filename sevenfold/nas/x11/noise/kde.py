"""Noise from a kernel density estimate of whole deviations."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.random import Generator

from sevenfold.nas.x11.base import Floats, State
from sevenfold.nas.x11.noise.base import Deviations, Noise
from sevenfold.nas.x11.noise.draws import Draws
from sevenfold.ranges import MOST, Positive, Range, Scale


class KDE(Noise):
    """A random known deviation plus a Gaussian step of Scott's bandwidth.

    Works in the first singular directions of the deviations: in all E dimensions of a curve an estimate from
    few samples degenerates. Draws shrink so that the kernel does not widen the spread.

    Args:
        components: singular directions that are used.
        clip: largest deviation, in points; the authors had 3; null: no limit.
        scale: factor on deviations; the authors had 0.5.
        kept: largest number of stored deviations.
    """

    def __init__(
        self,
        *,
        components: Annotated[int, Range(1, 24)] = 20,
        clip: Positive | None = None,
        scale: Scale = 1.0,
        kept: Annotated[int, Range(10, MOST)] = 2000,
    ) -> None:
        self.components, self.clip, self.scale, self.kept = components, clip, scale, kept
        self.data = self.v = self.step = np.zeros((0, 0))

    def learn(self, given: Deviations, stream: Generator) -> None:
        """Keep deviations in their own coordinates, and the kernel's Cholesky factor."""
        self.v = np.linalg.svd(given.values, full_matrices=False)[2][: self.components]
        inside = given.values @ self.v.T
        inside = inside[stream.permutation(len(inside))[: self.kept]]
        n, k = inside.shape
        # Scott's bandwidth h = n^(-1/(k+4)) (Scott 1992); kernels widen the law, so data and kernel shrink by
        # (1 + h^2)^(-1/2) and its covariance stays (Silverman 1986, section 6.4).
        bandwidth = n ** (-1 / (k + 4))
        covariance = np.cov(inside.T).reshape(k, k) + 1e-8 * np.eye(k)
        shrink = 1 / np.sqrt(1 + bandwidth**2)
        self.data = (inside - inside.mean(axis=0)) * shrink
        self.step = np.linalg.cholesky(covariance) * bandwidth * shrink

    def deviate(self, x: Floats, predicted: Floats, draws: Draws) -> Floats:
        """Choose, step, and go back to curves."""
        chosen = self.data[(draws.uniform[:, 0] * len(self.data)).astype(int)]
        moved = chosen + draws.normal[:, : self.step.shape[0]] @ self.step.T
        deviations = moved @ self.v
        if self.clip is not None:
            deviations = np.clip(deviations, -self.clip, self.clip)
        return np.asarray(deviations * self.scale)

    def state(self) -> State:
        """Return samples, directions, kernel and limits."""
        limits = np.array([np.inf if self.clip is None else self.clip, self.scale])
        return {"data": self.data, "v": self.v, "step": self.step, "limits": limits}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self.data, self.v, self.step = state["data"], state["v"], state["step"]
        clip, self.scale = (float(value) for value in state["limits"])
        self.clip = None if np.isinf(clip) else clip
