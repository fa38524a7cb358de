"""A network with an attribute head beside it, whose decisions are those of a bias score."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sevenfold.config import ConfigError
from sevenfold.fairness.intra.attribute_head import Head
from sevenfold.fairness.network import Logits

INPUTS = "inputs"


def last_linear(network: nn.Module) -> str:
    """Return the name of the last linear layer."""
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not names:
        raise ConfigError("tap", "is needed: the module has no linear layer whose input could be read")
    return names[-1]


@contextmanager
def tapped(network: nn.Module, tap: str) -> Iterator[list[Tensor]]:
    """Collect the input of a layer within the context: the list holds that of the last forward pass."""
    try:
        layer = network.get_submodule(tap)
    except AttributeError:
        names = [name for name, _ in network.named_modules() if name]
        raise ConfigError("tap", f"there is no layer '{tap}'. Known: {', '.join(names[:12])}") from None
    inputs: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, given: inputs.__setitem__(slice(None), [given[0]]))
    try:
        yield inputs
    finally:
        handle.remove()


def pooled(h: Tensor) -> Tensor:
    """Return features (n, m): positions of sequences (n, T, m) and places of maps (n, m, H, W) averaged."""
    if h.ndim == 3:
        return h.mean(1)
    return h.flatten(2).mean(2) if h.ndim > 3 else h


class Steered(nn.Module):
    """The bias score of a network: a map from inputs to one number a row, above 0 for decision 1.

    s(x) = gain p(x) - offset - sum over g, y of price[g, y] P(g, y | x), in one forward pass. No attribute
    is needed; an estimate of it is computed.

    Args:
        network: gives one logit a row.
        head: P(g | x, y) of the inputs, or of what layer ``tap`` takes.
        price: (cells, 2).
        gain: of the probability p.
        offset: threshold and constant of the score.
        tap: ``inputs``, or the name of a layer.

    Example:
        >>> network, head = Logits(nn.Linear(4, 1)), Head(torch.zeros(2, 4), torch.zeros(2, 2))
        >>> steered = Steered(network, head, torch.zeros(2, 2), 1.0, 0.5)
        >>> x = torch.randn(3, 4)
        >>> bool(((steered(x) > 0) == (network(x) > 0)).all())
        True
    """

    weight: Tensor
    bias: Tensor
    price: Tensor
    gain: Tensor
    offset: Tensor

    def __init__(
        self, network: Logits, head: Head, price: Tensor, gain: float, offset: float, tap: str = INPUTS
    ) -> None:
        super().__init__()
        self.network, self.tap = network, tap
        values = {"weight": head.weight, "bias": head.bias, "price": price,
                  "gain": torch.tensor(gain), "offset": torch.tensor(offset)}  # fmt: skip
        for name, value in values.items():
            self.register_buffer(name, value.double().to(head.weight.device))

    def joint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return p(x), (n,), and P(g, y | x), (n, cells, 2), in float64."""
        if self.tap == INPUTS:
            logits, h = self.network(x), x
        else:
            with tapped(self.network, self.tap) as inputs:
                logits = self.network(x)
            h = pooled(inputs[0])
        p = torch.sigmoid(logits.double())
        head = Head(self.weight, self.bias)
        return p, head.posterior(h) * torch.stack([1 - p, p], -1)[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (n,), above 0 for decision 1."""
        p, joint = self.joint(x)
        return self.gain * p - self.offset - (joint * self.price).sum((-1, -2))
