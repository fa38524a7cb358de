"""Training losses on predicted flow."""

from collections.abc import Sequence

import torch
from torch import Tensor


def sequence_loss(
    flows: Sequence[Tensor], target: Tensor, valid: Tensor, *, gamma: float = 0.8, max_flow: float = 400.0
) -> Tensor:
    """Sum the L1 errors of n successive predictions, weighted gamma^(n - 1 - i) (RAFT, equation 7).

    ``flows`` and ``target`` are (B, 2, H, W) in px, ``valid`` (B, H, W). Pixels that are invalid or move by
    ``max_flow`` or more count as zero error in a mean over all B 2 H W entries; they may hold NaN.

    Example:
        >>> import torch
        >>> target, valid = torch.zeros(1, 2, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool)
        >>> loss = sequence_loss([target + 1, target], target, valid)  # gamma times the error of the first
        >>> bool(loss > 0)
        True
    """
    valid = valid.bool() & (torch.linalg.vector_norm(target, dim=1) < max_flow)
    valid = valid.unsqueeze(1)
    target = torch.where(valid, target, 0)
    total = target.new_zeros(())
    for age, flow in enumerate(reversed(flows)):
        # L = sum_i gamma^(N-i) |f_i - f_gt|_1 (Teed and Deng 2020, eq. 7).
        total = total + gamma**age * torch.where(valid, (flow - target).abs(), 0).mean()
    return total
