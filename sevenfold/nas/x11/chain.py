"""Chains of boosted trees: what LightGBM and XGBoost have in common."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.random import Generator

from sevenfold.nas.x11.base import Floats, Regressor, State


class Chain(Regressor):
    """One booster for each coefficient, which may depend on the coefficients before it.

    In training these are the known ones, in prediction the predicted ones. A chain that is cut after its
    first links still predicts the same first coefficients.

    Args:
        chained: let each booster see the coefficients before its own, beside the encoding.
        rounds: trees of each booster.
        threads: threads of fitting and predicting one booster; 0: all. Members run side by side anyway, so
            that more than one is slower on a busy machine.
    """

    def __init__(self, *, chained: bool, rounds: int, threads: int) -> None:
        self.chained, self.rounds, self.threads = chained, rounds, threads
        self.links: list[Any] = []

    @abstractmethod
    def boost(self, x: Floats, target: Floats, seed: int) -> Any:
        """Return a booster fitted to one coefficient, (n,)."""

    @abstractmethod
    def ask(self, booster: Any, x: Floats) -> Floats:
        """Return a booster's predictions, (n,)."""

    @abstractmethod
    def write(self, booster: Any) -> str:
        """Return a booster as text."""

    @abstractmethod
    def read(self, text: str) -> Any:
        """Return the booster of a text."""

    def fit(self, x: Floats, targets: Floats, stream: Generator) -> None:
        """Fit the links in order."""
        # Regressor chain (Read et al. 2011): booster j sees the encoding and coefficients 1..j-1, true ones
        # in fitting and predicted ones in use, so that coefficients vary together.
        seen = np.concatenate([x, targets], axis=1)
        self.links = [
            self.boost(self._part(seen, x, j), targets[:, j], int(stream.integers(2**30)))
            for j in range(targets.shape[1])
        ]

    def _part(self, seen: Floats, x: Floats, link: int) -> Floats:
        return seen[:, : x.shape[1] + link] if self.chained else x

    def predict(self, x: Floats) -> Floats:
        """Return predictions, (n, k)."""
        seen = np.concatenate([x, np.zeros((len(x), len(self.links)))], axis=1)
        for j, booster in enumerate(self.links):
            seen[:, x.shape[1] + j] = self.ask(booster, self._part(seen, x, j))
        return seen[:, x.shape[1] :]

    def state(self) -> State:
        """Return every link as text."""
        links = {f"link_{j}": self.write(booster) for j, booster in enumerate(self.links)}
        return {"chained": np.array(self.chained), **links}

    def load(self, state: Mapping[str, Any]) -> None:
        """Read every link."""
        self.chained = bool(state["chained"])
        self.links = [self.read(state[f"link_{j}"]) for j in range(len(state) - 1)]
