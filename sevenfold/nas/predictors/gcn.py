"""The graph network of the Neural Predictor (Wen et al. 2020)."""

import torch
from torch import Tensor, nn

from sevenfold.config import ConfigError
from sevenfold.nas.predictors.base import Predictor, bias, weight
from sevenfold.ranges import Depth, ShareBelowOne, Size


class GCN(Predictor):
    """Directed graph convolutions, the mean over vertices, and two linear layers.

    Inputs are rows of the encoding ``gcn``. With the row-normalized A + I in both directions,

        h <- relu((D1 (A + I) h W1 + D2 (A^T + I) h W2) / 2),

    dropout after each; then the mean over real vertices, a linear layer, a number.

    Args:
        vertices: vertices that graphs of the space are padded to; searches read them off the space.
        layers: graph convolutions.
        width: units of each graph convolution.
        head: units of the linear layer before the output.
        dropout: share of units dropped after each layer while training.
    """

    def __init__(
        self,
        features: Size,
        *,
        copies: Depth = 1,
        vertices: Size = 8,
        layers: Depth = 4,
        width: Size = 144,
        head: Size = 128,
        dropout: ShareBelowOne = 0.1,
    ) -> None:
        labels, rest = divmod(features, vertices)
        labels -= vertices + 1
        if rest or labels < 1:
            raise ConfigError(
                "vertices", f"is {vertices}, which does not fit rows of {features} numbers; use encoding gcn"
            )
        super().__init__(copies)
        self.vertices, self.dropout = vertices, dropout
        sizes = [labels, *[width] * layers]
        pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
        self.forth = nn.ParameterList(weight(copies, ins, outs) for ins, outs in pairs)
        self.back = nn.ParameterList(weight(copies, ins, outs) for ins, outs in pairs)
        self.hidden, self.hidden_bias = weight(copies, width, head), bias(copies, head)
        self.out, self.out_bias = weight(copies, head, 1), bias(copies, 1)
        self.noise = [torch.Generator() for _ in range(copies)]

    def initialize(self, generators: list[torch.Generator]) -> None:
        """Draw the weights; the dropout of each copy depends on its generator too."""
        super().initialize(generators)
        for noise, generator in zip(self.noise, generators, strict=True):
            noise.manual_seed(generator.initial_seed())

    def outputs(self, x: Tensor) -> Tensor:
        """Return the outputs for rows (copies, n, features), (copies, n)."""
        copies, n = x.shape[:2]
        cells = x.view(copies, n, self.vertices, -1)
        adjacency, h, mask = cells[..., : self.vertices], cells[..., self.vertices : -1], cells[..., -1:]
        loops = torch.eye(self.vertices, device=x.device)
        ways = [a + loops for a in (adjacency, adjacency.transpose(2, 3))]
        ways = [a / a.sum(3, keepdim=True) for a in ways]
        for forth, back in zip(self.forth, self.back, strict=True):
            # one product for both directions of all vertices of all cells
            both = torch.bmm(h.reshape(copies, -1, h.shape[-1]), torch.cat([forth, back], dim=2))
            first, second = both.view(copies, n, self.vertices, -1).chunk(2, dim=3)
            h = self._drop(((ways[0] @ first + ways[1] @ second) / 2).relu())
        pooled = (h * mask).sum(2) / mask.sum(2)
        hidden = self._drop(torch.baddbmm(self.hidden_bias, pooled, self.hidden))
        return torch.baddbmm(self.out_bias, hidden, self.out)[:, :, 0]

    def last(self) -> Tensor:
        """Return the weights of the output, (copies, head, 1)."""
        return self.out

    def _drop(self, h: Tensor) -> Tensor:
        """Drop entries while training, by generators of the network's own."""
        if not self.training or not self.dropout:
            return h
        mask = torch.stack([torch.rand(h.shape[1:], generator=noise) for noise in self.noise]) >= self.dropout
        return h * mask.to(h) / (1 - self.dropout)
