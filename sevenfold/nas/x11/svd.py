"""Compression by singular value decomposition."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.random import Generator

from sevenfold.errors import InputError
from sevenfold.nas.x11.base import Compression, Floats, State
from sevenfold.ranges import Size

SMOOTH = 0.1  # autocorrelation of the residual below which it counts as noise


class SVD(Compression):
    """Singular value decomposition of curves into mean + U diag(s) V, with coordinates in U as coefficients.

    Args:
        k: coefficients of a curve, with the rule ``fixed``.
        rule: how the number of coefficients is chosen: ``fixed``, as ``k`` says; ``residual``, the smallest
            number whose residual has a lag-1 autocorrelation below 0.1; ``joint``, the number with the lowest
            error of the whole ensemble on held-out architectures.
        max_k: largest number of coefficients, with the rules ``residual`` and ``joint``.
        center: subtract the mean curve first; the authors did not.
    """

    def __init__(
        self,
        *,
        k: Size = 5,
        rule: Literal["fixed", "residual", "joint"] = "fixed",
        max_k: Size = 20,
        center: bool = True,
    ) -> None:
        self.k, self.rule, self.max_k, self.center = k, rule, max_k, center
        self.mean = self.s = np.zeros(0)
        self.v = np.zeros((0, 0))
        self.energy = np.zeros(0)

    def fit(self, curves: Floats, stream: Generator) -> None:
        """Decompose; keep ``k`` columns, or those that ``rule`` wants."""
        self.mean = curves.mean(axis=0) if self.center else np.zeros(curves.shape[1])
        # Y - mean = U S V^T; the coefficients of a curve are its row of U, of unit scale whatever the
        # component (Yan et al. 2021: singular value decomposition of curves).
        u, s, v = np.linalg.svd(curves - self.mean, full_matrices=False)
        rank = len(s)
        if rank < (self.k if self.rule == "fixed" else 1):
            raise InputError(f"{self.k} components of {curves.shape} curves; expected at most {rank}")
        if self.rule == "residual":
            self.k = residual_rank(u, s, v, min(self.max_k, rank))
        elif self.rule == "joint":
            self.k = min(self.max_k, rank)
        self.s, self.v = np.maximum(s[: self.k], 1e-12), v[: self.k]
        self.energy = explained(curves)

    def encode(self, curves: Floats) -> Floats:
        """Return coordinates in U, (n, k)."""
        # c = (y - mean) V / s, the left inverse of decoding.
        return (curves - self.mean) @ self.v.T / self.s

    def decode(self, coefficients: Floats) -> Floats:
        """Return curves, (n, D)."""
        # y = mean + (c s) V^T.
        return self.mean + (coefficients * self.s) @ self.v

    def state(self) -> State:
        """Return mean, singular values, right singular vectors and explained variances."""
        return {"mean": self.mean, "s": self.s, "v": self.v, "energy": self.energy}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self.mean, self.s, self.v, self.energy = (state[name] for name in ("mean", "s", "v", "energy"))
        self.k = len(self.s)


def explained(curves: Floats, count: int = 20) -> Floats:
    """Return the share of the variance around the mean curve that each component explains."""
    s = np.linalg.svd(curves - curves.mean(axis=0), compute_uv=False)
    return np.asarray((s**2 / max((s**2).sum(), 1e-12))[:count])


def residual_rank(u: Floats, s: Floats, v: Floats, most: int) -> int:
    """Return the smallest rank whose residual along a curve has a lag-1 autocorrelation below ``SMOOTH``."""
    rest = (u * s) @ v
    for k in range(most):
        rest = rest - s[k] * np.outer(u[:, k], v[k])
        # What is smooth over epochs belongs to the curve, what is rough to the noise of training.
        if autocorrelation(rest) < SMOOTH:
            return k + 1
    return most


def autocorrelation(rows: Floats) -> float:
    """Return the lag-1 autocorrelation of rows of mean zero, pooled over rows."""
    power = (rows**2).sum()
    return float((rows[:, 1:] * rows[:, :-1]).sum() / max(power * (1 - 1 / rows.shape[1]), 1e-12))
