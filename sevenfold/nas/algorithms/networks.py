"""Surrogates that train networks: an ensemble as in BANANAS, and DNGO's Bayesian last layer."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sevenfold.config import ConfigError, Node, build, named, prepare, schema
from sevenfold.nas.algorithms.acquisition import Acquisition, Prediction
from sevenfold.nas.algorithms.features import EncodedModel, Features, padded
from sevenfold.nas.algorithms.gaussian_process import linear
from sevenfold.nas.algorithms.surrogate import Round, Targets
from sevenfold.nas.encodings import EncodingName
from sevenfold.nas.predictors import PREDICTORS, PredictorNode
from sevenfold.nas.predictors.base import Predictor
from sevenfold.nas.predictors.mlp import MLP
from sevenfold.nas.predictors.training import Training, fit, predict_members
from sevenfold.nas.spaces.base import Space
from sevenfold.ranges import Count, Depth, Positive, Size

CHUNK = 2**25
"""Numbers in a network's input at a time, at most."""


class Ensemble(EncodedModel):
    """The mean and spread of networks that are trained from fresh weights on the same data.

    All members of all trials are trained as one stack.

    Args:
        networks: networks of the ensemble, name and options of each.
        members: copies of each network.
        training: loss and optimizer.
        scale_inputs: standardize every coordinate of the encoding over the training rows.
    """

    with_members = True

    def __init__(
        self,
        *,
        networks: list[PredictorNode] = [{"name": "mlp"}],  # noqa: B006
        members: Count = 5,
        encoding: EncodingName = "trunc_path",
        cutoff: Count | None = None,
        training: Training = Training(),
        scale_inputs: bool = False,
        targets: Targets = "raw",
        acquisition: Acquisition = Acquisition(),
    ) -> None:
        super().__init__(encoding, cutoff, targets=targets, acquisition=acquisition)
        if not networks:
            raise ConfigError("networks", "needs at least one")
        for place, node in enumerate(networks):
            prepare(PREDICTORS, node, f"networks[{place}]", features=1, copies=1)
        self.networks, self.members = networks, members
        self.training, self.scale_inputs = training, scale_inputs

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

    def _build(self, node: Node, key: str, space: Space, x: Tensor) -> Predictor:
        if "vertices" in schema(named(PREDICTORS, node, key)) and "vertices" not in node:
            vertices = space.graph(space.sample(np.random.default_rng(0), 1)).mask.shape[1]
            node = {**node, "vertices": vertices}
        copies = len(x) * self.members
        network: Predictor = build(PREDICTORS, node, key, features=x.shape[2], copies=copies)
        return network

    def _ask(self, network: Predictor, unseen: Tensor) -> Tensor:
        rows = max(1, CHUNK // (network.copies * unseen.shape[2]))
        parts = unseen.split(rows, dim=1)
        return torch.cat([predict_members(network, part, members=self.members) for part in parts], dim=2)


class DNGO(EncodedModel):
    """A small network whose last hidden layer feeds a Bayesian linear regression.

    After Snoek et al. 2015. The network of tanh units is trained to predict; then the posterior of a linear
    function of its last units replaces its output.

    Args:
        layers: hidden layers of the network.
        width: units in each hidden layer.
        training: loss and optimizer of the network.
        ratios: variances of the noise, in units of the weights' variance, of which the one with the highest
            marginal likelihood is taken.
    """

    def __init__(
        self,
        *,
        encoding: EncodingName = "adj",
        cutoff: Count | None = None,
        layers: Depth = 3,
        width: Size = 50,
        training: Training = Training(epochs=100, loss="mse", standardize=True, beta2=0.999, eps=1e-8),
        ratios: list[Positive] = [0.001, 0.01, 0.1, 1.0, 10.0],  # noqa: B006
        targets: Targets = "standard",
        acquisition: Acquisition = Acquisition(),
    ) -> None:
        super().__init__(encoding, cutoff, targets=targets, acquisition=acquisition)
        self.training, self.ratios = training, ratios
        self.layers, self.width = layers, width

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
