"""Linear erasure of groups from the input of a layer, by an edit of its weights (LEACE).

    M = S^{1/2} P S^{-1/2},  P the projector on the columns of S^{-1/2} C,  S = cov(h),  C = cov(h, groups)

    W' = W (I - gamma M),  b' = b + gamma W M mean(h)

At gamma = 1 no linear function of what the layer is given tells the groups' means apart, by the least change
of it (Belrose et al. 2023, theorem 4.3); other sizes erase less, or turn the difference around.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.fairness.intra.base import DebiasingResult, Incumbent, Method, Problem, State, linear_layer
from sevenfold.fairness.intra.bias_score import features

Within = Literal["none", "label"]
SIZES = torch.linspace(-0.5, 2.0, 51, dtype=torch.float64)
SINGULAR = 1e-10


class Eraser:
    """The map h -> h - M (h - mean) that erases differences of groups.

    Attributes:
        matrix: M, (features, features).
        mean: (features,).

    Example:
        >>> h, cell = torch.randn(200, 5), torch.arange(200) % 3
        >>> eraser = Eraser(h + cell[:, None], torch.zeros(200), cell)
        >>> int(torch.linalg.matrix_rank(eraser.matrix, tol=1e-6))
        2
    """

    def __init__(
        self, h: Tensor, y: Tensor, cell: Tensor, weights: Tensor | None = None, within: Within = "none"
    ) -> None:
        known = cell >= 0
        rows, labels, cells = h[known].double(), y[known], cell[known]
        w = torch.ones(len(rows), dtype=torch.float64, device=h.device)
        w = w if weights is None else weights[known].double()
        self.mean = (w / w.sum()) @ rows
        centered = rows - self.mean
        # S = cov(h); the square roots are of its range, outside which h does not vary
        values, vectors = torch.linalg.eigh((w[:, None] * centered).T @ centered / w.sum())
        root = values.clamp(min=0).sqrt()
        inverse = torch.where(
            values > SINGULAR * values[-1], 1 / root.clamp(min=1e-300), torch.zeros_like(root)
        )
        white, color = vectors * inverse @ vectors.T, vectors * root @ vectors.T
        directions = white @ differences(rows, labels, cells, w, within)
        u, s, _ = torch.linalg.svd(directions, full_matrices=False)
        basis = u[:, s > 1e-9 * s[:1].clamp(min=1e-300)]
        # M = S^{1/2} P S^{-1/2}   (Belrose et al. 2023, theorem 4.3)
        self.matrix = color @ basis @ basis.T @ white

    def __call__(self, h: Tensor) -> Tensor:
        """Return features without the differences, in float64."""
        centered = h.double() - self.mean
        return h.double() - centered @ self.matrix.T


def differences(h: Tensor, y: Tensor, cell: Tensor, weights: Tensor, within: Within) -> Tensor:
    """Return the groups' means less the mean of all as columns, (features, groups), or those of each label.

    >>> h, y, a = torch.tensor([[0.0], [2.0]]), torch.tensor([0, 1]), torch.tensor([0, 1])
    >>> differences(h, y, a, torch.ones(2), "none").tolist()
    [[-1.0, 1.0]]
    """
    # the columns of cov(h, one-hot groups) are these differences times the groups' shares
    parts = [torch.ones_like(y, dtype=torch.bool)] if within == "none" else [y == v for v in y.unique()]
    columns = []
    for part in parts:
        mean = weights[part] @ h[part] / weights[part].sum()
        for c in cell[part].unique():
            mask = part & (cell == c)
            columns.append(weights[mask] @ h[mask] / weights[mask].sum() - mean)
    return torch.stack(columns, dim=1)


class Erase(Method):
    """Erase the groups from the input of a layer, by a size that is searched with its exact threshold.

    Any number of groups; the rank of the edit is their number less 1.

    Args:
        layer: name of a linear layer, ``first`` or ``head``.
        within: ``none`` erases differences of the groups' means; ``label`` those within each label, for
            equalized odds.

    Example:
        >>> from sevenfold.testing.method import problem
        >>> result = Erase().fit(problem())
        >>> result.rho > 0.6
        True
    """

    any_groups = True

    def __init__(self, *, layer: str = "first", within: Within = "none") -> None:
        self.layer, self.within = layer, within

    def search(self, problem: Problem) -> DebiasingResult:
        """Score all sizes side by side."""
        name, module = linear_layer(problem.network, self.layer)
        on = problem.material
        _, h, _ = features(on, name)
        if h.shape[1] != module.in_features:
            raise ConfigError("layer", f"'{name}' takes inputs of another shape than rows of features")
        weights = problem.weights if on is problem else None
        eraser = Eraser(h, on.y, on.a, weights, self.within)
        incumbent, state = Incumbent(problem), problem.state()
        sizes = SIZES.to(h.device)
        parts = [problem.batched_scores(edited(state, name, eraser, c)) for c in sizes.split(problem.chunk)]

        def one(i: int) -> State:
            return {key: value[0] for key, value in edited(state, name, eraser, sizes[i : i + 1]).items()}

        incumbent.offer(problem.best(torch.cat(parts)), one, "erase")
        return replace(incumbent.result(), evaluations=len(incumbent.trace))


def edited(state: State, layer: str, eraser: Eraser, sizes: Tensor) -> State:
    """Return weights and bias of a layer edited by each size, (K, ...), in the network's type."""
    weight, bias = state[f"{layer}.weight"], state.get(f"{layer}.bias")
    # W' = W (I - gamma M),  b' = b + gamma W M mean(h)
    change = weight.double() @ eraser.matrix
    stack = {f"{layer}.weight": (weight - sizes[:, None, None] * change).to(weight.dtype)}
    if bias is not None:
        stack[f"{layer}.bias"] = (bias + sizes[:, None] * (change @ eraser.mean)).to(bias.dtype)
    return stack
