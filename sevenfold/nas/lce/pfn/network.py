"""A transformer from tokens of curves to densities, after LC-PFN (Adriaensen et al. 2023)."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sevenfold.config import ConfigError
from sevenfold.nas.lce.pfn.tokens import BARS, FEATURES
from sevenfold.ranges import Checked, Depth, Size


class Layer(nn.Module):
    """Pre-norm attention to the context and one learned null token, and a feed-forward network."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.null = nn.Parameter(torch.randn(1, 1, width))
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.both = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.forth = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """Return the next states (B, N, d); null token and first C are keys by ``known`` (B, 1, 1, C + 1)."""
        normed = self.before(x)
        source = torch.cat([self.null.expand(len(x), -1, -1), normed[:, : known.shape[3] - 1]], 1)
        keys, values = self.both(source).chunk(2, 2)
        # softmax(q k^T / sqrt(d)) v (Vaswani 2017, equation 1), over context and null token alone.
        mixed = F.scaled_dot_product_attention(
            self._split(self.query(normed)), self._split(keys), self._split(values), attn_mask=known
        )
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.forth(self.between(x))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class CurvePFN(Checked, nn.Module):
    """Tokens of known curves and queries to log probabilities of 128 bars of u.

    Args:
        width: length of a token's state; a multiple of ``heads``.
        layers: transformer layers.
        heads: attention heads.
    """

    def __init__(self, *, width: Size = 96, layers: Depth = 4, heads: Size = 4) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError("width", f"must be a multiple of heads ({heads}), got {width}")
        self.options: Mapping[str, int] = {"width": width, "layers": layers, "heads": heads}
        self.enter, self.known_value = nn.Linear(FEATURES, width), nn.Linear(1, width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, BARS))

    def forward(self, features: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        """Return log probabilities (B, N - C, 128) of the queries.

        Args:
            features: (B, N, 60), the C known curves first.
            targets: u of the known curves, (B, C).
            known: which of the C places hold a curve, (B, C); none is legal.
        """
        count = known.shape[1]
        x = self.enter(features)
        x = torch.cat([x[:, :count] + self.known_value(targets[..., None]), x[:, count:]], 1)
        mask = F.pad(known, (1, 0), value=True)[:, None, None]  # the null token is always there
        for layer in self.layers:
            x = layer(x, mask)
        return self.leave(x[:, count:]).float().log_softmax(2)
