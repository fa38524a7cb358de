"""Surrogates that train networks: an ensemble as in BANANAS, and DNGO's Bayesian last layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sevenfold.config import ConfigError, build, name_of, prepare
from sevenfold.nas.algorithms.acquisition import Acquisition, Prediction
from sevenfold.nas.algorithms.features import Features, padded
from sevenfold.nas.algorithms.gaussian_process import linear
from sevenfold.nas.algorithms.surrogate import Model, Round, Targets
from sevenfold.nas.predictors import PREDICTORS
from sevenfold.nas.predictors.base import Predictor
from sevenfold.nas.predictors.mlp import MLP
from sevenfold.nas.predictors.training import Training, fit, predict_members
from sevenfold.nas.spaces.base import Space
from sevenfold.ranges import Count, Depth, Positive, Size

CHUNK = 2**25
"""Numbers in a network's input at a time, at most."""


class Ensemble(Model):
    """The mean and spread of ``members`` networks from fresh weights, the same data for all of them.

    ``networks`` are components of ``PREDICTORS``; of several, each contributes ``members`` (the "diverse"
    ensemble has five shapes of one member each). All members of all trials are trained as one stack.
    ``scale_inputs`` gives every coordinate of the training rows mean 0 and standard deviation 1.
    """

    with_members = True

    def __init__(
        self,
        *,
        networks: list[Any] = [{"name": "mlp"}],  # noqa: B006
        members: Count = 5,
        encoding: str = "trunc_path",
        cutoff: Count | None = None,
        training: Training = Training(),
        scale_inputs: bool = False,
        targets: Targets = "raw",
        acquisition: Acquisition = Acquisition(),
    ) -> None:
        super().__init__(targets=targets, acquisition=acquisition)
        if not networks:
            raise ConfigError("networks", "needs at least one")
        for place, node in enumerate(networks):
            prepare(PREDICTORS, node, f"networks[{place}]", features=1, copies=1)
        self.networks, self.members, self.features = networks, members, Features(encoding, cutoff)
        self.training, self.scale_inputs = training, scale_inputs

    def check(self, space: Space) -> None:
        """Refuse a space without the encoding."""
        self.features.check(space)

    def predictions(
        self, space: Space, rounds: Sequence[Round], targets: NDArray[np.float64]
    ) -> list[Prediction]:
        """Train, and let every member predict."""
        x, unseen = inputs(self.features, space, rounds, self.scale_inputs)
        y = torch.as_tensor(targets, dtype=torch.float32)
        said = []
        for place, node in enumerate(self.networks):
            network = self._build(node, f"networks[{place}]", space, x)
            fit(network, x, y, training=self.training, seeds=draw_seeds(rounds), members=self.members)
            said.append(self._ask(network, unseen))
        members = torch.cat(said, dim=1).double().numpy()  # (T, members, m)
        each = [rows[:, : len(r.candidates)] for rows, r in zip(members, rounds, strict=True)]
        return [Prediction(rows.mean(axis=0), rows.std(axis=0), rows) for rows in each]

    def _build(self, node: dict[str, Any], key: str, space: Space, x: Tensor) -> Predictor:
        if name_of(node, key, PREDICTORS) == "gcn" and "vertices" not in node:
            vertices = space.graph(space.sample(np.random.default_rng(0), 1)).mask.shape[1]
            node = {**node, "vertices": vertices}
        copies = len(x) * self.members
        network: Predictor = build(PREDICTORS, node, key, features=x.shape[2], copies=copies)
        return network

    def _ask(self, network: Predictor, unseen: Tensor) -> Tensor:
        rows = max(1, CHUNK // (network.copies * unseen.shape[2]))
        parts = unseen.split(rows, dim=1)
        return torch.cat([predict_members(network, part, members=self.members) for part in parts], dim=2)


class DNGO(Model):
    """A small network whose last hidden layer feeds a Bayesian linear regression (Snoek et al. 2015).

    The network has ``layers`` of ``width`` tanh units and is trained to predict; then the posterior of a
    linear function of its last units takes over, its noise by marginal likelihood (``ratios``).
    """

    def __init__(
        self,
        *,
        encoding: str = "adj",
        cutoff: Count | None = None,
        layers: Depth = 3,
        width: Size = 50,
        training: Training = Training(epochs=100, loss="mse", standardize=True, beta2=0.999, eps=1e-8),
        ratios: list[Positive] = [0.001, 0.01, 0.1, 1.0, 10.0],  # noqa: B006
        targets: Targets = "standard",
        acquisition: Acquisition = Acquisition(),
    ) -> None:
        super().__init__(targets=targets, acquisition=acquisition)
        self.features, self.training, self.ratios = Features(encoding, cutoff), training, ratios
        self.layers, self.width = layers, width

    def check(self, space: Space) -> None:
        """Refuse a space without the encoding."""
        self.features.check(space)

    def predictions(
        self, space: Space, rounds: Sequence[Round], targets: NDArray[np.float64]
    ) -> list[Prediction]:
        """Train all trials' networks as one stack, then solve their last layers."""
        x, unseen = inputs(self.features, space, rounds, True)
        network = MLP(x.shape[2], copies=len(rounds), layers=self.layers, width=self.width, activation="tanh")
        y = torch.as_tensor(targets, dtype=torch.float32)
        fit(network, x, y, training=self.training, seeds=draw_seeds(rounds))
        with torch.no_grad():
            known, new = (network.hidden(part).double().numpy() for part in (x, unseen))
        each = [rows[: len(r.candidates)] for rows, r in zip(new, rounds, strict=True)]
        return linear(known, each, targets, self.ratios)


def inputs(features: Features, space: Space, rounds: Sequence[Round], scaled: bool) -> tuple[Tensor, Tensor]:
    """Return evaluations (T, n, d) and candidates (T, longest, d) as networks take them."""
    x = np.stack(features.each(space, [r.archs for r in rounds]))
    unseen = padded(features.each(space, [r.candidates for r in rounds]))
    if scaled:
        center, spread = x.mean(axis=1, keepdims=True), x.std(axis=1, keepdims=True)
        spread[spread < 1e-6] = 1
        x, unseen = (x - center) / spread, (unseen - center) / spread
    return torch.from_numpy(x), torch.from_numpy(unseen.astype(np.float32))


def draw_seeds(rounds: Sequence[Round]) -> list[int]:
    """Return the seed of each trial's networks in this round."""
    return [int(given.rng.integers(2**62)) for given in rounds]
