"""The multilayer perceptron of BANANAS (White et al. 2021): 10 hidden layers of 20 units."""

import torch
from torch import Tensor, nn

from sevenfold.config import ConfigError
from sevenfold.nas.predictors.base import Predictor, bias, weight


class MLP(Predictor):
    """ReLU layers of equal width and a linear output, for encodings of ``features`` numbers."""

    def __init__(self, features: int, *, copies: int = 1, layers: int = 10, width: int = 20) -> None:
        if min(layers, width) < 1:
            raise ConfigError("layers", f"is {layers} with width {width}; expected at least 1 of each")
        super().__init__(copies)
        sizes = [features, *[width] * layers, 1]
        pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
        self.weights = nn.ParameterList(weight(copies, ins, outs) for ins, outs in pairs)
        self.biases = nn.ParameterList(bias(copies, outs) for _, outs in pairs)

    def outputs(self, x: Tensor) -> Tensor:
        """Return the outputs for encodings (copies, n, features), (copies, n)."""
        for place, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(b, x.relu() if place else x, w)
        return x[:, :, 0]
