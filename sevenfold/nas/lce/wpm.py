"""WPM: a weighted mixture of parametric curves, sampled by Markov chains (Domhan et al. 2015)."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple, Self

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from sevenfold.nas.lce.base import Extrapolator, Floats, Seen
from sevenfold.nas.lce.families import FAMILIES, Family
from sevenfold.nas.lce.learned import above_chance
from sevenfold.ranges import MOST, Depth, Percent, Range

AIM = 0.3  # acceptance that the proposals' scales are adapted to
ITERATIONS = 40
LOG_SIGMA = (-4.6, 1.0)  # prior of the logarithm of the noise, a fraction


class Posterior(NamedTuple):
    """Draws of the value at the end, (n, draws) in percent, and the share of proposals accepted, (n,)."""

    ends: Floats
    acceptance: Floats


class WPM(Extrapolator):
    """Posterior mean of a weighted mixture of eleven families of curves, sampled by Markov chains.

    Every family begins at its own best fit. A sweep proposes the parameters of each family in turn, shaped
    like its posterior, then the weights, then the noise; scales adapt to an acceptance of 0.3 in the first
    half, which is thrown away. Chains run side by side over curves in one tensor. A curve that falls from
    epoch 1 to the end, or ends above 100 %, has no density. Nothing is learned from other trainings.

    Args:
        steps: sweeps of each chain.
        chains: chains of each curve.
        chance: accuracy of guessing, percent; trainings last observed at most 2 points above
            it are predicted to stay there; null: no such gate.
    """

    def __init__(
        self,
        *,
        steps: Annotated[int, Range(4, MOST)] = 200,
        chains: Depth = 4,
        chance: Percent | None = 10.0,
    ) -> None:
        self.steps, self.chains, self.chance = steps, chains, chance
        self.end = 0

    def fit(self, curves: Floats, losses: Floats | None, *, seen: int, end: int, stream: Generator) -> Self:
        """Note which epoch is predicted."""
        self.end = end
        return self

    def predict(self, seen: Seen) -> Floats:
        """Return posterior means, percent."""
        predicted = np.full(len(seen.values), self.chance or 0.0)
        alive = above_chance(seen, self.chance)
        if alive.any():
            predicted[alive] = self.posterior(seen.values[alive]).ends.mean(axis=1)
        return predicted

    @torch.no_grad()
    def posterior(self, values: Floats) -> Posterior:
        """Sample for curves (n, T) in percent. All curves meet the same random numbers, so that what is
        predicted for one does not depend on the others.
        """
        with torch.inference_mode(False):
            y = torch.as_tensor(values / 100, dtype=torch.float64)
            times = torch.arange(1, y.shape[1] + 1, dtype=torch.float64)
            times = torch.cat([times, torch.tensor([float(self.end)], dtype=torch.float64)])
            chains = Chains.start(y, times, self.chains)
            generator = torch.Generator().manual_seed(0)
            ends: list[Tensor] = []
            accepted = torch.zeros(len(y), dtype=torch.float64)
            for step in range(self.steps):
                burning = step < self.steps // 2
                rate = chains.sweep(generator, adapt=burning)
                if not burning:
                    accepted += rate
                    ends.append(chains.mixed[..., -1])
        samples = torch.stack(ends, dim=2).flatten(1)
        return Posterior((100 * samples).numpy(), (accepted / len(ends)).numpy())


@dataclass
class Chains:
    """The state of chains for n curves: parameters and values by family, weights, noise.

    ``values`` (n, C, K, T + 1) are the families' curves at the seen epochs and at the end, ``mixed`` their
    weighted sum (n, C, T + 1), ``density`` its logarithm with the prior of the noise. Proposals are
    tensors of their own: a refused move leaves no trace.
    """

    y: Tensor
    times: Tensor
    parameters: list[Tensor]
    shapes: list[Tensor]
    values: Tensor
    logits: Tensor
    log_sigma: Tensor
    scales: Tensor
    mixed: Tensor
    density: Tensor

    @classmethod
    def start(cls, y: Tensor, times: Tensor, chains: int) -> "Chains":
        """Begin all chains at the families' fits, weighted evenly."""
        fits = [fit(family, y, times[:-1]) for family in FAMILIES]
        parameters = [theta[:, None].expand(-1, chains, -1).clone() for theta, _ in fits]
        values = torch.stack([_curve(f, p, times) for f, p in zip(FAMILIES, parameters, strict=True)], dim=2)
        # a family that does not fit at all begins with little weight
        error = ((values[..., :-1] - y[:, None, None]) ** 2).mean(-1)
        logits = (-0.5 * error / error.min(dim=2, keepdim=True).values.clamp_min(1e-6)).clamp_min(-4)
        log_sigma = 0.5 * error.min(dim=2).values.clamp_min(1e-6).log()
        scales = torch.full((len(y), len(FAMILIES) + 2), 0.5, dtype=torch.float64)
        shapes = [shape for _, shape in fits]
        mixed = _mixed(values, logits)
        made = cls(y, times, parameters, shapes, values, logits, log_sigma, scales, mixed, log_sigma)
        made.density = made.log_density(mixed, log_sigma)
        return made

    def log_density(self, mixed: Tensor, log_sigma: Tensor) -> Tensor:
        """Return likelihood and the prior of the noise, (n, C); -inf where a curve is impossible."""
        error = (mixed[..., :-1] - self.y[:, None]) / log_sigma.exp()[..., None]
        likelihood = -0.5 * (error**2).sum(-1) - log_sigma * self.y.shape[1]
        prior = -0.5 * ((log_sigma - LOG_SIGMA[0]) / LOG_SIGMA[1]) ** 2
        possible = (mixed[..., -1] >= mixed[..., 0]) & (mixed[..., -1] <= 1)
        total = torch.where(possible, likelihood + prior, -torch.inf)
        return torch.nan_to_num(total, nan=-torch.inf, posinf=-torch.inf, neginf=-torch.inf)

    def sweep(self, generator: torch.Generator, *, adapt: bool) -> Tensor:
        """Propose every block once; return the share accepted, (n,)."""
        rates = [self._move_family(k, generator) for k in range(len(FAMILIES))]
        rates += [self._move_weights(generator), self._move_noise(generator)]
        accepted = torch.stack(rates, dim=1)  # (n, blocks)
        if adapt:
            self.scales = (self.scales * (0.4 * (accepted - AIM)).exp()).clamp(1e-3, 5)
        return accepted.mean(dim=1)

    def _noise(self, size: int, generator: torch.Generator) -> Tensor:
        chains = self.log_sigma.shape[1]
        return torch.randn((1, chains, size), generator=generator, dtype=torch.float64)

    def _move_family(self, k: int, generator: torch.Generator) -> Tensor:
        family, old = FAMILIES[k], self.parameters[k]
        step = torch.einsum("npq,mcq->ncp", self.shapes[k], self._noise(old.shape[2], generator))
        new = old + self.scales[:, k, None, None] * step
        values = _curve(family, new, self.times)
        mixed = self.mixed + self.logits.softmax(-1)[..., k, None] * (values - self.values[:, :, k])
        change = _log_prior(family, new) - _log_prior(family, old)
        taken = self._accept(mixed, self.log_sigma, change, generator)
        self.parameters[k] = torch.where(taken[..., None], new, old)
        self.values[:, :, k] = torch.where(taken[..., None], values, self.values[:, :, k])
        return taken.double().mean(dim=1)

    def _move_weights(self, generator: torch.Generator) -> Tensor:
        new = self.logits + self.scales[:, -2, None, None] * self._noise(self.logits.shape[2], generator)
        change = 0.5 * (self.logits**2 - new**2).sum(-1)
        taken = self._accept(_mixed(self.values, new), self.log_sigma, change, generator)
        self.logits = torch.where(taken[..., None], new, self.logits)
        self.mixed = _mixed(self.values, self.logits)  # afresh, so that rounding does not add up
        return taken.double().mean(dim=1)

    def _move_noise(self, generator: torch.Generator) -> Tensor:
        new = self.log_sigma + self.scales[:, -1, None] * self._noise(1, generator)[..., 0]
        taken = self._accept(self.mixed, new, torch.zeros(()), generator)
        self.log_sigma = torch.where(taken, new, self.log_sigma)
        return taken.double().mean(dim=1)

    def _accept(self, mixed: Tensor, log_sigma: Tensor, change: Tensor, generator: torch.Generator) -> Tensor:
        """Return which proposals are taken, (n, C), and keep their mixtures and densities; ``change`` is that
        of the other priors. From an impossible state any possible one is taken.
        """
        density = self.log_density(mixed, log_sigma)
        gain = density + change - self.density
        uniform = torch.rand((1, gain.shape[1]), generator=generator, dtype=torch.float64)
        taken = torch.where(gain.isnan(), False, uniform.log() < gain)
        self.mixed = torch.where(taken[..., None], mixed, self.mixed)
        self.density = torch.where(taken, density, self.density)
        return taken


