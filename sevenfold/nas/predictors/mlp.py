"""The multilayer perceptron of BANANAS (White et al. 2021): 10 hidden layers of 20 units."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sevenfold.nas.predictors.base import Predictor, bias, weight
from sevenfold.ranges import Depth, Size

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu_, "tanh": torch.tanh_}
DERIVATIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda grad, unit: torch.ops.aten.threshold_backward(grad, unit, 0),
    "tanh": torch.ops.aten.tanh_backward,
}
"""The gradient before an activation, of the one behind it and of what came out."""


class _Layers(torch.autograd.Function):
    """Hidden layers as one node of the graph: at these widths a node each costs more than the products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, activation: str, *parameters: Tensor) -> Tensor:
        depth = len(parameters) // 2
        units = [x]
        for w, b in zip(parameters[:depth], parameters[depth:], strict=True):
            units.append(ACTIVATIONS[activation](torch.baddbmm(b, units[-1], w)))
        ctx.activation = activation
        ctx.save_for_backward(*units, *parameters[:depth])
        return units[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        depth = len(saved) // 2
        units, weights = saved[: depth + 1], saved[depth + 1 :]
        of_weights, of_biases = [], []
        for layer in reversed(range(depth)):
            grad = DERIVATIVES[ctx.activation](grad, units[layer + 1])
            of_weights.append(torch.bmm(units[layer].mT, grad))
            of_biases.append(grad.sum(1, keepdim=True))
            if layer or ctx.needs_input_grad[0]:
                grad = torch.bmm(grad, weights[layer].mT)
        return (grad if ctx.needs_input_grad[0] else None, None, *of_weights[::-1], *of_biases[::-1])


class MLP(Predictor):
    """Hidden layers of equal width and a linear output, for any encoding: members (M, n, d) to losses (M, n).

    The meta neural network of BANANAS (White, Neiswanger and Savani 2021) has 10 layers of 20 units.

    Args:
        layers: hidden layers.
        width: units in each hidden layer.
        activation: function after each hidden layer.

    >>> import torch
    >>> from sevenfold.nas import MLP
    >>> from sevenfold.nas.predictors.training import Training, fit, predict
    >>> x = torch.rand(1, 100, 6)
    >>> network = MLP(6, layers=2)
    >>> fit(network, x, x.sum(2), training=Training(epochs=50), seeds=[0])
    >>> bool((predict(network, x) - x.sum(2)).abs().mean() < 0.2)
    True
    """

    def __init__(
        self,
        features: Size,
        *,
        copies: Depth = 1,
        layers: Depth = 10,
        width: Size = 20,
        activation: Literal["relu", "tanh"] = "relu",
    ) -> None:
        super().__init__(copies)
        self.activation = activation
        sizes = [features, *[width] * layers, 1]
        pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
        self.weights = nn.ParameterList(weight(copies, ins, outs) for ins, outs in pairs)
        self.biases = nn.ParameterList(bias(copies, outs) for _, outs in pairs)

    def hidden(self, x: Tensor) -> Tensor:
        """Return the units of the last hidden layer, (copies, n, width)."""
        weights, biases = list(self.weights), list(self.biases)  # slices of the lists would build modules
        units: Tensor = _Layers.apply(x, self.activation, *weights[:-1], *biases[:-1])
        return units

    def outputs(self, x: Tensor) -> Tensor:
        """Return the outputs for encodings (copies, n, features), (copies, n)."""
        return torch.baddbmm(self.biases[-1], self.hidden(x), self.weights[-1])[:, :, 0]

    def last(self) -> Tensor:
        """Return the weights of the output, (copies, width, 1)."""
        return self.weights[-1]
