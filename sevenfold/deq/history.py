"""Inner products with and combinations of a stack of past vectors: the two costly operations of a solver."""

import torch
from torch import Tensor

from sevenfold.deq.layout import CHUNK


def inner(stack: Tensor, *vectors: Tensor) -> Tensor:
    """Return <vector_k, stack_i> per sample as float64 (B, k, n), for a stack (n, B, D) and vectors (B, D).

    All vectors share one pass over the stack. Sums are taken within chunks in the stack's precision and over
    chunks in float64: a plain float32 matrix product is wrong in the fourth digit at 3 million terms, this is
    not in the eighth.
    """
    count, batch, width = stack.shape
    chunk = CHUNK if width % CHUNK == 0 else width
    left = torch.stack(vectors).view(len(vectors), -1, chunk)  # (k, B * chunks, chunk)
    right = stack.reshape(count, -1, chunk)  # (n, B * chunks, chunk)
    sums = torch.bmm(left.transpose(0, 1), right.permute(1, 2, 0))  # (B * chunks, k, n)
    return sums.view(batch, -1, len(vectors), count).sum(1, dtype=torch.float64)


def combine(stack: Tensor, weights: Tensor, start: Tensor, out: Tensor | None = None) -> Tensor:
    """Return start + sum_i weights_i stack_i, (B, D), for a stack (n, B, D) and weights (B, n)."""
    rows = weights.to(stack.dtype)[:, None]  # (B, 1, n)
    target = None if out is None else out[:, None]
    return torch.baddbmm(start[:, None], rows, stack.transpose(0, 1), out=target)[:, 0]
