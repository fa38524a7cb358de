"""A check of f before its first solve: what would make every solver silently wrong is refused.

The check is a group test (Dorfman 1943): any coupling between two groups of rows shows at once.

Two evaluations at a generic point tell whether rows influence each other and whether f is random: half of the
rows are replaced, and the others must not notice. Version counters tell whether f works in place.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from sevenfold.deq.base import State
from sevenfold.deq.errors import PreflightError
from sevenfold.seeding import torch_generator

Evaluation = Callable[[State], State]

COUPLED = (
    "rows of the batch influence each other (batch norm in training mode? a graph with nodes as rows? "
    "attention across the batch?): pass batched=False, or make f treat rows apart"
)
RANDOM = "f gives different values at the same point: hold dropout masks and statistics fixed during a solve"
CLOSURE = "f depends on tensors outside args; pass them as args"
REMEMBERED = 256
DEEPEST = 4  # how far a map is followed into what it holds
passed: dict[Any, None] = {}
"""Maps that have passed, the latest :data:`REMEMBERED` of them."""


def check_map(f: Evaluation, z0: State, *, batched: bool, key: Any, args: State = ()) -> None:
    """Check f once for every map, shape and mode; raise ``PreflightError`` with the cure.

    Args:
        f: of the state alone, with its arguments bound.
        z0: where the solve starts; plain tensors.
        batched: whether the first dimension counts independent rows.
        key: the map that the user gave, by which a passed check is remembered.
        args: the tensors that f may get gradients for.
    """
    if torch.compiler.is_compiling():  # the graph would keep the check's evaluations
        return
    name = (_name(key), batched, tuple((t.shape, t.dtype, t.device) for t in (*z0, *args)))
    if name in passed:
        return
    point = generic_point(z0, "preflight")
    start = tuple(part.clone() for part in point)
    before = versions(start)
    with torch.set_grad_enabled(bool(args)):  # tracked, so that a tensor outside args shows
        first = f(start)
        closed = args and any(part.requires_grad for part in first)
    refuse_in_place(start, before)
    if closed:
        raise PreflightError("closure", CLOSURE)
    first = tuple(part.detach() for part in first)
    # Half of the rows: any dependence of the others on them shows at once.
    rows = len(z0[0]) if batched and z0[0].dim() else 1
    changed = torch.zeros(rows, dtype=torch.bool, device=z0[0].device)
    if batched and rows > 1:
        order = torch.randperm(rows, generator=torch_generator(0, "preflight rows")).to(changed.device)
        changed[order[: rows // 2]] = True
    compare(f, point, first, changed, batched=batched)
    while len(passed) >= REMEMBERED:
        del passed[next(iter(passed))]
    passed[name] = None


def compare(f: Evaluation, point: State, first: State, changed: Tensor, *, batched: bool) -> None:
    """Refuse f if the rows that were not changed give other values than before.

    Args:
        f: the map.
        point: where ``first`` = f(point) was computed.
        first: that value.
        changed: the rows (B,) that are replaced.
        batched: whether there are rows.
    """
    other = generic_point(point, "preflight replacement")
    moved = tuple(
        torch.where(_wide(changed, a), b, a) if batched else a for a, b in zip(point, other, strict=True)
    )
    with torch.no_grad():
        if not _agree(first, f(tuple(part.clone() for part in moved)), ~changed, batched):
            again = f(tuple(part.clone() for part in point))
            same = _agree(first, again, torch.ones_like(changed), batched)
            raise PreflightError(*(("coupled", COUPLED) if same else ("random", RANDOM)))


def generic_point(z: State, name: str) -> State:
    """Return a point near z by noise of the size of z (of size 1 around zeros, which hide couplings)."""
    generator = torch_generator(0, name)
    parts = []
    for part in z:
        noise = torch.randn(part.shape, generator=generator, dtype=torch.float64).to(part)
        size = part.detach().double().square().mean().sqrt()
        parts.append(part.detach() + noise * torch.where(size > 0, size, 1.0).to(part.dtype))
    return tuple(parts)


def check_scalar_rows(z0: State) -> None:
    """Refuse states whose rows are single numbers: more often than not somebody's unbatched vector."""
    if any(part.dim() < 2 for part in z0):
        shape = next(tuple(part.shape) for part in z0 if part.dim() < 2)
        raise PreflightError(
            "scalars",
            f"a state of shape {shape} is a batch of scalars; add a dimension, or pass batched=False",
        )


def versions(z: State) -> list[int] | None:
    """Return the version counters of tensors; None in inference mode and in a graph, which have none."""
    if torch.compiler.is_compiling() or any(part.is_inference() for part in z):
        return None
    return [part._version for part in z]


def refuse_in_place(z: State, before: list[int] | None) -> None:
    """Refuse an f after whose evaluation a tensor of its argument has been written to."""
    if before is None:
        return
    for number, (part, version) in enumerate(zip(z, before, strict=True)):
        if part._version != version:
            raise PreflightError(
                "in_place",
                f"f changes its argument in place (tensor {number} of the state): use relu "
                "instead of relu_, z * a instead of z.mul_(a)",
            )


def _name(f: Any, depth: int = 0) -> Any:
    """Return what two calls with the same map have in common, whatever tensors they hold.

    That is the code, and what it reaches by closure, defaults, attributes and globals: modules by structure
    and mode, plain values, other functions. Another module or another mode is another map.
    """
    if isinstance(f, nn.Module):
        return repr(f), tuple(module.training for module in f.modules())
    if isinstance(f, partial):
        reached: list[Any] = [f.func, *f.args, *f.keywords.items()]
        return "partial", _names(reached, depth)
    code = getattr(f, "__code__", None)
    if code is not None:
        cells = [cell.cell_contents for cell in f.__closure__ or () if _filled(cell)]
        known = [f.__globals__.get(name) for name in code.co_names]
        modules = [value for value in known if isinstance(value, nn.Module)]
        defaults = [*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).items()]
        return code, _names([*cells, *modules, *defaults, getattr(f, "__self__", None)], depth)
    if isinstance(f, bool | int | float | str | bytes | type(None)):
        return f
    if isinstance(f, Tensor):
        return Tensor
    if isinstance(f, tuple | list | dict):
        return type(f), _names(f.items() if isinstance(f, dict) else f, depth)
    return type(f), _names(getattr(f, "__dict__", {}).items(), depth)


def _names(values: Iterable[Any], depth: int) -> tuple[Any, ...]:
    # The first entries of long lists: data rather than parts of a map.
    return tuple(_name(value, depth + 1) for value in islice(values, 64)) if depth < DEEPEST else ()


def _filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return False
    return True


def _agree(a: State, b: State, kept: Tensor, batched: bool) -> bool:
    """Tell whether two values agree on some rows, up to half of the digits."""
    for first, second in zip(a, b, strict=True):
        size = first.detach().abs()[first.isfinite()]
        bound = math.sqrt(torch.finfo(first.dtype).eps) * float(size.max() if size.numel() else 0)
        x, y = (first[kept], second[kept]) if batched else (first, second)
        same = ((x - y).abs() <= bound) | (x == y) | (x.isnan() & y.isnan())
        if not bool(same.all()):
            return False
    return True


def _wide(rows: Tensor, like: Tensor) -> Tensor:
    return rows.view(-1, *[1] * (like.dim() - 1))
