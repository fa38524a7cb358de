"""Global motion aggregation (Jiang et al., ICCV 2021): motion averaged over similar positions."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Attention matrices beyond this many bytes are not stored but recomputed at each step without being
# materialized.
STORE_LIMIT = 1024**3


@dataclass(frozen=True)
class Attention:
    """Average values over all positions with weights softmax(q k / sqrt(d)), one head, no positional term.

    ``query`` and ``key`` are (B, H*W, d); ``matrix`` (B, H*W, H*W) is stored where it is small.
    """

    query: Tensor
    key: Tensor
    matrix: Tensor | None

    @classmethod
    def of(cls, query: Tensor, key: Tensor, *, store: bool | None = None) -> "Attention":
        """Prepare the weights; ``store``: whether to keep the matrix (default: while it is under 1 GiB)."""
        if store is None:
            store = query.shape[0] * query.shape[1] ** 2 * query.element_size() <= STORE_LIMIT
        # A = softmax(q k^T / sqrt d): global motion aggregation (Jiang et al. 2021).
        matrix = (query @ key.transpose(1, 2) / query.shape[2] ** 0.5).softmax(dim=2) if store else None
        return cls(query, key, matrix)

    def __call__(self, values: Tensor) -> Tensor:
        """Average ``values`` (B, C, H, W)."""
        rows = values.flatten(2).transpose(1, 2)
        if self.matrix is not None:
            averaged = self.matrix.to(rows.dtype) @ rows
        else:
            query, key = self.query.to(rows.dtype), self.key.to(rows.dtype)
            averaged = F.scaled_dot_product_attention(query[:, None], key[:, None], rows[:, None])[:, 0]
        return averaged.transpose(1, 2).reshape_as(values)

    def select(self, index: Tensor) -> "Attention":
        """Keep the samples ``index`` of the batch only."""
        matrix = None if self.matrix is None else self.matrix[index]
        return Attention(self.query[index], self.key[index], matrix)


class ContextAttention(nn.Module):
    """Project context features (B, C, H, W) to queries and keys as wide as the context."""

    def __init__(self, context: int):
        super().__init__()
        self.to_qk = nn.Conv2d(context, 2 * context, 1, bias=False)

    def forward(self, context: Tensor) -> Attention:
        """Return the attention of each position to all others."""
        query, key = self.to_qk(context).flatten(2).transpose(1, 2).chunk(2, dim=2)
        return Attention.of(query, key)


@dataclass(frozen=True)
class PreparedAggregate:
    """Aggregation with evaluated weights: motion + gamma * attention(value projection of motion)."""

    attention: Attention
    weight: Tensor
    gamma: Tensor

    def __call__(self, motion: Tensor) -> Tensor:
        """Return motion features (B, C, H, W) that know of similar places."""
        # y = m + gamma A (v m) with gamma 0 at the start, so that training begins as without (Jiang et al.
        # 2021).
        return motion + self.gamma * self.attention(F.conv2d(motion, self.weight))

    def select(self, index: Tensor) -> "PreparedAggregate":
        """Keep the samples ``index`` of the batch only."""
        return replace(self, attention=self.attention.select(index))


class Aggregate(nn.Module):
    """Hold the value projection and the weight of the aggregated motion, zero at the start."""

    def __init__(self, motion: int):
        super().__init__()
        self.to_v = nn.Conv2d(motion, motion, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def prepare(self, attention: Attention) -> PreparedAggregate:
        """Evaluate the weights for one batch's attention."""
        return PreparedAggregate(attention, self.to_v.weight, self.gamma)
