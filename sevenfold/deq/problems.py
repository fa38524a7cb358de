"""Equilibria as functions of explicit arguments: ``fixed_point``, ``root`` and ``minimize``.

``z = fixed_point(f, z0, args)`` is differentiable in ``args`` by every transform of ``torch.func`` and to any
order; see :mod:`sevenfold.deq.implicit_function`.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from sevenfold.deq.base import Solution, Solver, State, Stop
from sevenfold.deq.components import make_solver, make_stop
from sevenfold.deq.errors import PreflightError
from sevenfold.deq.implicit import Implicit
from sevenfold.deq.implicit_function import FACTS, FixedPointFunction, Map, Nonlinear
from sevenfold.deq.nodes import AdjointNode, SolverNode
from sevenfold.deq.preflight import CLOSURE, check_map, check_scalar_rows
from sevenfold.deq.static import Static, compiles_gradients, runner
from sevenfold.deq.transforms import is_followed, transforms_active, unwrapped
from sevenfold.deq.tree import Tree, flatten, lifted
from sevenfold.errors import InputError
from sevenfold.tables import Node


def fixed_point(
    f: Callable[..., Any],
    z0: Any,
    args: Any = (),
    *,
    solver: Solver | SolverNode | None = None,
    adjoint: Implicit | AdjointNode | None = None,
    max_iter: int = 50,
    stop: Stop | Node | None = None,
    batched: bool = True,
    returned: Literal["best", "last"] = "best",
    check: bool = True,
    static: Static = False,
) -> tuple[Any, Solution]:
    """Return the solution of ``z = f(z, *args)``, started at z0, and the record of the solve.

    Args:
        f: the map, or a module whose parameters then count among the arguments; it returns the structure and
            shapes of z0.
        z0: a tensor, or tuples, lists and dictionaries of tensors, (B, ...) each; it gets no gradient.
        args: what f depends on besides z: a tuple with tensors anywhere in it. Floating ones get gradients;
            nothing else that f closes over does.
        solver: of the fixed point, or its name and options; None for Anderson.
        adjoint: the method for the gradient's linear system, its name and options, or a whole
            :class:`~sevenfold.deq.implicit.Implicit`; None for GMRES to 1e-6.
        max_iter: most evaluations of f.
        stop: when a row is finished; None for a relative residual of 1e-3.
        batched: the first dimension counts independent rows; False: the state is one whole, of any shapes.
        returned: the state with the lowest residual, or the last.
        check: check f before its first solve (:mod:`sevenfold.deq.preflight`).
        static: solve by a graph of pure operations (:mod:`sevenfold.deq.static`), as ``torch.compile`` and
            ``torch.export`` do unasked: True for all steps, ``while`` to end with the last row.

    Raises:
        PreflightError: f is coupled across rows, random, works in place, or returns another structure.
        InputError: f closes over a tensor that needs a gradient.

    Example:
        >>> a = torch.tensor([[0.5, 1.0]], requires_grad=True)
        >>> z, record = fixed_point(lambda z, a: 0.5 * z + a, torch.zeros(1, 2), (a,))  # z = 2 a
        >>> z.sum().backward()
        >>> a.grad.round(decimals=3).tolist(), record.converged.tolist()
        ([[2.0, 2.0]], [True])
    """
    if compiles_gradients():
        options: dict[str, Any] = {"solver": solver, "adjoint": adjoint, "max_iter": max_iter, "stop": stop}
        options |= {"batched": batched, "returned": returned, "check": check, "static": static}
        from sevenfold.deq.uncompiled import solve_fixed_point

        return solve_fixed_point(f, z0, args, **options)
    call, args = lifted(f, args)
    tree = Tree.of(z0)
    leaves, place = flatten(args)

    def flat(z: State, tensors: State) -> State:
        return tree.leaves(call(tree.build(z), *place(tensors)))

    solver, stop = make_solver(solver), make_stop(stop)
    options = {"solver": solver, "stop": stop, "returned": returned}
    if torch.compiler.is_compiling():
        return _without_gradient(
            flat, tree, leaves, partial(runner(static, **options), max_iter=max_iter), batched
        )
    rule = adjoint if isinstance(adjoint, Implicit) else Implicit(adjoint=adjoint)
    rule.check_forward(solver)
    run = partial(runner(static, inverse=rule.preconditioned, **options), max_iter=max_iter)
    return solve_equation(flat, tree, leaves, rule, run, batched, check, key=f)


def root(
    r: Callable[..., Any], z0: Any, args: Any = (), *, step: float = 1.0, **options: Any
) -> tuple[Any, Solution]:
    """Return z with ``r(z, *args) = 0``, the fixed point of z - step r(z), and the record of the solve.

    Residuals in the record are those of this map: step times r. The gradient is dz = -A^-1 (dr/dargs) with
    A = dr/dz, in which ``step`` cancels.

    Args:
        r: the residual; it returns the structure and shapes of z0.
        z0: where to start.
        args: what r depends on besides z.
        step: length of a plain step, positive where A is positive definite.
        options: those of :func:`fixed_point`.

    Example:
        >>> x = torch.tensor([[10.0]], requires_grad=True)
        >>> z, _ = root(lambda z, x: z**3 + z - x, torch.ones(1, 1), (x,), step=0.1, stop={"tol": 1e-6})
        >>> z.sum().backward()
        >>> round(z.item(), 3), round(x.grad.item(), 4)  # 1 / (3 z^2 + 1)
        (2.0, 0.0769)
    """
    if not step or not math.isfinite(step):
        raise InputError(f"step is {step}; expected the length of a plain step, a finite number but 0")
    call, args = lifted(r, args)

    def f(z: Any, *rest: Any) -> Any:
        tree = Tree.of(z)
        # z = z - step r(z) where r(z) = 0; in its derivative the step cancels.
        moved = [a - step * b for a, b in zip(tree.leaves(z), tree.leaves(call(z, *rest)), strict=True)]
        return tree.build(tuple(moved))

    f.__sevenfold_key__ = r  # type: ignore[attr-defined]
    return fixed_point(f, z0, args, **options)


def minimize(
    loss: Callable[..., Tensor], z0: Any, args: Any = (), *, step: float, **options: Any
) -> tuple[Any, Solution]:
    """Return a stationary point of ``loss(z, *args)``; conjugate gradients give its derivatives.

    The Hessian is symmetric, so the adjoint is ``cg`` by default; a row where it meets negative curvature has
    the status ``saddle`` in the backward record, and is reported.

    Args:
        loss: one number a row (B,), or () where ``batched`` is false.
        z0: where to start.
        args: what the loss depends on besides z.
        step: length of a step along the negative gradient.
        options: those of :func:`fixed_point`.

    Example:
        >>> ridge = torch.tensor(1.0, requires_grad=True)
        >>> loss = lambda z, ridge: ((z - 1) ** 2 + ridge * z**2).sum()
        >>> z, _ = minimize(loss, torch.zeros(2), (ridge,), step=0.2, batched=False, stop={"tol": 1e-6})
        >>> z.sum().backward()
        >>> z.round(decimals=3).tolist(), round(ridge.grad.item(), 3)  # z = 1 / (1 + ridge)
        ([0.5, 0.5], -0.5)
    """
    if not step > 0:
        raise InputError(f"step is {step}; expected a positive length along the negative gradient")
    batched = options.get("batched", True)
    call, args = lifted(loss, args)

    def gradient(z: Any, *rest: Any) -> Any:
        tree = Tree.of(z)
        leaves = tree.leaves(z)

        def total(*parts: Tensor) -> Tensor:
            value = call(tree.build(parts), *rest)
            expected = (len(parts[0]),) if batched else ()
            if tuple(value.shape) != expected:
                raise InputError(
                    f"the loss must give one number a row, shape {expected}, got {tuple(value.shape)}"
                    + ("" if batched else " (batched=False)")
                )
            return value.sum()

        slopes = torch.func.grad(total, argnums=tuple(range(len(leaves))))(*leaves)
        return tree.build(slopes)

    gradient.__sevenfold_key__ = loss  # type: ignore[attr-defined]
    return root(gradient, z0, args, step=step, **{"adjoint": {"name": "cg"}, **options})


def by_rows(f: Callable[[State], State], *, batched: bool) -> Callable[[State], State]:
    """Return f as a map of rows: of a state that is one whole, the only row."""
    if batched:
        return f
    return lambda z: _one_row(f(tuple(part[0] for part in z)))


def solve_equation(
    f: Map,
    tree: Tree,
    args: State,
    rule: Implicit,
    run: Callable[..., Solution],
    batched: bool,
    check: bool,
    key: Any,
) -> tuple[Any, Solution]:
    """Check f, solve z = f(z, args) from the leaves of ``tree``, and put the result together.

    Args:
        f: the map on flat tuples.
        tree: structure and start of the state.
        args: the tensors among the arguments.
        rule: of the gradient.
        run: the solve, of f and its start.
        batched: whether the first dimension counts rows.
        check: whether f is checked first.
        key: the user's map, by which a passed check is remembered.
    """
    z0 = tree.start
    key = getattr(key, "__sevenfold_key__", key)
    if batched:
        check_scalar_rows(z0)
    if torch.compiler.is_compiling():
        return _without_gradient(f, tree, args, run, batched)
    if not args:
        return _of_closure(f, tree, rule, run, batched, key if check else None)
    if transforms_active() and check:
        plain = f(tuple(map(unwrapped, z0)), tuple(map(unwrapped, args)))
        if any(map(is_followed, plain)):  # what f closes over would get no gradient, silently
            raise PreflightError("closure", CLOSURE)
    latest: list[Solution] = []
    differentiated = transforms_active() or (
        torch.is_grad_enabled() and any(part.requires_grad for part in args)
    )
    equation = Nonlinear(f, len(z0), batched, rule, run, latest, key if check else None, differentiated)
    out = FixedPointFunction.apply(equation, *z0, *args)
    value, facts = tree.build(out[: len(z0)]), dict(zip(FACTS, out[len(z0) :], strict=True))
    # Traces belong to the rows below the transforms, so under a transform there are none.
    traces = [latest[0].trace_abs, latest[0].trace_rel]
    if transforms_active():
        traces = [trace.new_empty(0, 0) for trace in traces]
    return value, Solution(value=value, indexed=(), trace_abs=traces[0], trace_rel=traces[1], **facts)


def _without_gradient(
    f: Map, tree: Tree, args: State, run: Callable[..., Solution], batched: bool
) -> tuple[Any, Solution]:
    """Solve as part of a graph, of which :func:`compiles_gradients` has excluded those with a gradient."""
    rows = by_rows(lambda z: f(z, args), batched=batched)
    solution = run(rows, tree.start if batched else _one_row(tree.start))
    return tree.build(solution.value if batched else tuple(part[0] for part in solution.value)), solution


def _of_closure(
    f: Map, tree: Tree, rule: Implicit, run: Callable[..., Solution], batched: bool, key: Any
) -> tuple[Any, Solution]:
    """Solve for an f without arguments; what it closes over gets first derivatives of plain autograd."""
    if transforms_active():
        raise InputError(f"a transform cannot see what f closes over: {CLOSURE}")
    rows = by_rows(lambda z: f(z, ()), batched=batched)
    if key is not None:
        check_map(lambda z: f(z, ()), tree.start, batched=batched, key=key)
    solution = run(rows, tree.start if batched else _one_row(tree.start))
    if torch.is_grad_enabled():
        (state,) = rule.attach(rows, solution.value, solution)
    else:
        rule.judge_forward(solution, wanted=False)
        state = solution.value
    return tree.build(tuple(state) if batched else tuple(part[0] for part in state)), solution


def _one_row(state: State) -> State:
    return tuple(part[None] for part in state)
