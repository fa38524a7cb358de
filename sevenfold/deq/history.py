"""Inner products with and combinations of a stack of past vectors: the two costly operations of a solver."""

import torch
from torch import Tensor


def inner(stack: Tensor, *vectors: Tensor) -> Tensor:
    """Return <vector_k, stack_i> per sample as float64 (B, k, n), for a stack (n, B, D) and vectors (B, D).

    All vectors share one pass over the stack. Sums are taken in the precision of the stack (float32 or
    float64).
    """
    left = torch.stack(vectors, 1)  # (B, k, D)
    return torch.bmm(left, stack.permute(1, 2, 0)).double()


def combine(stack: Tensor, weights: Tensor, start: Tensor, out: Tensor | None = None) -> Tensor:
    """Return start + sum_i weights_i stack_i, (B, D), for a stack (n, B, D) and weights (B, n)."""
    rows = weights.to(stack.dtype)[:, None, :]  # (B, 1, n)
    result = torch.baddbmm(
        start[:, None, :], rows, stack.transpose(0, 1), out=None if out is None else out[:, None, :]
    )
    return result[:, 0]
