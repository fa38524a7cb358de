"""Eleven families of learning curves, increasing in t = epochs from 1, with values as fractions.

Positive parameters are logarithms here, so that every real vector is a curve. Means and standard deviations
are those of the prior, which is wide for accuracies.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# The parametric families of Domhan, Springenberg and Hutter 2015, table 1.
Curve = Callable[[Tensor, Tensor], Tensor]
"""Parameters (..., P, 1) and epochs (T,) to values (..., T)."""


class Family(NamedTuple):
    """A curve and the prior of its parameters."""

    name: str
    curve: Curve
    mean: tuple[float, ...]
    spread: tuple[float, ...]


def vapor_pressure(p: Tensor, t: Tensor) -> Tensor:
    """Return a + b / t + c ln t."""
    return p[..., 0, :] + p[..., 1, :] / t + p[..., 2, :] * t.log()


def pow3(p: Tensor, t: Tensor) -> Tensor:
    """Return c - a t^-alpha."""
    return p[..., 0, :] - (p[..., 1, :] - p[..., 2, :].exp() * t.log()).exp()


def log_log_linear(p: Tensor, t: Tensor) -> Tensor:
    """Return ln(a ln t + b)."""
    return (p[..., 0, :].exp() * t.log() + p[..., 1, :].exp()).log()


def log_power(p: Tensor, t: Tensor) -> Tensor:
    """Return a / (1 + (t / e^b)^c), c < 0."""
    return p[..., 0, :].exp() * torch.sigmoid((t.log() - p[..., 1, :]) * p[..., 2, :].exp())


def pow4(p: Tensor, t: Tensor) -> Tensor:
    """Return c - (a t + b)^-alpha."""
    inside = p[..., 1, :].exp() * t + p[..., 2, :].exp()
    return p[..., 0, :] - (-p[..., 3, :].exp() * inside.log()).exp()


def mmf(p: Tensor, t: Tensor) -> Tensor:
    """Return alpha - (alpha - beta) / (1 + (kappa t)^delta)."""
    power = (p[..., 2, :] + t.log()) * p[..., 3, :].exp()
    return p[..., 0, :] - (p[..., 0, :] - p[..., 1, :]) * torch.sigmoid(-power)


def exp4(p: Tensor, t: Tensor) -> Tensor:
    """Return c - exp(-a t^alpha + b)."""
    return p[..., 0, :] - (p[..., 3, :] - (p[..., 1, :] + p[..., 2, :].exp() * t.log()).exp()).exp()


def janoschek(p: Tensor, t: Tensor) -> Tensor:
    """Return alpha - (alpha - beta) exp(-kappa t^delta)."""
    decay = (-(p[..., 2, :] + p[..., 3, :].exp() * t.log()).exp()).exp()
    return p[..., 0, :] - (p[..., 0, :] - p[..., 1, :]) * decay


def weibull(p: Tensor, t: Tensor) -> Tensor:
    """Return alpha - (alpha - beta) exp(-(kappa t)^delta)."""
    decay = (-((p[..., 2, :] + t.log()) * p[..., 3, :].exp()).exp()).exp()
    return p[..., 0, :] - (p[..., 0, :] - p[..., 1, :]) * decay


def ilog2(p: Tensor, t: Tensor) -> Tensor:
    """Return c - a / ln(t + 1)."""
    return p[..., 0, :] - p[..., 1, :].exp() / (t + 1).log()


def hill3(p: Tensor, t: Tensor) -> Tensor:
    """Return ymax t^eta / (kappa^eta + t^eta)."""
    return p[..., 0, :].exp() * torch.sigmoid((t.log() - p[..., 2, :]) * p[..., 1, :].exp())


FAMILIES = (
    Family("vapor_pressure", vapor_pressure, (0.5, -0.3, 0.05), (0.5, 0.5, 0.1)),
    Family("pow3", pow3, (0.8, -0.7, -0.5), (0.25, 0.7, 0.7)),
    Family("log_log_linear", log_log_linear, (-1.6, 0.4), (0.7, 0.4)),
    Family("log_power", log_power, (-0.2, 1.0, -0.2), (0.3, 1.5, 0.7)),
    Family("pow4", pow4, (0.8, 0.0, 0.0, -0.5), (0.25, 1.0, 1.0, 0.7)),
    Family("mmf", mmf, (0.8, 0.3, -1.2, -0.2), (0.25, 0.3, 1.0, 0.5)),
    Family("exp4", exp4, (0.8, -0.7, -0.7, -0.7), (0.25, 1.0, 0.5, 0.7)),
    Family("janoschek", janoschek, (0.8, 0.3, -1.2, -0.5), (0.25, 0.3, 1.0, 0.5)),
    Family("weibull", weibull, (0.8, 0.3, -1.2, -0.5), (0.25, 0.3, 1.0, 0.5)),
    Family("ilog2", ilog2, (0.8, -1.2), (0.25, 0.7)),
    Family("hill3", hill3, (-0.2, -0.2, 0.7), (0.25, 0.5, 1.0)),
)
