"""The multilayer perceptron of BANANAS (White et al. 2021): 10 hidden layers of 20 units."""

from typing import Literal

import torch
from torch import Tensor, nn

from sevenfold.config import ConfigError
from sevenfold.nas.predictors.base import Predictor, bias, weight


class MLP(Predictor):
    """Layers of equal width and a linear output, for encodings of ``features`` numbers."""

    def __init__(
        self,
        features: int,
        *,
        copies: int = 1,
        layers: int = 10,
        width: int = 20,
        activation: Literal["relu", "tanh"] = "relu",
    ) -> None:
        if min(layers, width) < 1:
            raise ConfigError("layers", f"is {layers} with width {width}; expected at least 1 of each")
        super().__init__(copies)
        self.activation = torch.relu if activation == "relu" else torch.tanh
        sizes = [features, *[width] * layers, 1]
        pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
        self.weights = nn.ParameterList(weight(copies, ins, outs) for ins, outs in pairs)
        self.biases = nn.ParameterList(bias(copies, outs) for _, outs in pairs)

    def hidden(self, x: Tensor) -> Tensor:
        """Return the units of the last hidden layer, (copies, n, width)."""
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = self.activation(torch.baddbmm(b, x, w))
        return x

    def outputs(self, x: Tensor) -> Tensor:
        """Return the outputs for encodings (copies, n, features), (copies, n)."""
        return torch.baddbmm(self.biases[-1], self.hidden(x), self.weights[-1])[:, :, 0]

    def last(self) -> Tensor:
        """Return the weights of the output, (copies, width, 1)."""
        return self.weights[-1]
