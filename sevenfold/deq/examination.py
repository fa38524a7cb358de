"""Everything that can be tested about a map before it is trained: ``print(examine(f, z0, args))``.

Rows are tested in groups by the bits of their numbers (Dorfman 1943), the gradient against a central
difference of two solutions (Nocedal and Wright 2006, section 8.1).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sevenfold.deq.base import Solver, State
from sevenfold.deq.components import make_adjoint
from sevenfold.deq.errors import PreflightError
from sevenfold.deq.implicit import Implicit
from sevenfold.deq.jacobian import spectral_radius
from sevenfold.deq.nodes import AdjointNode, SolverNode
from sevenfold.deq.preflight import (
    CLOSURE,
    COUPLED,
    RANDOM,
    compare,
    generic_point,
    refuse_in_place,
    versions,
)
from sevenfold.deq.problems import by_rows, fixed_point
from sevenfold.deq.tree import Tree, flatten, lifted
from sevenfold.seeding import torch_generator

TESTS = (
    "structure", "in place", "repeatable", "rows", "fixed point", "spectral radius", "adjoint", "derivative",
)  # fmt: skip
STEP = 1e-4  # of the central difference, relative to the arguments
AGREEMENT = 1e-4  # of the implicit derivative with it: the difference itself is exact to about STEP^2


@dataclass(frozen=True)
class Examination:
    """The outcome of every test, "ok" or what to do, by its name.

    Example:
        >>> from sevenfold.deq import examine
        >>> report = examine(lambda z, a: 0.5 * z + a, torch.zeros(3, 4), (torch.ones(3, 4),))
        >>> report.ok, report.outcomes["rows"]
        (True, 'ok')
    """

    outcomes: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether every test passed."""
        return all(outcome.startswith("ok") for outcome in self.outcomes.values())

    def __str__(self) -> str:
        """Return one line a test."""
        width = max(map(len, self.outcomes))
        return "\n".join(f"{name:{width}}  {outcome}" for name, outcome in self.outcomes.items())


def examine(
    f: Callable[..., Any],
    z0: Any,
    args: Any = (),
    *,
    solver: Solver | SolverNode | None = None,
    adjoint: AdjointNode | None = None,
    max_iter: int = 500,
    batched: bool = True,
    thorough: bool = True,
) -> Examination:
    """Test a map of :func:`~sevenfold.deq.problems.fixed_point`; a fault is reported, not raised.

    Args:
        f: the map.
        z0: where a solve starts.
        args: what f depends on besides z.
        solver: of the fixed point.
        adjoint: the method for the gradient's linear system.
        max_iter: most evaluations of the solve that is tried.
        batched: whether the first dimension counts independent rows.
        thorough: find every pair of coupled rows, by 2 log2 B evaluations; else one random half of the rows.

    Example:
        >>> norm = torch.nn.BatchNorm1d(4)  # in training mode rows see each other
        >>> print(examine(lambda z, a: 0.5 * norm(z) + a, torch.zeros(8, 4), (torch.ones(8, 4),)).ok)
        False
    """
    call, args = lifted(f, args)
    tree = Tree.of(z0)
    tensors, place = flatten(args)
    bound = tuple(part.detach() for part in tensors)

    def flat(z: State, given: State) -> State:
        return tree.leaves(call(tree.build(z), *place(given)))

    outcomes = dict.fromkeys(TESTS, "not tested: mend what is above first")
    point = generic_point(tree.start, "examination")
    try:
        with torch.enable_grad():
            z = tuple(part.clone() for part in point)
            before = versions(z)
            first = flat(z, bound)
            closed = any(part.requires_grad for part in first)
        outcomes["structure"] = CLOSURE if closed and tensors else "ok"
        refuse_in_place(z, before)
        outcomes["in place"] = "ok"
    except PreflightError as error:
        outcomes["structure" if error.finding == "structure" else "in place"] = str(error)
        return Examination(outcomes)
    first = tuple(part.detach() for part in first)
    outcomes |= _rows(lambda z: flat(z, bound), point, first, batched, thorough)
    if outcomes["repeatable"] != "ok" or not outcomes["rows"].startswith("ok"):
        return Examination(outcomes)
    rule = Implicit(adjoint=make_adjoint(adjoint), tol=1e-8, max_products=200)
    solve = {"solver": solver, "adjoint": rule, "max_iter": max_iter, "batched": batched, "check": False}
    outcomes |= _derivatives(call, tree, args, solve, batched)
    return Examination(outcomes)


