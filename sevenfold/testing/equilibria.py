"""Problems of equilibria and transforms of them, with references that never go through the library.

The tests and ``benchmarks/deq_conformance.py`` take their cases from here: every derivative of a solution is
compared with that of a closed form or of a long unroll (Bai et al. 2019, theorem 1, tested from outside).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

F64 = torch.float64
func = torch.func
Solve = Callable[..., Any]


@dataclass(frozen=True)
class Problem:
    """z = f(z, *args), its start, arguments, whether rows are independent, and its true solution of args."""

    f: Callable[..., Any]
    z0: Any
    args: tuple[Tensor, ...]
    batched: bool
    solution: Callable[..., Any]


def normal(*shape: int, name: int = 0) -> Tensor:
    """Return standard normal numbers in float64 that depend on shape and name alone."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(name), dtype=F64)


def contraction(size: int, radius: float, name: int = 0) -> Tensor:
    """Return a matrix (size, size) of that spectral norm."""
    weight = normal(size, size, name=name)
    return radius * weight / torch.linalg.matrix_norm(weight, 2)


def unroll(f: Callable[..., Any], z0: Any, steps: int = 200) -> Callable[..., Any]:
    """Return plain iteration from z0 as a function of the arguments."""

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
    # With loops, so that every node has a neighbor to average over.
    edges = edges + edges.T + torch.eye(nodes, dtype=F64)
    mean = edges / edges.sum(1, keepdim=True)

    def f(z: Tensor, weight: Tensor, x: Tensor) -> Tensor:
        return torch.tanh(mean @ z @ weight.T + x)

    z0 = torch.zeros(nodes, 4, dtype=F64)
    args = (contraction(4, 0.7, name=7), normal(nodes, 4, name=8))
    return Problem(f, z0, args, False, unroll(f, z0))


def cubic() -> Problem:
    """A root: z^3 + z = scale x, by Cardano's formula."""

    def exact(scale: Tensor, x: Tensor) -> Tensor:
        q = scale * x / 2
        # Cardano 1545: z = (d + q)^(1/3) - (d - q)^(1/3) with q = scale x / 2, d = (q^2 + 1/27)^(1/2).
        deep = (q**2 + 1 / 27).sqrt()
        return (deep + q).pow(1 / 3) - (deep - q).pow(1 / 3)

    args = (torch.full((2, 2), 1.0, dtype=F64), torch.tensor([[1.0, 2.0], [0.5, 3.0]], dtype=F64))
    z0 = torch.ones(2, 2, dtype=F64)
    return Problem(lambda z, s, x: z - 0.1 * (z**3 + z - s * x), z0, args, True, exact)


def ridge() -> Problem:
    """A minimum: ridge regression with weights on its rows, one whole state with a closed form."""
    design = normal(12, 4, name=10)

    def f(z: Tensor, weights: Tensor, target: Tensor) -> Tensor:
        scale = weights[:, :1].square()
        return z - 0.1 * (design.T @ (scale[:, 0] * (design @ z - target)) / 12 + 0.5 * z)

    def exact(weights: Tensor, target: Tensor) -> Tensor:
        scaled = design * weights[:, :1].square()
        return torch.linalg.solve(
            scaled.T @ design / 12 + 0.5 * torch.eye(4, dtype=F64), scaled.T @ target / 12
        )

    args = (1 + 0.2 * normal(12, 1, name=11), normal(12, name=12))
    return Problem(f, torch.zeros(4, dtype=F64), args, False, exact)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "affine": affine,
    "rows": rows,
    "convolution": convolution,
    "graph": graph,
    "root": cubic,
    "minimum": ridge,
}


def flat(value: Any) -> Tensor:
    """Return all tensors of a result side by side."""
    leaves = torch.utils._pytree.tree_leaves(value)
    return torch.cat([leaf.flatten() for leaf in leaves])


def relative_error(result: Any, expected: Any) -> float:
    """Return the norm of the difference over that of what is expected."""
    a, b = flat(result), flat(expected)
    return float((a - b).norm() / b.norm())


