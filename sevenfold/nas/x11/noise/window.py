"""Noise with a local strength that is predicted from architecture and curve."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.random import Generator
from scipy.ndimage import uniform_filter1d

from sevenfold.nas.x11.base import Floats, Memo, State, side_by_side
from sevenfold.nas.x11.lgb import lightgbm
from sevenfold.nas.x11.noise.base import Deviations, Noise
from sevenfold.nas.x11.noise.draws import Draws
from sevenfold.ranges import AtLeastTwo, Count, DepthOrNone, NonNegativeInt

FLOOR = 1e-3
LEAST = 1e-6
RECENT = 200_000  # rows a block of epochs is fitted to


class Window(Noise):
    """Noise s_e z_e with a strength s from boosted trees and a first-order autoregression z of variance one.

    The trees are fitted to the logarithm of the root mean square of a training's deviation in a window of
    epochs; they see encoding, predicted curve, its end, and the epoch. A factor for every epoch makes up for
    averaging logarithms. The autoregression of standardized deviations has a coefficient for every step.

    Args:
        width: epochs on both sides of an epoch that belong to its window.
        block: epochs that one booster predicts.
        rounds: trees of each booster.
        leaves: leaves of a tree, at most.
        threads: threads of fitting and predicting one booster; 0: all.
    """

    def __init__(
        self,
        *,
        width: NonNegativeInt = 2,
        block: Count = 10,
        rounds: Count = 60,
        leaves: AtLeastTwo = 15,
        threads: DepthOrNone = 1,
    ) -> None:
        self.width, self.block, self.threads = width, block, threads
        self.options = {"num_leaves": leaves, "learning_rate": 0.1, "verbose": -1, "min_child_samples": 20}
        self.rounds = rounds
        self.boosters: list[Any] = []
        self._memo = Memo()
        self.factor = self.phi = np.zeros(0)
        lightgbm()

    def learn(self, given: Deviations, stream: Generator) -> None:
        """Fit strengths, factors and coefficients."""
        lgb, epochs = lightgbm(), given.values.shape[1]
        # log sigma_e of a window of epochs is the target of boosted trees, a sliding-window model (Yan et al.
        # 2021).
        power = uniform_filter1d(given.values**2, 2 * self.width + 1, axis=1, mode="nearest")
        target = 0.5 * np.log(np.maximum(power, FLOOR**2))
        options = {**self.options, "objective": "l2", "num_threads": self.threads, "deterministic": True}
        self.boosters, self._memo = [], Memo()
        for begin in range(0, epochs, self.block):
            places = np.arange(begin, min(begin + self.block, epochs))
            x, y = self._rows(given.x, given.predicted, places), target[:, places].T.ravel()
            chosen = stream.permutation(len(y))[:RECENT]
            self.boosters.append(lgb.train(options, lgb.Dataset(x[chosen], y[chosen]), self.rounds))
        self.factor = np.ones(epochs)
        strength = self._strength(given.x, given.predicted)
        self.factor = np.sqrt((given.values**2).mean(axis=0) / np.maximum((strength**2).mean(axis=0), LEAST))
        z = np.clip(given.values / np.maximum(self._strength(given.x, given.predicted), FLOOR), -4, 4)
        z = z / np.maximum(z.std(axis=0), LEAST)
        self.phi = np.clip((z[:, 1:] * z[:, :-1]).mean(axis=0), -0.98, 0.98)

    def deviate(self, x: Floats, predicted: Floats, draws: Draws) -> Floats:
        """Run the autoregression and scale it."""
        # z_e = phi_e z_{e-1} + (1 - phi_e^2)^(1/2) n_e: an autoregression of order 1 with unit variance.
        z = draws.normal[:, : predicted.shape[1]].copy()
        for e, phi in enumerate(self.phi, 1):
            z[:, e] = phi * z[:, e - 1] + np.sqrt(1 - phi**2) * z[:, e]
        return self._strength(x, predicted) * z

    def log_prob(self, x: Floats, predicted: Floats, values: Floats) -> Floats:
        """Return log densities of deviations."""
        s = np.maximum(self._strength(x, predicted), FLOOR)
        z = values / s
        phi = np.concatenate([[0.0], self.phi])
        before = np.concatenate([np.zeros((len(z), 1)), z[:, :-1]], axis=1)
        # log p(z_e | z_{e-1}) of the same autoregression, and log s of the change of units.
        variance = 1 - phi**2
        density = (z - phi * before) ** 2 / variance + np.log(2 * np.pi * variance) + 2 * np.log(s)
        return np.asarray(-0.5 * density.sum(axis=1))

    def _rows(self, x: Floats, predicted: Floats, places: np.ndarray) -> Floats:
        """Return encoding, predicted value, final value and epoch of (places, architectures) as rows."""
        epochs = predicted.shape[1]
        features = np.empty((len(places), len(x), x.shape[1] + 3))
        features[:, :, :-3], features[:, :, -3] = x, predicted[:, places].T
        features[:, :, -2], features[:, :, -1] = predicted[:, -1], ((places + 1) / epochs)[:, None]
        return features.reshape(-1, features.shape[2])

    def _strength(self, x: Floats, predicted: Floats) -> Floats:
        whole = np.concatenate([x, predicted], axis=1)
        logs = self._memo.ask(whole, lambda rows: self._logs(x[rows], predicted[rows]))
        return np.asarray(np.exp(logs) * self.factor)

    def _logs(self, x: Floats, predicted: Floats) -> Floats:
        """Return logarithms of strengths without the factors, (n, E)."""

        def of(block: int) -> Floats:
            begin = block * self.block
            places = np.arange(begin, min(begin + self.block, predicted.shape[1]))
            rows = self._rows(x, predicted, places)
            logs = self.boosters[block].predict(rows, num_threads=self.threads)
            return np.asarray(logs).reshape(len(places), len(x))

        return np.concatenate(side_by_side(of, range(len(self.boosters)))).T

    def state(self) -> State:
        """Return boosters as text and both vectors."""
        texts = {f"block_{i}": booster.model_to_string() for i, booster in enumerate(self.boosters)}
        return {"factor": self.factor, "phi": self.phi, "block": np.array(self.block), **texts}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self.factor, self.phi, self.block = state["factor"], state["phi"], int(state["block"])
        self._memo = Memo()
        texts = [state[f"block_{i}"] for i in range(len(state) - 3)]
        self.boosters = [lightgbm().Booster(model_str=text) for text in texts]
