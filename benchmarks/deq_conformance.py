"""Every derivative of an equilibrium, by every rule and by torchdeq (MIT), against references.

Usage: ``python benchmarks/deq_conformance.py [--json FILE]``

One row a rule, one column a transform: the worst relative error over six problems in float64, whose
references are closed forms or long unrolls that do not use the library; or the refusal, numbered below. No
cell is empty. The last three columns are whole graphs, exported and compiled, with a loop that ends by
itself, on two problems. Exit status 1 if a rule that claims exactness is off by more than 1e-9 anywhere.
Takes about 4 minutes on two cores.
"""

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor

from sevenfold.deq import DEQ, SOLVERS, Implicit, Phantom, Reversible, Stop, Unrolled
from sevenfold.deq.components import make_solver
from sevenfold.deq.problems import fixed_point
from sevenfold.deq.static import Static
from sevenfold.testing.equilibria import PROBLEMS, TRANSFORMS, Problem, flat, normal, number, relative_error

try:
    from torchdeq import get_deq
except ImportError:
    get_deq = None

Method = Callable[[Problem], Callable[..., Any]]
TIGHT = Stop(tol=1e-13)
EXACT = 1e-9


def implicit(adjoint: str, solver: str = "anderson") -> Method:
    """Return the implicit rule with that linear method, over that solver."""

    def of(problem: Problem, static: Static = False) -> Callable[..., Any]:
        rule = Implicit(adjoint={"name": adjoint}, tol=1e-12, max_products=400)
        options: dict[str, Any] = {"solver": make_solver({"name": solver}), "batched": problem.batched}
        options["static"] = static
        return lambda *args: fixed_point(
            problem.f, problem.z0, args, adjoint=rule, max_iter=400, stop=TIGHT, **options
        )[0]

    return of


def layer(rule: Any) -> Method:
    """Return a layer with that rule."""

    def of(problem: Problem, static: Static = False) -> Callable[..., Any]:
        deq = DEQ(backward=rule, max_iter=400, stop=TIGHT, batched=problem.batched, static=static)
        return lambda *args: deq(problem.f, problem.z0, args)[0][-1]

    return of


def peer(**options: Any) -> Method:
    """Return torchdeq with a state that is one tensor of rows."""

    def of(problem: Problem, static: Static = False) -> Callable[..., Any]:
        if not isinstance(problem.z0, Tensor) or not problem.batched:
            raise NotImplementedError("compared on states that are one tensor of rows")
        deq = get_deq(f_solver="anderson", f_max_iter=200, f_tol=1e-13, **options).train()
        return lambda *args: deq(lambda z: problem.f(z, *args), problem.z0)[0][-1]

    return of


METHODS: dict[str, tuple[Method, bool]] = {
    **{f"implicit, {solver}": (implicit("gmres", solver), True) for solver in SOLVERS},
    **{
        f"implicit by {name}": (implicit(name), True)
        for name in ("bicgstab", "cg", "anderson", "fixed_point")
    },
    "phantom, 60 steps": (layer(Phantom(steps=60)), False),
    "unrolled, 150": (layer(Unrolled(steps=150, recompute=False)), False),
    "unrolled, recomputed": (layer(Unrolled(steps=150)), False),
    "reversible, 20 pairs": (layer(Reversible(steps=20)), False),
}
if get_deq is not None:
    METHODS["torchdeq, implicit"] = (peer(ift=True, b_solver="anderson", b_max_iter=200, b_tol=1e-12), False)
    METHODS["torchdeq, 10 steps"] = (peer(grad=10), False)


def exported(solve: Callable[..., Any], w: Tensor, x: Tensor) -> Tensor:
    """Return what the exported program of a solve computes."""

    class Whole(torch.nn.Module):
        def forward(self, w: Tensor, x: Tensor) -> Tensor:
            return flat(solve(w, x))

    with torch.no_grad():
        return torch.export.export(Whole(), (w, x)).module()(w, x)


