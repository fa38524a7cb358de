"""A representation defined by a matrix, for which samples have closed-form laws."""

import torch
from torch import Tensor

from sevenfold.diffreps.representations.base import Layout, Representation


class Affine(Representation):
    """The affine representation f(theta) = offset + matrix theta.

    Args:
        matrix: (V, n, p), one for each view; a view is its number (1,).
        offset: (V, n), or None for zero.
        shape: (C, H, W) with C H W = n.
    """

    affine = True
    matrix: Tensor
    offset: Tensor

    def __init__(self, matrix: Tensor, offset: Tensor | None = None, *, shape: tuple[int, int, int]) -> None:
        super().__init__(shape, Layout({"theta": (matrix.shape[2],)}))
        self.register_buffer("matrix", matrix)
        self.register_buffer("offset", matrix.new_zeros(matrix.shape[:2]) if offset is None else offset)

    def initial(self, generator: torch.Generator) -> Tensor:
        """Return zeros."""
        return torch.zeros(self.layout.size)

    def views(self, count: int, generator: torch.Generator) -> Tensor:
        """Return all views, for any ``count``."""
        return torch.arange(len(self.matrix))[:, None].float()

    def render(self, params: Tensor, view: Tensor) -> Tensor:
        """Return the view's image."""
        # f(theta) = b_v + A_v theta. Under a Gaussian prior N(m, S), and with an orthonormal basis Q of the
        # range, the prior restricted to the range has covariance (Q^T S^-1 Q)^-1
        # (the implicit constraint of Savani, Finzi & Kolter 2024).
        number = view.long()
        return (self.offset[number] + self.matrix[number] @ params).reshape(self.shape)