def _rows(
    f: Callable[[State], State], point: State, first: State, batched: bool, thorough: bool
) -> dict[str, str]:
    """Test whether f repeats itself, and whether rows are independent."""
    outcomes = {"repeatable": "ok", "rows": "ok" if batched else "ok: one whole state"}
    rows = len(point[0]) if batched and point[0].dim() else 1
    nothing = torch.zeros(rows, dtype=torch.bool, device=point[0].device)
    for changed in (nothing, *(_splits(nothing, thorough) if rows > 1 else ())):
        try:
            compare(f, point, first, changed, batched=batched)
        except PreflightError as error:
            name, text = ("rows", COUPLED) if error.finding == "coupled" else ("repeatable", RANDOM)
            return outcomes | {name: text}
    return outcomes


def _splits(nothing: Tensor, thorough: bool) -> Iterator[Tensor]:
    """Yield sets of rows to replace, such that any two rows are apart in one of them."""
    numbers = torch.arange(len(nothing), device=nothing.device)
    bits = range(max(1, (len(nothing) - 1).bit_length())) if thorough else range(1)
    for bit in bits:
        for value in (1, 0):
            yield (numbers >> bit) % 2 == value


def _derivatives(
    call: Callable[..., Any], tree: Tree, args: tuple[Any, ...], solve: dict[str, Any], batched: bool
) -> dict[str, str]:
    """Solve in float64; test the solution, the adjoint system and a derivative along a random direction."""
    tensors, place = flatten(args)
    start = tree.build(tuple(part.double() for part in tree.start))
    wide = tuple(part.detach().double() if part.is_floating_point() else part for part in tensors)
    moving = [i for i, part in enumerate(wide) if part.is_floating_point()]
    stop = {"tol": 1e-11}

    def solution(changed: State) -> tuple[State, Any]:
        z, record = fixed_point(call, start, place(_with(wide, moving, changed)), stop=stop, **solve)
        return Tree.of(z).start, record

    base = tuple(wide[i].clone().requires_grad_() for i in moving)
    try:
        z, record = solution(base)
    except RuntimeError as error:
        return {"fixed point": f"not tested: f does not take float64 ({' '.join(str(error).split())[:80]})"}
    worst = float(record.residual_rel.max())
    outcomes = {"fixed point": "ok"}
    if not bool((record.status == 0).all()):
        outcomes["fixed point"] = f"not found (relative residual {worst:.2g}): damp f, or raise max_iter"
    rows = by_rows(
        lambda s: Tree.of(call(Tree.of(start).build(s), *place(_with(wide, moving, base)))).start,
        batched=batched,
    )
    at = tuple(part.detach() if batched else part.detach()[None] for part in z)
    radius = float(spectral_radius(rows, at, torch_generator(0, "examination radius")).max())
    outcomes["spectral radius"] = (
        f"ok: {radius:.2f}" if radius < 1 else f"{radius:.2f}, above 1: plain iteration leaves this point"
    )
    if not moving or not z[0].requires_grad:
        return outcomes | dict.fromkeys(("adjoint", "derivative"), "ok: there are no arguments to derive by")
    generator = torch_generator(0, "examination direction")
    weights = tuple(torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in z)
    along = tuple(torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in base)
    total = torch.stack([(part * w).sum() for part, w in zip(z, weights, strict=True)]).sum()
    slopes = torch.autograd.grad(total, base, materialize_grads=True)
    latest = solve["adjoint"].latest
    residual = float(latest.residual.max())
    outcomes["adjoint"] = "ok" if bool(latest.converged.all()) else (
        f"stopped at a relative residual of {residual:.2g}: raise max_products, or use another adjoint"
    )  # fmt: skip
    gradient = float(sum((slope * d).sum() for slope, d in zip(slopes, along, strict=True)))
    with torch.no_grad():
        ahead, behind = (
            solution(tuple(part + sign * STEP * d for part, d in zip(base, along, strict=True)))[0]
            for sign in (1, -1)
        )
    change = [((a - b) * w).sum() for a, b, w in zip(ahead, behind, weights, strict=True)]
    expected = float(sum(change)) / (2 * STEP)
    close = abs(gradient - expected) <= AGREEMENT * max(abs(expected), abs(gradient), 1e-3)
    outcomes["derivative"] = "ok" if close else (
        f"the gradient says {gradient:.6g} where the solution moves by {expected:.6g}: look for a wrong "
        "custom backward, detach() or no_grad() inside f"
    )  # fmt: skip
    return outcomes


def _with(tensors: State, places: list[int], values: State) -> State:
    changed = list(tensors)
    for place, value in zip(places, values, strict=True):
        changed[place] = value
    return tuple(changed)
