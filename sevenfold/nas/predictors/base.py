"""The contract of a predictor: several networks of one shape side by side, each with its targets."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from sevenfold.ranges import Checked


class Predictor(Checked, nn.Module, ABC):
    """``copies`` networks from encodings (copies, n, d) to predictions (copies, n) in the targets' unit.

    A network works in standardized units, value = ``shift`` + ``scale`` * output; both are 0 and 1 until
    :meth:`standardize` sets them. Copy c owns row c of every parameter.

    Args:
        copies: networks side by side.
    """

    def __init__(self, copies: int) -> None:
        super().__init__()
        self.copies = copies
        self.register_buffer("shift", torch.zeros(copies, 1))
        self.register_buffer("scale", torch.ones(copies, 1))
        self.shift: Tensor
        self.scale: Tensor

    @abstractmethod
    def outputs(self, x: Tensor) -> Tensor:
        """Return the networks' outputs, (copies, n)."""

    @abstractmethod
    def last(self) -> Tensor:
        """Return the weights of the output layer, (copies, units, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        """Predict, (copies, n)."""
        return torch.addcmul(self.shift, self.outputs(x), self.scale)

    def standardize(self, targets: Tensor) -> None:
        """Take the unit from training targets (copies, n): their mean and standard deviation."""
        self.shift.copy_(targets.mean(1, keepdim=True))
        # Bounded below, as equal targets would divide the loss by zero.
        self.scale.copy_(targets.std(1, correction=0, keepdim=True).clamp_min(1e-6))

    @torch.no_grad()
    def initialize(self, generators: list[torch.Generator]) -> None:
        """Draw Glorot-uniform weights (copies, in, out) from ``generators``, one a copy; biases are zero."""
        for parameter in self.parameters():
            if parameter.shape[1] == 1:
                parameter.zero_()
                continue
            # Glorot and Bengio 2010, eq. 16: U(-b, b) with b = sqrt(6 / (in + out)).
            bound = (6 / (parameter.shape[1] + parameter.shape[2])) ** 0.5
            for row, generator in zip(parameter, generators, strict=True):
                row.copy_((torch.rand(row.shape, generator=generator) * 2 - 1) * bound)


def weight(copies: int, ins: int, outs: int) -> nn.Parameter:
    """Return an empty stack of weight matrices, (copies, ins, outs)."""
    return nn.Parameter(torch.empty(copies, ins, outs))


def bias(copies: int, outs: int) -> nn.Parameter:
    """Return a stack of zero biases, (copies, 1, outs)."""
    return nn.Parameter(torch.zeros(copies, 1, outs))


class EnsembleMean(nn.Module):
    """The mean prediction of one ensemble, all copies of a predictor, for encoded cells (n, d)."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(self, x: Tensor) -> Tensor:
        """Return predictions (n,)."""
        mean: Tensor = self.predictor(x.expand(self.predictor.copies, *x.shape)).mean(0)
        return mean
