"""A solve without side effects and decisions of the host: for ``torch.compile(fullgraph=True)`` and export.

Every step is one pure function of what the solve carries: the point, the solver's past and the books of
:mod:`sevenfold.deq.record`. Rows that are finished are frozen by ``torch.where``.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from sevenfold.deq.base import Measure, Measured, Solution, Solver, State, Status, Stop
from sevenfold.deq.driver import check_request, solve
from sevenfold.deq.layout import Layout
from sevenfold.deq.record import enter, reasons, recorded_solution
from sevenfold.deq.safeguard import Safeguard
from sevenfold.deq.transforms import exporting
from sevenfold.deq.tree import flatten
from sevenfold.errors import ConfigError

Static = bool | Literal["while"]
"""Of which form a solve is: False for the driver's, but the unrolled one while it is compiled or exported."""

ENDLESS = Stop(mode="abs", tol=0.0, divergence=math.inf)


def compiles_gradients() -> bool:
    """Tell whether a program is compiled whose gradients will be wanted; an exported one has none."""
    return torch.compiler.is_compiling() and not exporting() and torch.is_grad_enabled()


def runner(static: Static, **options: Any) -> Callable[..., Solution]:
    """Return ``solve(f, z0, max_iter=...)`` in one form or the other, with these options of the driver."""
    if static not in (False, True, "while"):
        raise ConfigError("static", f"is {static!r}; expected false, true or 'while'")
    if not static and not torch.compiler.is_compiling():
        return partial(solve, **options)
    loop: Literal["unrolled", "while"] = "while" if static == "while" else "unrolled"
    shared = {
        name: value for name, value in options.items() if name not in ("check_every", "compact", "inverse")
    }

    def run(f: Any, z0: State, *, max_iter: int, indexing: Sequence[int] = ()) -> Solution:
        return solve_static(f, z0, steps=max_iter, loop=loop, indexing=indexing, **shared)

    return run


class _Carried(NamedTuple):
    """What one step hands to the next; tensors alone, for ``torch.while_loop``."""

    step: Tensor  # () evaluations taken
    x: Tensor  # (B, D) the point to evaluate
    memory: Any  # of the solver
    best: Tensor  # (B, D) state with the lowest residual
    last: Tensor  # (B, D) state of the last finite evaluation
    best_score: Tensor  # (B,) that residual, float64
    lows: Tensor  # (B,) its step
    limit: Tensor  # (B,) residual above which a row has diverged
    running: Tensor  # (B,)
    steps: Tensor  # (B,)
    status: Tensor  # (B,)
    lowest: Tensor  # (B,) of the safeguard
    origin: Tensor  # (B,) of the safeguard
    traces: Tensor  # (kinds, steps, B) float64


@torch.no_grad()
def solve_static(
    f: Callable[[State], State],
    z0: State,
    solver: Solver,
    *,
    steps: int,
    stop: Stop | None = None,
    loop: Literal["unrolled", "while"] = "unrolled",
    indexing: Sequence[int] = (),
    returned: Literal["best", "last"] = "best",
    measure: Measure | None = None,
) -> Solution:
    """Find z = f(z) as :func:`sevenfold.deq.solve` does, as a graph of pure operations.

    Values, steps and statuses are those of ``solve`` up to rounding.

    Args:
        f: the map of a tuple of tensors (B, ...), without side effects.
        z0: where to start.
        solver: ``fixed_point`` or ``anderson``; others have no such form.
        steps: evaluations of f; a graph that is unrolled takes all of them, whatever finishes sooner.
        stop: when a row is finished; None: never.
        loop: ``unrolled``, or ``while`` for ``torch.while_loop``, which ends with the last row; f must then
            be free of side effects, and no derivative passes through.
        indexing: increasing steps after which the state is recorded too; of an unrolled loop.
        returned: the state with the lowest residual, or the last.
        measure: of residuals, in place of plain norms.

    Raises:
        NotImplementedError: the solver has no form without side effects.

    Example:
        >>> from sevenfold.deq import Anderson
        >>> solution = solve_static(lambda z: (z[0].cos(),), (torch.zeros(1, 1),), Anderson(), steps=12)
        >>> round(solution.value[0].item(), 5)
        0.73909
    """
    check_request("steps", steps, indexing, returned)
    if loop not in ("unrolled", "while"):
        raise ValueError(f"loop is {loop!r}; expected 'unrolled' or 'while'")
    if loop == "while" and indexing:
        raise ValueError("loop 'while' records no states on its way; indexing needs 'unrolled'")
    layout = Layout.of(z0)
    stop = stop or ENDLESS
    x = layout.flat(z0)
    growth = x.new_full((), solver.growth, dtype=torch.float64)
    step = partial(_step, f, layout, solver, stop.as_tensors(x), measure, growth)
    recorded = []
    carried = step(_begin(x, solver, steps), first=True, final=steps == 1)
    if loop == "while":

        def going(*given: Any) -> Tensor:
            now = _Carried(*given)
            return (now.step < steps) & now.running.any()

        def body(*given: Any) -> tuple[Any, ...]:
            after, place = flatten(step(_Carried(*given), first=False, final=False))
            # Copies: what a body returns may be neither its argument nor in another order of memory.
            return tuple(place(tuple(part.clone(memory_format=torch.contiguous_format) for part in after)))

        if torch.compiler.is_compiling():
            carried = _Carried(*torch.while_loop(going, body, tuple(carried)))
        while not torch.compiler.is_compiling() and going(*carried):
            carried = _Carried(*body(*carried))
    else:
        for number in range(1, steps + 1):
            if number > 1:
                carried = step(carried, first=False, final=number == steps)
            if number in indexing:
                recorded.append(carried.best if returned == "best" else carried.last)
    return _solution(carried, layout, recorded, returned)


