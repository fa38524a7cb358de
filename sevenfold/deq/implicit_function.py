"""The whole solve as one differentiable function z*(args), under every transform and to any order.

With J = df/dz at z* = f(z*, args), the implicit function theorem (Bai et al. 2019, theorem 1; Blondel et al.
2022, equation 4) gives

    reverse:  y = J^T y + g,   dl/dargs = y^T df/dargs        forward:  u = J u + (df/dargs) t,   dz* = u

Both are fixed points of the same kind again, in y or u, with arguments (z*, args, g or t): the rules below
apply the same function to them, hence any order. Solvers and linear methods run below all transforms.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sevenfold.deq.base import Solution, State
from sevenfold.deq.implicit import Implicit
from sevenfold.deq.preflight import check_map
from sevenfold.deq.pull_back import pull_back
from sevenfold.deq.transforms import forward_levels, is_legacy_batched, transforms_active
from sevenfold.errors import InputError

Map = Callable[[State, State], State]
"""``f(z, args)``, both flat tuples of tensors; it depends on nothing else that is differentiable."""

FACTS = ("residual_abs", "residual_rel", "steps", "status", "step_of_best")
"""What comes out beside the state, one number a row, without gradient."""


@dataclass(frozen=True)
class Equation(ABC):
    """z = f(z, args), with ``size`` tensors in z.

    ``batched``: the first dimension of every tensor of z counts independent rows; else z is one whole.
    """

    f: Map
    size: int
    batched: bool
    rule: Implicit

    @abstractmethod
    def solve(self, z0: State, args: State) -> tuple[Tensor, ...]:
        """Return z and the facts of the solve, all without gradient; below every transform."""

    def adjoint(self, args: int) -> "Affine":
        """Return the equation y = J^T y + g with arguments (z, args, g)."""

        def transposed(y: State, extra: State) -> State:
            z, rest, g = extra[: self.size], extra[self.size : self.size + args], extra[self.size + args :]
            _, pull = vjp(lambda *each: self.f(each, rest), *z)
            return tuple(a + b for a, b in zip(pull(y), g, strict=True))

        return Affine(transposed, self.size, self.batched, self.rule)

    def tangent(self, args: int) -> "Affine":
        """Return the equation u = J u + t with arguments (z, args, t)."""

        def pushed(u: State, extra: State) -> State:
            z, rest, t = extra[: self.size], extra[self.size : self.size + args], extra[self.size + args :]
            push = push_forward(lambda *each: self.f(each, rest), z)
            return tuple(a + b for a, b in zip(push(u), t, strict=True))

        return Affine(pushed, self.size, self.batched, self.rule)

    def mapped(self, count: int, dims: Sequence[bool]) -> "Equation":
        """Return the same equation for ``count`` sets of rows at once; ``dims``: which arguments differ.

        (count, B, ...) becomes count * B rows, so that each stops separately.
        """
        in_dims = (tuple(0 for _ in range(self.size)), tuple(0 if differs else None for differs in dims))

        def call(z: State, args: State) -> State:
            sets = tuple(part.unflatten(0, (count, -1)) for part in z) if self.batched else z
            out = torch.func.vmap(self.f, in_dims=in_dims if args else (in_dims[0], None))(sets, args)
            return tuple(part.flatten(0, 1) for part in out) if self.batched else out

        return replace(self, f=call, batched=True)


@dataclass(frozen=True)
class Nonlinear(Equation):
    """An equation that a fixed-point solver solves."""

    run: Callable[[Callable[[State], State], State], Solution]
    latest: list[Solution]
    """The record of the last solve with its traces, for whoever called; of use without transforms only."""
    key: Any = None
    """The user's map, where it is to be checked before its first solve."""
    differentiated: bool = True
    """Whether somebody may ask for a gradient."""

    def solve(self, z0: State, args: State) -> tuple[Tensor, ...]:
        """Return the solver's answer."""
        whole = not self.batched

        def f(z: State) -> State:
            out = self.f(tuple(part[0] for part in z) if whole else z, args)
            return tuple(part[None] for part in out) if whole else out

        if self.key is not None:
            bound = tuple(part.detach() for part in args)
            check_map(lambda z: self.f(z, bound), z0, batched=self.batched, key=self.key, args=bound)
        solution = self.run(f, tuple(part[None] for part in z0) if whole else z0)
        self.latest[:] = [solution]
        self.rule.judge_forward(solution, wanted=self.differentiated)
        # A copy: the solver's answer lies in memory that it may share between parts.
        out = (*(part.clone() for part in solution.value), *(getattr(solution, name) for name in FACTS))
        return tuple(part[0] for part in out) if whole else out


@dataclass(frozen=True)
class Affine(Equation):
    """An equation whose f is K y + b: a linear method solves it."""

    def solve(self, z0: State, args: State) -> tuple[Tensor, ...]:
        """Return the linear method's answer."""
        whole = not self.batched
        zero = tuple(map(torch.zeros_like, z0))
        b = self.f(zero, args)

        def product(y: State) -> State:
            y = tuple(part[0] for part in y) if whole else y
            out = tuple(a - c for a, c in zip(self.f(y, args), b, strict=True))
            return tuple(part[None] for part in out) if whole else out

        y = self.rule.solve(product, tuple(part[None] for part in b) if whole else b)
        record = self.rule.latest
        assert record is not None
        facts = [record.residual, record.residual, record.products, record.status, record.products]
        return *(part[0] if whole else part for part in y), *(f[0] if whole else f for f in facts)


