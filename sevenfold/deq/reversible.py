"""Reversible coupled iteration: exact backpropagation with two states in memory (RevDEQ, 2025)."""

from typing import Any, Literal

import torch
from torch import Tensor

from sevenfold.deq.base import State
from sevenfold.deq.errors import PreflightError, ReversibleError
from sevenfold.deq.implicit_function import Map
from sevenfold.deq.iterating import IteratingRule
from sevenfold.deq.preflight import CLOSURE
from sevenfold.ranges import Depth, OpenShare, Positive

SUMS: dict[str, torch.dtype] = {"float64": torch.float64, "float32": torch.float32}


class Reversible(IteratingRule):
    """Two coupled states (arXiv 2509.12917) whose iteration runs backward too, so that no past is stored.

        y' = (1 - beta) y + beta f(z),      z' = (1 - beta) z + beta f(y')
        z = (z' - beta f(y')) / (1 - beta),  y = (y' - beta f(z)) / (1 - beta)

    from y = z = z0. The backward pass ends at a reconstruction of z0, which is known: its error bounds that
    of the gradient, is stored as ``reconstruction``, and above ``max_reconstruction`` the pass raises
    ``ReversibleError``. Rounding grows backward, so sums are in float64 by default.

    Args:
        steps: pairs of evaluations, which stand for the solve in training.
        beta: weight of the new value.
        accumulate: precision of the coupled sums; f sees the state's own.
        max_reconstruction: largest error of the reconstructed z0, relative to |z|, that is accepted.

    Example:
        >>> rule, a = Reversible(steps=16), torch.tensor([[1.0]], requires_grad=True)
        >>> (z,) = rule.iterate(lambda z, args: (0.5 * z[0] + args[0],), (torch.zeros(1, 1),), (a,))[-1]
        >>> z.sum().backward()
        >>> 1.9 < a.grad.item() < 2 and rule.reconstruction < 1e-6
        True
    """

    def __init__(
        self,
        *,
        steps: Depth = 6,
        beta: OpenShare = 0.5,
        accumulate: Literal["float64", "float32"] = "float64",
        max_reconstruction: Positive = 1e-3,
    ) -> None:
        self.steps, self.beta, self.accumulate = steps, beta, accumulate
        self.max_reconstruction = max_reconstruction
        self.reconstruction: float | None = None

    @property
    def evaluations(self) -> int:
        """Two a pair."""
        return 2 * self.steps

    def iterate(self, f: Map, z0: State, args: State) -> list[State]:
        """Return the last state alone: the others are not stored.

        Raises ``PreflightError`` where f depends on a tensor outside args, which would get no gradient.
        """
        with torch.enable_grad():
            value = f(tuple(part.detach() for part in z0), tuple(part.detach() for part in args))
        if any(part.requires_grad for part in value):
            raise PreflightError("closure", CLOSURE)
        return [_Coupled.apply(self, f, len(z0), *z0, *args)]

    @torch.no_grad()
    def residual(self, f: Map, z0: State, states: list[State], args: State) -> State:
        """Return f(z) - z at the last state, for one more evaluation: the one before it is not stored."""
        return tuple(a - b for a, b in zip(f(states[-1], args), states[-1], strict=True))


