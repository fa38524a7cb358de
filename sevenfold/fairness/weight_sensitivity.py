"""How much the bias depends on the initial conditions: its sensitivity to every weight of a trained
network.
"""

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
    """A linear model of the soft bias in the noise: its R^2 on held-out draws, coefficients (weights,), and
    the
    soft bias of every draw.
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
    """Perturb all weights by noise around 1, regress the soft bias of the problem's rows on the noise.

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
        soft = torch.sigmoid(problem.batched_scores(stack))
        biases.append(soft_bias(problem.objective.measure, soft.double(), problem.y, problem.a))
        noise += [torch.cat([z[name].flatten() for name in state]) for z in draws_of_chunk]
    x, y = torch.stack(noise).cpu().numpy().astype(np.float64), torch.cat(biases).cpu().numpy()
    cut = int(0.8 * draws)
    model = RidgeCV(alphas=10.0 ** np.arange(-1, 7)).fit(x[:cut], y[:cut])
    return Sensitivity(float(model.score(x[cut:], y[cut:])), model.coef_, y)


def shared_directions(coefficients: Floats) -> Floats:
    """Return the singular values of coefficient vectors (models, weights) of unit length; all 1 if
    unrelated.
    """
    rows = coefficients / np.linalg.norm(coefficients, axis=1, keepdims=True).clip(1e-300)
    return np.linalg.svd(rows, compute_uv=False)