def fit(family: Family, y: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """Return the most probable parameters of curves (n, T), (n, P), and a factor of their covariance.

    Levenberg-Marquardt on squared errors in units of 1 % and of the prior's spread.
    """
    mean, spread = (torch.tensor(part, dtype=torch.float64) for part in (family.mean, family.spread))
    theta, unit = mean.expand(len(y), -1).clone(), 0.01
    damping = torch.full((len(y), 1, 1), 1e-2, dtype=torch.float64)

    def errors(p: Tensor) -> Tensor:
        residuals = torch.cat([(_curve(family, p, times) - y) / unit, (p - mean) / spread], dim=1)
        return torch.nan_to_num(residuals, nan=1e6, posinf=1e6, neginf=-1e6).clamp(-1e6, 1e6)

    eye = torch.eye(len(family.mean), dtype=torch.float64)
    here, normal = errors(theta), eye.expand(len(y), -1, -1)
    for _ in range(ITERATIONS):
        columns = [(errors(theta + 1e-6 * eye[p]) - here) / 1e-6 for p in range(len(eye))]
        jacobian = torch.stack(columns, dim=2)
        normal = jacobian.transpose(1, 2) @ jacobian + 1e-9 * eye
        step = torch.linalg.solve(
            normal + damping * normal.diagonal(dim1=1, dim2=2).diag_embed(),
            jacobian.transpose(1, 2) @ here[..., None],
        )[..., 0]
        there = errors(theta - step)
        better = (there**2).sum(1) < (here**2).sum(1)
        theta = torch.where(better[:, None], theta - step, theta)
        here = torch.where(better[:, None], there, here)
        damping = torch.where(better[:, None, None], damping / 3, damping * 4).clamp(1e-9, 1e6)
    return theta, torch.linalg.cholesky(torch.linalg.inv(normal) + 1e-12 * eye)


def _curve(family: Family, parameters: Tensor, times: Tensor) -> Tensor:
    return family.curve(parameters[..., None], times)


def _mixed(values: Tensor, logits: Tensor) -> Tensor:
    return (logits.softmax(-1)[..., None] * values).sum(-2)


def _log_prior(family: Family, parameters: Tensor) -> Tensor:
    mean, spread = (torch.tensor(part, dtype=torch.float64) for part in (family.mean, family.spread))
    return -0.5 * (((parameters - mean) / spread) ** 2).sum(-1)