class _Coupled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rule: Reversible, f: Map, size: int, *tensors: Tensor) -> State:
        z0, args = tensors[:size], tensors[size:]
        sums, beta = SUMS[rule.accumulate], rule.beta
        kinds = [part.dtype for part in z0]
        z = tuple(part.to(sums) for part in z0)
        y = z
        for _ in range(rule.steps):
            y = _mixed(y, _seen(f, z, kinds, args), beta)
            z = _mixed(z, _seen(f, y, kinds, args), beta)
        ctx.rule, ctx.f, ctx.size, ctx.kinds = rule, f, size, kinds
        ctx.save_for_backward(*y, *z, *tensors)
        return tuple(part.to(kind) for part, kind in zip(z, kinds, strict=True))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise NotImplementedError(
                "second derivatives do not pass through the reversible rule: use unrolled"
            )
        rule, n, beta, saved = ctx.rule, ctx.size, ctx.rule.beta, ctx.saved_tensors
        y, z, z0, args = saved[:n], saved[n : 2 * n], saved[2 * n : 3 * n], saved[3 * n :]
        scale = _norm(z)
        wanted = [i for i in range(len(args)) if ctx.needs_input_grad[3 + n + i]]
        to_args = {i: torch.zeros_like(args[i]) for i in wanted}
        to_z = tuple(g.to(part.dtype) for g, part in zip(grads, z, strict=True))
        to_y = tuple(map(torch.zeros_like, y))
        for _ in range(rule.steps):
            # The order matters: recover a state with the value of f that its cotangent has just used.
            value, back = _pulled(ctx, y, args, wanted, tuple(beta * g for g in to_z), to_args)
            to_y = tuple(a + b for a, b in zip(to_y, back, strict=True))
            to_z = tuple((1 - beta) * g for g in to_z)
            z = tuple((a - beta * b) / (1 - beta) for a, b in zip(z, value, strict=True))
            value, back = _pulled(ctx, z, args, wanted, tuple(beta * g for g in to_y), to_args)
            to_z = tuple(a + b for a, b in zip(to_z, back, strict=True))
            to_y = tuple((1 - beta) * g for g in to_y)
            y = tuple((a - beta * b) / (1 - beta) for a, b in zip(y, value, strict=True))
        start = tuple(part.to(slopes.dtype) for part, slopes in zip(z0, z, strict=True))
        error = float(_norm(tuple(a - b for a, b in zip(z, start, strict=True))) / scale.clamp(min=1e-30))
        rule.reconstruction = error
        if not error <= rule.max_reconstruction:
            raise ReversibleError(
                f"the start was reconstructed with a relative error of {error:.2g}, above "
                f"{rule.max_reconstruction:g} (beta {beta:g}, {rule.steps} pairs, {rule.accumulate} sums): "
                "use float64 sums, a smaller beta, fewer pairs, or the rule unrolled"
            )
        to_start = tuple((a + b).to(part.dtype) for a, b, part in zip(to_y, to_z, z0, strict=True))
        return None, None, None, *to_start, *(to_args.get(i) for i in range(len(args)))


def _mixed(old: State, new: State, beta: float) -> State:
    return tuple((1 - beta) * a + beta * b for a, b in zip(old, new, strict=True))


def _seen(f: Map, z: State, kinds: list[torch.dtype], args: State) -> State:
    """Return f at a state in the precision that f knows, in that of the sums."""
    values = f(tuple(part.to(kind) for part, kind in zip(z, kinds, strict=True)), args)
    return tuple(value.to(part.dtype) for value, part in zip(values, z, strict=True))


def _pulled(
    ctx: Any, point: State, args: State, wanted: list[int], vector: State, to_args: dict[int, Tensor]
) -> tuple[State, State]:
    """Return f and vector^T df/dz at a point; add vector^T df/dargs to ``to_args``."""
    with torch.enable_grad():
        leaf = tuple(part.detach().requires_grad_() for part in point)
        given = [part.detach().requires_grad_(i in to_args) for i, part in enumerate(args)]
        value = _seen(ctx.f, leaf, ctx.kinds, tuple(given))
        slopes = torch.autograd.grad(
            value, [*leaf, *(given[i] for i in wanted)], vector, materialize_grads=True
        )
    for i, gradient in zip(wanted, slopes[len(leaf) :], strict=True):
        to_args[i] += gradient
    return tuple(part.detach() for part in value), tuple(slopes[: len(leaf)])


def _norm(state: State) -> Tensor:
    return torch.stack([part.double().norm() for part in state]).norm()
