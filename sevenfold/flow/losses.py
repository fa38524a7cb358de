"""Training losses on predicted flow."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

LARGEST_LOG_SCALE = 10.0  # e^10 px is more than any picture holds


class Scale(NamedTuple):
    """The law of an error at every pixel: ``logit`` a and ``log_scale`` b, each (B, H, W), b in [0, 10].

    With probability sigmoid(a) each component's error has a Laplace law of scale 1 px, else of e^b px.
    """

    logit: Tensor
    log_scale: Tensor

    def expected(self) -> Tensor:
        """Return the mean absolute error per component that the law expects, in px (B, H, W)."""
        # E|d| = alpha + (1 - alpha) e^b, as a Laplace law of scale s has E|d| = s.
        alpha = self.logit.sigmoid()
        return alpha + (1 - alpha) * self.log_scale.exp()


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


def mixture_of_laplace(scale: Scale, error: Tensor, valid: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of errors under a mixture of two Laplace laws (SEA-RAFT).

    ``error`` (B, 2, H, W) in px, of either sign, may hold NaN outside ``valid`` (B, H, W). The mean is over
    the components of valid pixels, in float32 at least; 0 where none is valid.

    Example:
        >>> import torch
        >>> sure = Scale(torch.full((1, 2, 2), 50.0), torch.zeros(1, 2, 2))
        >>> error = torch.full((1, 2, 2, 2), 3.0)
        >>> round(float(mixture_of_laplace(sure, error, torch.ones(1, 2, 2))), 4)  # |d| + log 2
        3.6931
    """
    logit, log_scale = (part[:, None].to(torch.promote_types(part.dtype, torch.float32)) for part in scale)
    valid = valid.bool()[:, None]
    distance = torch.where(valid, error, 0).abs().to(logit.dtype)
    # -log( alpha/2 exp(-d) + (1 - alpha)/(2 e^b) exp(-d e^-b) ) (Wang et al. 2024, eq. 4 to 6).
    sharp = logsigmoid(logit) - distance
    wide = logsigmoid(-logit) - log_scale - distance * torch.exp(-log_scale)
    likelihood = torch.logaddexp(sharp, wide) - math.log(2)
    count = (valid.sum() * error.shape[1]).clamp(min=1)
    return -torch.where(valid, likelihood, 0).sum() / count