def compiled(solve: Callable[..., Any], w: Tensor, x: Tensor) -> Tensor:
    """Return what the solve computes as one graph, without gradient."""
    torch._dynamo.reset()
    with torch.no_grad():
        return torch.compile(lambda w, x: flat(solve(w, x)), fullgraph=True, backend="eager")(w, x)


def compiled_gradient(solve: Callable[..., Any], w: Tensor, x: Tensor) -> Tensor:
    """Return the gradient with respect to w through that graph."""
    torch._dynamo.reset()
    leaf = w.clone().requires_grad_()
    value = torch.compile(lambda w, x: number(solve, w, x), fullgraph=True, backend="aot_eager")(leaf, x)
    return torch.autograd.grad(value, leaf)[0]


GRAPHS: dict[str, tuple[Callable[..., Tensor], Callable[..., Any]]] = {
    "export": (exported, lambda s, w, x: flat(s(w, x))),
    "compile": (compiled, lambda s, w, x: flat(s(w, x))),
    "compile, gradient": (compiled_gradient, lambda s, w, x: torch.func.grad(partial(number, s))(w, x)),
}


def graph_cell(method: Method, problem: Problem, transform: str) -> float | str:
    """Return the relative error of a whole graph, or the line that names the cure."""
    result, reference = GRAPHS[transform]
    try:
        value = result(method(problem, "while"), *problem.args)
    except Exception as error:
        lines = str(error).splitlines()
        named = [line for line in lines if "reason:" in line or "no form without side effects" in line]
        line = named[0].split("reason: ")[-1].rstrip(")") if named else lines[0]
        return f"{type(error).__name__}: {shorten(line, 130, placeholder=' ...')}"
    return relative_error(value, reference(problem.solution, *problem.args))


def cell(method: Method, problem: Problem, transform: str) -> float | str:
    """Return the relative error, or the first line of the refusal."""
    w, x = problem.args
    t = normal(*w.shape, name=9)
    try:
        result = TRANSFORMS[transform](method(problem), w, x, t)
    except Exception as error:
        return f"{type(error).__name__}: {shorten(str(error), 130, placeholder=' ...')}"
    return relative_error(result, TRANSFORMS[transform](problem.solution, w, x, t))


def row(name: str) -> dict[str, dict[str, float | str]]:
    """Return all cells of one method, by transform and problem."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    problems = {name: make() for name, make in PROBLEMS.items()}
    method = METHODS[name][0]
    cells = {t: {p: cell(method, problem, t) for p, problem in problems.items()} for t in TRANSFORMS}
    graphs = {t: {p: graph_cell(method, problems[p], t) for p in ("affine", "rows")} for t in GRAPHS}
    return cells | graphs


def main() -> int:
    """Fill the table; return 1 where a claim of exactness does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write every cell by method, transform and problem")
    options = parser.parse_args()
    cells: dict[str, dict[str, dict[str, float | str]]] = {}
    refusals: dict[str, int] = {}
    failed = False
    # A process a method: most of the time is tracing, which has one thread.
    pool = ProcessPoolExecutor(os.cpu_count(), get_context("spawn"))
    for (name, (_, exact)), filled in zip(METHODS.items(), pool.map(row, METHODS), strict=True):
        cells[name] = filled
        print(f"\n{name}")
        for transform, part in cells[name].items():
            errors = [value for value in part.values() if not isinstance(value, str)]
            texts = dict.fromkeys(value for value in part.values() if isinstance(value, str))
            numbers = [f"[{refusals.setdefault(text, len(refusals) + 1)}]" for text in texts]
            worst = f"{max(errors):.0e} on {len(errors)} of {len(part)} problems" if errors else "refused"
            print(f"  {transform:28} {worst} {' '.join(numbers)}".rstrip())
            failed |= exact and any(error > EXACT for error in errors)
            # Whole graphs have no implicit gradient and no Broyden, and say so.
            failed |= exact and not errors and transform not in GRAPHS
    print("\nRefusals")
    for text, place in refusals.items():
        print(f"  [{place}] {text}")
    if options.json:
        options.json.write_text(json.dumps(cells, indent=1) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
