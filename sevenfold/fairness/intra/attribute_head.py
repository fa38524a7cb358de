"""The attribute head: the probability of each cell of groups given features and label, P(g | x, y).

Multinomial logistic regression, softmax_g(A h + c[y]), with a ridge (le Cessie & van Houwelingen 1992)
whose penalty is chosen by held-out log-loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
LABEL_PENALTY = 1e-3


@dataclass(frozen=True)
class Head:
    """P(g | x, y) = softmax_g(weight h + bias[y]): weight (cells, features), bias (2, cells).

    Example:
        >>> head = Head(torch.zeros(3, 4), torch.zeros(2, 3))
        >>> head.posterior(torch.ones(5, 4)).shape
        torch.Size([5, 3, 2])
    """

    weight: Tensor
    bias: Tensor

    def posterior(self, h: Tensor) -> Tensor:
        """Return P(g | x, y), (n, cells, 2), for both labels."""
        scores = h.to(self.weight.dtype) @ self.weight.T
        return (scores[..., None] + self.bias.T).softmax(-2)


class Regression:
    """A ridge regression of cells on features and labels, on rows that stay while rows are left out.

    Args:
        h: features, (n, m).
        y: labels, (n,).
        cell: (n,), all known.
        weights: of the rows, (n,).
        cells: how many.
        penalty: typical size of the penalty, by which the problem is made round.
    """

    def __init__(
        self, h: Tensor, y: Tensor, cell: Tensor, weights: Tensor, cells: int, penalty: float
    ) -> None:
        x = h.double().cpu().numpy()
        self.mean, deviation = x.mean(0), x.std(0)
        self.deviation = np.where(deviation > 1e-12, deviation, 1.0)
        labels = y.cpu().numpy()
        columns = [(x - self.mean) / self.deviation, (labels == 0)[:, None], (labels == 1)[:, None]]
        self.z = np.concatenate(columns, axis=1).astype(np.float64)
        self.weights = weights.double().cpu().numpy()
        self.cell, self.cells, self.features = cell.cpu().numpy(), cells, x.shape[1]
        # Of two cells one column of scores is enough; the other one is 0.
        self.target = np.eye(cells)[self.cell][:, : 1 if cells == 2 else cells]
        # In coordinates in which the curvature is about 1 a few steps of L-BFGS are enough.
        gram = (self.z * self.weights[:, None]).T @ self.z / 4 + np.diag(self._penalties(penalty))
        self.turn = np.linalg.inv(np.linalg.cholesky(gram)).T
        self.turned = self.z @ self.turn

    def _penalties(self, penalty: float) -> Floats:
        return np.r_[np.full(self.features, penalty), np.full(2, LABEL_PENALTY)]

    def fit(self, rows: NDArray[np.bool_], penalty: float, start: Floats | None = None) -> Floats:
        """Return the solution in turned coordinates, fitted to some rows (n,)."""
        from scipy.optimize import minimize

        z, target, w = self.turned[rows], self.target[rows], self.weights[rows][:, None]
        ridge = self.turn.T @ (self._penalties(penalty)[:, None] * self.turn)
        shape = (z.shape[1], target.shape[1])

        def loss(flat: Floats) -> tuple[float, Floats]:
            v = flat.reshape(shape)
            log_normalizer, share = _softmax(z @ v)
            value = (w * (log_normalizer[:, None] - (z @ v * target).sum(1, keepdims=True))).sum()
            pull = ridge @ v
            gradient = z.T @ (w * (share - target)) + pull
            return float(value + 0.5 * (v * pull).sum()), gradient.ravel()

        first = np.zeros(shape) if start is None else start
        options = {"maxiter": 200, "gtol": 1e-3, "ftol": 1e-10}
        solution = minimize(loss, first.ravel(), jac=True, method="L-BFGS-B", options=options)
        return solution.x.reshape(shape)

    def log_loss(self, rows: NDArray[np.bool_], v: Floats) -> float:
        """Return the mean log-loss of rows."""
        scores = self.turned[rows] @ v
        normalizer, _ = _softmax(scores)
        each = normalizer - (scores * self.target[rows]).sum(1)
        return float(np.average(each, weights=self.weights[rows]))

    def head(self, v: Floats, like: Tensor) -> Head:
        """Return a solution as a head of raw features: standardization is part of its weights."""
        weight = (self.turn @ v).T
        if self.cells == 2:
            weight = np.concatenate([weight, np.zeros_like(weight)])
        slope = weight[:, : self.features] / self.deviation
        bias = weight[:, self.features :].T - slope @ self.mean
        return Head(*(torch.as_tensor(value, device=like.device) for value in (slope, bias)))

    def choose(self, penalties: Sequence[float], held_out: NDArray[np.bool_]) -> float:
        """Return the penalty of the least log-loss on rows that are left out of the fit."""
        if len(penalties) == 1:
            return penalties[0]
        start: Floats | None = None
        losses: dict[float, float] = {}
        for penalty in sorted(penalties, reverse=True):
            start = self.fit(~held_out, penalty, start)
            losses[penalty] = self.log_loss(held_out, start)
        return min(losses, key=lambda penalty: losses[penalty])


def _softmax(scores: Floats) -> tuple[Floats, Floats]:
    """Return log of the sum of exponentials, and shares; one column stands beside a column of zeros."""
    if scores.shape[1] == 1:
        return np.logaddexp(0, scores[:, 0]), 1 / (1 + np.exp(-np.clip(scores, -500, 500)))
    top = scores.max(1, keepdims=True)
    powers = np.exp(scores - top)
    total = powers.sum(1, keepdims=True)
    return (top + np.log(total))[:, 0], powers / total


def cross_fitted(
    regression: Regression, folds: Sequence[NDArray[np.bool_]], penalties: Sequence[float], like: Tensor
) -> tuple[Head, list[Head], float]:
    """Return the head of all rows, one for each fold fitted without it, and the penalty."""
    everybody = np.ones(len(regression.z), dtype=bool)
    penalty = regression.choose(penalties, folds[0]) if folds else penalties[0]
    whole = regression.fit(everybody, penalty)
    without = [regression.fit(~fold, penalty, whole) for fold in folds]
    return regression.head(whole, like), [regression.head(v, like) for v in without], penalty
