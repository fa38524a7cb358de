"""Sensitivity of the bias to every weight of a trained network, by regression on random perturbations."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sevenfold.fairness.intra.base import Problem
from sevenfold.fairness.intra.random import RandomPerturbation
from sevenfold.fairness.measures import soft_bias

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sensitivity:
    """A linear model of the soft bias in the noise.

    Attributes:
        r2: of the model on held-out draws.
        coefficients: (weights,), one for each weight of the network.
        biases: (draws,), the soft bias of every draw.
    """

    r2: float
    coefficients: Floats
    biases: Floats

    @property
    def concentration(self) -> float:
        """Return the share of weights that carries 90 % of the squared coefficients."""
        squares = np.sort(self.coefficients**2)[::-1]
        needed = np.searchsorted(np.cumsum(squares), 0.9 * squares.sum()) + 1
        return float(needed / len(squares))


def sensitivity(problem: Problem, *, draws: int = 1000, sigma: float = 0.1) -> Sensitivity:
    """Regress the soft bias of the problem's rows on multiplicative noise in all weights.

    Ridge regression, its penalty by generalized cross-validation; a fifth of the draws is held out.
    """
    from sklearn.linear_model import RidgeCV

    method, state = RandomPerturbation(trials=draws, sigmas=[sigma], scope="all"), problem.state()
    noise, biases = [], []
    for start in range(0, draws, problem.chunk):
        draws_of_chunk = [
            method.noise_of(state, problem.seed, t) for t in range(start, min(start + problem.chunk, draws))
        ]
        stack = {
            name: torch.stack([state[name] * (1 + sigma * z[name]) for z in draws_of_chunk]) for name in state
        }
        # theta_t = theta (1 + sigma z_t), z_t ~ N(0, I)   (Savani et al. 2020, study of initial conditions)
        soft = torch.sigmoid(problem.batched_scores(stack))
        biases.append(soft_bias(problem.objective.measure, soft.double(), problem.y, problem.a))
        noise += [torch.cat([z[name].flatten() for name in state]) for z in draws_of_chunk]
    x, y = torch.stack(noise).cpu().numpy().astype(np.float64), torch.cat(biases).cpu().numpy()
    # There are more weights than draws, so the regression needs a penalty; it is chosen by generalized
    # cross-validation (Golub, Heath & Wahba 1979).
    cut = int(0.8 * draws)
    model = RidgeCV(alphas=10.0 ** np.arange(-1, 7)).fit(x[:cut], y[:cut])
    return Sensitivity(float(model.score(x[cut:], y[cut:])), model.coef_, y)


def shared_directions(coefficients: Floats) -> Floats:
    """Return the singular values of unit-length coefficient vectors (models, weights).

    All are 1 where the models' directions are orthogonal; one large value says that they share a direction.
    """
    rows = coefficients / np.linalg.norm(coefficients, axis=1, keepdims=True).clip(1e-300)
    return np.linalg.svd(rows, compute_uv=False)
