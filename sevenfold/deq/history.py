"""Inner products with and combinations of a stack of past vectors: the two costly operations of a solver."""

import torch
from torch import Tensor

from sevenfold.deq.layout import CHUNK


def inner(stack: Tensor, vectors: Tensor) -> Tensor:
    """Return <vector_k, stack_i> per sample as float64 (B, k, n), for stacks (n, B, D) and (k, B, D).

    The vectors share one pass over the stack. Sums are taken within chunks in the stack's precision and over
    chunks in float64: a plain float32 matrix product is wrong in the fourth digit at 3 million terms, this is
    not in the eighth.
    """
    count, batch, width = stack.shape
    # Anderson's least squares and Broyden's updates read the past through <v_k, s_i> and
    # sum_i w_i s_i alone (Walker and Ni 2011, section 2).
    left = vectors.view(len(vectors), -1, _chunk(width)).transpose(0, 1)  # (B * chunks, k, chunk)
    right = stack.view(count, -1, _chunk(width)).permute(1, 2, 0)  # (B * chunks, chunk, n)
    return torch.bmm(left, right).view(batch, -1, len(vectors), count).sum(1, dtype=torch.float64)


def _chunk(width: int) -> int:
    return CHUNK if width % CHUNK == 0 else width


def combine(stack: Tensor, weights: Tensor, start: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """Return [start +] sum_i weights_i stack_i, (B, D), for a stack (n, B, D) and weights (B, n)."""
    rows, columns = weights.to(stack.dtype)[:, None], stack.transpose(0, 1)  # (B, 1, n), (B, n, D)
    target = None if out is None else out[:, None]
    if start is None:
        return torch.bmm(rows, columns, out=target)[:, 0]
    return torch.baddbmm(start[:, None], rows, columns, out=target)[:, 0]
