"""Problems with a closed form or a long unroll as the reference, which never goes through the library."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

F64 = torch.float64


@dataclass(frozen=True)
class Problem:
    """z = f(z, *args), its start, arguments, whether rows are independent, and its true solution of args."""

    f: Callable[..., Any]
    z0: Any
    args: tuple[Tensor, ...]
    batched: bool
    solution: Callable[..., Any]


def normal(*shape: int, name: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(name), dtype=F64)


def contraction(size: int, radius: float, name: int = 0) -> Tensor:
    weight = normal(size, size, name=name)
    return radius * weight / torch.linalg.matrix_norm(weight, 2)


def unroll(f: Callable[..., Any], z0: Any, steps: int = 200) -> Callable[..., Any]:
    def run(*args: Tensor) -> Any:
        z = z0
        for _ in range(steps):
            z = f(z, *args)
        return z

    return run


def affine() -> Problem:
    """Rows z = z W^T + x: the closed form has derivatives of every order."""
    weight, x = contraction(5, 0.6), normal(3, 5, name=1)

    def exact(weight: Tensor, x: Tensor) -> Tensor:
        return torch.linalg.solve(torch.eye(5, dtype=F64) - weight, x.mT).mT

    return Problem(lambda z, w, x: z @ w.T + x, torch.zeros(3, 5, dtype=F64), (weight, x), True, exact)


def rows(radius: float = 0.6) -> Problem:
    """Rows z = tanh(z W^T + x U^T)."""
    inlet = normal(8, 5, name=2)

    def f(z: Tensor, weight: Tensor, x: Tensor) -> Tensor:
        return torch.tanh(z @ weight.T + x @ inlet.T)

    z0 = torch.zeros(3, 8, dtype=F64)
    return Problem(f, z0, (contraction(8, radius), normal(3, 5, name=3)), True, unroll(f, z0))


def convolution() -> Problem:
    """A dictionary of two maps of different shape that drive each other."""

    def f(z: dict[str, Tensor], kernel: Tensor, x: Tensor) -> dict[str, Tensor]:
        wide = torch.nn.functional.conv2d(z["wide"], kernel, padding=1)
        coarse = torch.nn.functional.avg_pool2d(z["wide"], 2)
        up = torch.nn.functional.interpolate(z["coarse"], scale_factor=2.0)
        return {"wide": torch.tanh(wide + 0.2 * up + x), "coarse": 0.5 * torch.sin(coarse)}

    kernel = 0.1 * normal(2, 2, 3, 3, name=4)
    z0 = {"wide": torch.zeros(2, 2, 4, 4, dtype=F64), "coarse": torch.zeros(2, 2, 2, 2, dtype=F64)}
    return Problem(f, z0, (kernel, normal(2, 2, 4, 4, name=5)), True, unroll(f, z0, 120))


def graph(nodes: int = 20) -> Problem:
    """A graph whose nodes are the first dimension: one whole state."""
    edges = (torch.rand(nodes, nodes, generator=torch.Generator().manual_seed(6), dtype=F64) < 0.2).double()
    edges = edges + edges.T + torch.eye(nodes, dtype=F64)
    mean = edges / edges.sum(1, keepdim=True)

    def f(z: Tensor, weight: Tensor, x: Tensor) -> Tensor:
        return torch.tanh(mean @ z @ weight.T + x)

    z0 = torch.zeros(nodes, 4, dtype=F64)
    args = (contraction(4, 0.7, name=7), normal(nodes, 4, name=8))
    return Problem(f, z0, args, False, unroll(f, z0))


PROBLEMS = {"affine": affine, "rows": rows, "convolution": convolution, "graph": graph}


def flat(value: Any) -> Tensor:
    """Return all tensors of a result side by side."""
    leaves = torch.utils._pytree.tree_leaves(value)
    return torch.cat([leaf.flatten() for leaf in leaves])


def relative_error(found: Any, expected: Any) -> float:
    a, b = flat(found), flat(expected)
    return float((a - b).norm() / b.norm())
