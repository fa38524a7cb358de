"""A deep equilibrium transformer block (Bai, Kolter and Koltun 2019, section 4.2)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sevenfold.deq.base import Solution, Solver, Stop
from sevenfold.deq.implicit import Implicit
from sevenfold.deq.layers.base import EquilibriumLayer
from sevenfold.deq.nodes import AdjointNode, SolverNode
from sevenfold.deq.norm import normalize
from sevenfold.errors import ConfigError, InputError
from sevenfold.ranges import Count
from sevenfold.tables import Node


class TransformerDEQ(EquilibriumLayer):
    """The fixed point of one block of attention and MLP, in which the input is added before attention.

    Tokens are part of a row: rows of the batch stay independent.

    Args:
        width: size of a token, a multiple of ``heads``.
        heads: of the attention.
        norm: on the weights of all linear maps (:mod:`sevenfold.deq.norm`).
        solver: of the fixed point; None for Anderson.
        adjoint: the method for the gradient; None for GMRES.
        max_iter: most evaluations of the block.
        stop: when a row is finished; None for a relative residual of 1e-4.

    Example:
        >>> z, record = TransformerDEQ(width=16, heads=2)(torch.randn(3, 5, 16))
        >>> z.shape, record.converged.all().item()
        (torch.Size([3, 5, 16]), True)
    """

    def __init__(
        self,
        width: Count,
        heads: Count,
        *,
        norm: Literal["weight", "spectral", "none"] = "weight",
        solver: Solver | SolverNode | None = None,
        adjoint: Implicit | AdjointNode | None = None,
        max_iter: Count = 60,
        stop: Stop | Node | None = None,
    ) -> None:
        if width % heads:
            raise ConfigError("heads", f"is {heads}; expected a divisor of the width {width}")
        super().__init__(
            solver=solver, adjoint=adjoint, max_iter=max_iter, stop=Stop(tol=1e-4) if stop is None else stop
        )
        self.width, self.block = width, Block(width, heads)
        normalize(self.block, norm)

    def forward(self, x: Tensor) -> tuple[Tensor, Solution]:
        """Return tokens (B, T, width) for tokens (B, T, width), and the record of the solve."""
        if x.ndim != 3 or x.shape[2] != self.width:
            raise InputError(f"x is {tuple(x.shape)}; expected tokens (batch, tokens, {self.width})")
        return self.solve(self.block, torch.zeros_like(x), (x,))


class Block(nn.Module):
    """z -> norm(h + MLP(h)), h = norm(z + x + attention(z + x)): norms come last (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the next tokens, (B, T, width)."""
        both = z + x
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(both).chunk(3, 2))
        # softmax(Q K^T / d^(1/2)) V, heads apart (Vaswani et al. 2017, eq. 1)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        h = self.norm1(both + self.out(seen))
        normal: Tensor = self.norm2(h + self.mlp(h))
        return normal