def _begin(x: Tensor, solver: Solver, steps: int) -> _Carried:
    rows = x.new_ones(x.shape[0], dtype=torch.float64)
    none = torch.zeros_like(rows, dtype=torch.long)
    infinite = torch.full_like(rows, math.inf)
    return _Carried(
        step=torch.zeros((), dtype=torch.long, device=x.device),
        x=x,
        memory=solver.begin(x, steps),
        best=x.clone(),
        last=x.clone(),
        best_score=infinite,
        lows=none,
        limit=infinite.clone(),
        running=rows > 0,
        steps=none.clone(),
        status=torch.full_like(none, int(Status.max_iter)),
        lowest=infinite.clone(),
        origin=infinite.clone(),
        traces=rows.new_empty(0, steps, x.shape[0]),
    )


def _step(
    f: Callable[[State], State],
    layout: Layout,
    solver: Solver,
    stop: Stop,
    measure: Measure | None,
    growth: Tensor,
    given: _Carried,
    *,
    first: bool,
    final: bool,
) -> _Carried:
    """Evaluate f at the point, enter what was seen into the books, and move on."""
    number, z = given.step + 1, layout.unpack(given.x)
    y = layout.flat(f(z))
    # y = f(x) and r = f(x) - x, as the driver has them (Bai, Kolter and Koltun 2019, section 3).
    r = y - given.x
    if measure is None:
        values = torch.stack([torch.linalg.vector_norm(part, dim=1) for part in (r, y)])
    else:
        values = torch.stack(
            [part.double() for part in measure(z, layout.unpack(y), None) if part is not None]
        )
    measured = Measured(*values.double().unbind(0))
    limit, traces = given.limit, given.traces
    if first:
        limit = stop.divergence * (measured.abs + measured.norm)
        traces = traces.new_full((values.shape[0], *traces.shape[1:]), math.nan)
    entry = enter(stop, measured, limit, given.running, given.best_score)
    lows = torch.where(entry.better, number, given.lows)
    best = torch.where(entry.better[:, None], y, given.best)
    over = entry.over
    if stop.patience:
        over = over | (given.running & (number - lows >= stop.patience))
    running = given.running & ~over
    x, memory = (given.x, given.memory) if final else solver.advance(given.memory, given.x, y, r)
    guard = Safeguard(entry.score, growth)
    guard.lowest, guard.origin = given.lowest, given.origin
    if solver.growth < math.inf and not final:
        restart = guard.exceeded(entry.score, entry.live)
        memory = solver.forget(memory, restart)
        rewind = guard.restart(restart, entry.best_score)
        x = torch.where(restart[:, None], y, x)
        x = torch.where(rewind[:, None], best, x)
    at = torch.arange(traces.shape[1], device=y.device) == given.step
    return _Carried(
        step=number,
        x=torch.where(running[:, None], x, best),
        memory=memory,
        best=best,
        last=torch.where(entry.live[:, None], y, given.last),
        best_score=entry.best_score,
        lows=lows,
        limit=limit,
        running=running,
        steps=torch.where(given.running, number, given.steps),
        status=torch.where(over, reasons(entry), given.status),
        lowest=guard.lowest,
        origin=guard.origin,
        traces=torch.where(at[:, None] & given.running, values.double()[:, None], traces),
    )


def _solution(carried: _Carried, layout: Layout, recorded: list[Tensor], returned: str) -> Solution:
    """Return the solution with its statistics."""
    return recorded_solution(
        layout,
        value=carried.best if returned == "best" else carried.last,
        best=returned == "best",
        indexed=recorded,
        outcome=(carried.steps, carried.status, carried.lows),
        measured=Measured(*carried.traces.unbind(0)),
    )