def number(solve: Solve, *args: Tensor) -> Tensor:
    """Return a scalar that depends on the solution in a curved way."""
    z = flat(solve(*args))
    return (z * torch.linspace(-1, 1, len(z), dtype=F64)).sum() + (z**3).sum()


def double_backward(solve: Solve, w: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """Return the second derivative of plain autograd, along t."""
    leaf = w.clone().requires_grad_()
    (g,) = torch.autograd.grad(number(solve, leaf, x), leaf, create_graph=True)
    return torch.autograd.grad((g * t).sum(), leaf)[0]


def forward_mode(solve: Solve, w: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """Return the derivative along t by forward automatic differentiation."""
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(number(solve, forward_ad.make_dual(w, t), x)).tangent


def plain(solve: Solve, w: Tensor, x: Tensor, t: Tensor) -> tuple[Tensor, ...]:
    """Return the gradients of plain autograd."""
    leaves = [w.clone().requires_grad_(), x.clone().requires_grad_()]
    return torch.autograd.grad(number(solve, *leaves), leaves)


def scaled(solve: Solve, w: Tensor, x: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the number as a function of one scale a row of w."""
    return lambda v: number(solve, w * v.view(-1, *[1] * (w.dim() - 1)), x)


def ones(w: Tensor) -> Tensor:
    """Return a scale of one for each row of w."""
    return torch.ones(len(w), dtype=F64)


def stack(w: Tensor) -> Tensor:
    """Return three sets of arguments."""
    return torch.stack([w, 0.5 * w, -0.8 * w])


TRANSFORMS: dict[str, Callable[[Solve, Tensor, Tensor, Tensor], Any]] = {
    "autograd": plain,
    "grad": lambda s, w, x, t: func.grad(partial(number, s))(w, x),
    "vjp": lambda s, w, x, t: func.vjp(lambda w: flat(s(w, x)), w)[1](torch.ones_like(flat(s(w, x))))[0],
    "jvp": lambda s, w, x, t: func.jvp(lambda w: flat(s(w, x)), (w,), (t,))[1],
    "jacrev": lambda s, w, x, t: func.jacrev(lambda w: flat(s(w, x))[:4])(w),
    "jacfwd": lambda s, w, x, t: func.jacfwd(scaled(lambda *a: flat(s(*a))[:4], w, x))(ones(w)),
    "forward AD": forward_mode,
    "vmap": lambda s, w, x, t: func.vmap(lambda w: flat(s(w, x)))(stack(w)),
    "vmap(vmap)": lambda s, w, x, t: func.vmap(func.vmap(lambda w: flat(s(w, x))))(
        torch.stack([stack(w), 0.3 * stack(w)])
    ),
    "vmap(grad)": lambda s, w, x, t: func.vmap(lambda w: func.grad(partial(number, s))(w, x))(stack(w)),
    "grad(vmap)": lambda s, w, x, t: func.grad(lambda v: func.vmap(lambda w: number(s, w, x))(v).sum())(
        stack(w)
    ),
    "vmap(jvp)": lambda s, w, x, t: func.vmap(lambda w: func.jvp(lambda w: number(s, w, x), (w,), (t,))[1])(
        stack(w)
    ),
    "grad(grad)": lambda s, w, x, t: func.grad(lambda w: (func.grad(partial(number, s))(w, x) * t).sum())(w),
    "hessian": lambda s, w, x, t: func.hessian(scaled(s, w, x))(ones(w)),
    "jacrev(jacrev)": lambda s, w, x, t: func.jacrev(func.jacrev(scaled(s, w, x)))(ones(w)),
    "double backward": double_backward,
    "autograd.functional.hessian": lambda s, w, x, t: torch.autograd.functional.hessian(
        scaled(s, w, x), ones(w)
    ),
    "three nested grads": lambda s, w, x, t: func.grad(func.grad(func.grad(lambda a: number(s, a * w, x))))(
        torch.tensor(1.0, dtype=F64)
    ),
}