class FixedPointFunction(torch.autograd.Function):
    """``apply(equation, *z0, *args)`` returns z* and :data:`FACTS`; z0 gets no gradient."""

    @staticmethod
    def forward(equation: Equation, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Solve."""
        with torch.no_grad():
            return equation.solve(tensors[: equation.size], tensors[equation.size :])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Store z* and the arguments: not the graph of an evaluation."""
        equation, *tensors = inputs
        ctx.equation = equation
        ctx.mark_non_differentiable(*output[equation.size :])
        stored = (*output[: equation.size], *tensors[equation.size :])
        ctx.save_for_backward(*stored)
        ctx.save_for_forward(*stored)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the arguments."""
        equation: Equation = ctx.equation
        n = equation.size
        z, args, g = ctx.saved_tensors[:n], ctx.saved_tensors[n:], grads[:n]
        if any(is_legacy_batched(part) for part in g):
            raise InputError(
                "is_grads_batched and vectorize=True use a vmap that custom gradients do not see; "
                "use torch.func.jacrev"
            )
        wanted = [i for i in range(len(args)) if ctx.needs_input_grad[1 + n + i]]
        if torch.is_grad_enabled() or transforms_active():
            slopes: Sequence[Tensor | None] = _by_transforms(equation, z, args, g, wanted)
        else:
            slopes = _by_one_evaluation(equation, z, args, g, wanted)
        gradients = dict(zip(wanted, slopes, strict=True))
        return None, *(None for _ in z), *(gradients.get(i) for i in range(len(args)))

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the tangent of z*."""
        if forward_levels() > 1:
            # PyTorch 2.15 gives a wrong number here, without a word, for any custom function.
            raise InputError(
                "two forward-mode levels (jvp of jvp, jacfwd of jacfwd) are not supported: use "
                "jacfwd(jacrev(...)) or torch.func.hessian"
            )
        equation: Equation = ctx.equation
        n = equation.size
        z, args, given = ctx.saved_tensors[:n], ctx.saved_tensors[n:], tangents[n:]
        moving = [i for i, tangent in enumerate(given) if tangent is not None]

        def of_args(*each: Tensor) -> State:
            return equation.f(z, _replaced(args, moving, each))

        push = push_forward(of_args, tuple(args[i] for i in moving))
        t = push(tuple(tangent for tangent in given if tangent is not None))
        zero = tuple(map(torch.zeros_like, z))
        u = FixedPointFunction.apply(equation.tangent(len(args)), *zero, *z, *args, *t)
        return *u[:n], *(None for _ in FACTS)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], equation: Equation, *tensors: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """Solve all sets as one batch of rows."""
        n, count, dims = equation.size, info.batch_size, in_dims[1:]
        moved = [t if d is None else t.movedim(d, 0) for t, d in zip(tensors, dims, strict=True)]
        z0 = [
            part if d is not None else part.expand(count, *part.shape)
            for part, d in zip(moved[:n], dims[:n], strict=True)
        ]
        mapped = equation.mapped(count, [d is not None for d in dims[n:]])
        rows = [part.flatten(0, 1) for part in z0] if equation.batched else z0
        out = FixedPointFunction.apply(mapped, *rows, *moved[n:])
        if equation.batched:
            out = tuple(part.unflatten(0, (count, -1)) for part in out)
        return out, tuple(0 for _ in out)


def vjp(f: Callable[..., Any], *point: Tensor) -> tuple[Any, Callable[..., Any]]:
    """Return f(point) and its pull-back (``torch.func.vjp`` without auxiliary outputs)."""
    value, pull, *_ = torch.func.vjp(f, *point)
    return value, pull


def push_forward(f: Callable[..., State], point: State) -> Callable[[State], State]:
    """Return u -> (df/dpoint) u by transposing the pull-back, for forward modes cannot be nested.

    The pull-back v -> (df)^T v is linear, so its own pull-back at any v is u -> (df) u.
    """
    out, pull = vjp(f, *point)
    _, push = vjp(lambda *v: pull(v), *map(torch.zeros_like, out))
    return lambda tangent: push(tuple(tangent))


def _replaced(args: State, places: Sequence[int], values: Sequence[Tensor]) -> State:
    changed = list(args)
    for place, value in zip(places, values, strict=True):
        changed[place] = value
    return tuple(changed)


def _by_transforms(
    equation: Equation, z: State, args: State, g: State, wanted: Sequence[int]
) -> Sequence[Tensor]:
    """Return the gradients of some arguments as differentiable functions of z, args and g."""
    zero = tuple(map(torch.zeros_like, z))
    y = FixedPointFunction.apply(equation.adjoint(len(args)), *zero, *z, *args, *g)[: equation.size]
    _, pull = vjp(lambda *each: equation.f(z, _replaced(args, wanted, each)), *(args[i] for i in wanted))
    slopes: Sequence[Tensor] = pull(tuple(y))
    return slopes


def _by_one_evaluation(
    equation: Equation, z: State, args: State, g: State, wanted: Sequence[int]
) -> Sequence[Tensor | None]:
    """Return the same from one tracked evaluation of f, which serves all products."""
    whole = not equation.batched
    with torch.enable_grad():
        leaf = tuple(part.detach().requires_grad_() for part in z)
        leaves = _replaced(args, wanted, [args[i].detach().requires_grad_() for i in wanted])
        fz = equation.f(leaf, leaves)

    def product(y: State) -> State:
        back = pull_back(fz, leaf, tuple(part[0] for part in y) if whole else y)
        return tuple(part[None] for part in back) if whole else back

    inverse = equation.latest[0].inverse if isinstance(equation, Nonlinear) else None
    y = equation.rule.solve(product, tuple(part[None] for part in g) if whole else g, inverse)
    y = tuple(part[0] for part in y) if whole else y
    tracked = [i for i, part in enumerate(fz) if part.requires_grad]
    return torch.autograd.grad(
        [fz[i] for i in tracked], [leaves[i] for i in wanted], [y[i] for i in tracked], allow_unused=True
    )
