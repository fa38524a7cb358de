"""The layer users put in a network: solve, then give the supervised states their gradients."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import nn

from sevenfold.deq.base import Backward, Function, Measure, Solution, Solver, State, Stop
from sevenfold.deq.components import make_backward, make_solver
from sevenfold.deq.correction import Correction
from sevenfold.deq.implicit import Implicit
from sevenfold.deq.implicit_function import Map
from sevenfold.deq.iterating import IteratingRule, record_of
from sevenfold.deq.nodes import BackwardNode, SolverNode
from sevenfold.deq.phantom import Phantom
from sevenfold.deq.preflight import check_map, refuse_in_place, versions
from sevenfold.deq.problems import by_rows, solve_equation
from sevenfold.deq.static import Static, compiles_gradients, runner
from sevenfold.deq.transforms import transforms_active
from sevenfold.deq.tree import Tree, flatten, lifted
from sevenfold.errors import ConfigError, InputError
from sevenfold.ranges import Count

Corrected = tuple[list[Any], Solution]


class DEQ(nn.Module):
    """A deep equilibrium layer: z* = f(z*), differentiable in constant memory.

    It has no parameters; f brings them.

    Args:
        solver: a solver, or its name and options such as ``{"name": "anderson", "memory": 6}``; None for
            Anderson with its defaults.
        backward: a rule for the gradient, or its name and options; None for one phantom step.
        max_iter: most evaluations of f in training mode.
        eval_max_iter: most evaluations of f in evaluation mode; None for 1.5 times ``max_iter``.
        stop: the rule that decides when a sample is finished; None for a relative residual of 1e-3.
        correction: which states are supervised; None for the last one alone.
        returned: ``best`` returns the state with the lowest residual, ``last`` that of the last evaluation.
        batched: whether the first dimension of the state counts independent rows; else it is one whole.
        check: whether f is checked before its first solve (:mod:`sevenfold.deq.preflight`).
        check_every: evaluations between two looks at the device to see whether all samples are finished; None
            for 1 on the CPU and 4 elsewhere. Results do not depend on it.
        static: solve by a graph of pure operations (:mod:`sevenfold.deq.static`), as ``torch.compile`` and
            ``torch.export`` do unasked: True for all steps, ``while`` to end with the last row.

    Example:
        >>> layer = DEQ(solver={"name": "anderson", "memory": 6}, max_iter=30)
        >>> weight = torch.tensor(0.5, requires_grad=True)
        >>> states, solution = layer(lambda z: (torch.cos(weight * z[0]),), (torch.zeros(1, 1),))
        >>> states[-1][0].sum().backward()
    """

    def __init__(
        self,
        *,
        solver: Solver | SolverNode | None = None,
        backward: Backward | BackwardNode | None = None,
        max_iter: Count = 24,
        eval_max_iter: Count | None = None,
        stop: Stop | None = None,
        correction: Correction | None = None,
        returned: Literal["best", "last"] = "best",
        batched: bool = True,
        check: bool = True,
        check_every: Count | None = None,
        static: Static = False,
    ) -> None:
        super().__init__()
        if max_iter < 1 or (eval_max_iter is not None and eval_max_iter < 1):
            raise ConfigError(
                "max_iter", f"is {max_iter} (eval_max_iter {eval_max_iter}); expected at least 1"
            )
        self.solver = make_solver(solver)
        self.rule = make_backward(backward)
        self.max_iter = max_iter
        self.eval_max_iter = eval_max_iter if eval_max_iter is not None else max_iter * 3 // 2
        self.stop, self.correction = stop or Stop(), correction or Correction()
        self.returned, self.check_every = returned, check_every
        self.batched, self.check, self.static = batched, check, static
        # Complain now, not at the first batch.
        self.correction.at(max_iter)
        runner(static)
        if isinstance(self.rule, Implicit):
            self.rule.check_forward(self.solver)

    @property
    def early_rule(self) -> Backward:
        """Return the rule of all supervised states but the last."""
        if isinstance(self.rule, Phantom):
            return self.rule
        return Phantom(steps=self.correction.steps, damping=self.correction.damping)

    def forward(
        self,
        f: Callable[..., Any],
        z0: Any,
        args: Any = (),
        *,
        max_iter: int | None = None,
        at: Sequence[int] = (),
        compact: bool = False,
        measure: Measure | None = None,
    ) -> Corrected:
        """Return the supervised states, in order, and the record of the solve.

        In training mode with gradients enabled the list holds the corrected states and their gradients; else
        what the solution was after each of the steps ``at`` (increasing), and at the end, the last one with
        its gradient where gradients are enabled. Tracked evaluations of f are not counted in ``steps``.

        Args:
            f: the map, called as ``f(z, *args)``; a module's parameters count among its arguments.
            z0: where to start, a tuple of tensors (B, ...). With ``args``, or where the layer is not batched,
                a tensor, or tuples, lists and dictionaries of tensors, whose structure the states then have.
            args: what f depends on besides z. With arguments the implicit rule has derivatives of any order
                under every transform; what f closes over has first derivatives of plain autograd.
            max_iter: most evaluations of f in this call, in place of the layer's.
            at: steps after which the state is returned too, in evaluation mode.
            compact: take finished samples out of the batch (:func:`sevenfold.deq.driver.solve`).
            measure: of residuals, in place of plain norms (:data:`sevenfold.deq.base.Measure`).
        """
        if isinstance(self.rule, Implicit) and compiles_gradients():
            options: dict[str, Any] = {"max_iter": max_iter, "at": at, "compact": compact, "measure": measure}
            from sevenfold.deq.uncompiled import solve_layer

            return solve_layer(self, f, z0, args, **options)
        if max_iter is None:
            max_iter = self.max_iter if self.training else self.eval_max_iter
        run = runner(
            self.static,
            solver=self.solver,
            stop=self.stop,
            returned=self.returned,
            check_every=self.check_every,
            compact=compact,
            measure=measure,
            inverse=isinstance(self.rule, Implicit) and self.rule.preconditioned,
        )
        if not args and self.batched:
            if self.check:
                check_map(f, z0, batched=True, key=f)
            return self._closure(f, z0, run, max_iter, at)
        return self._equation(f, z0, args, run, max_iter, at)

    def _closure(
        self, f: Function, z0: State, run: Callable[..., Solution], max_iter: int, at: Sequence[int]
    ) -> Corrected:
        """Solve for a map of the state alone."""
        if self.training and torch.is_grad_enabled():
            if isinstance(self.rule, IteratingRule):
                return self._iterated(self.rule, lambda z, _: f(z), z0, ())
            steps = self.correction.at(max_iter)
            graph = self._sliced if self.correction.graph == "sliced" else self._indexing
            return graph(f, z0, partial(run, f), steps)
        solution = run(f, z0, max_iter=max_iter, indexing=at)
        # Gradients follow the caller's grad mode; training only chooses depth and supervision.
        last = _attached(self.rule, f, solution)[-1] if torch.is_grad_enabled() else solution.value
        return [*solution.indexed, last], solution

    def _equation(
        self,
        f: Callable[..., Any],
        z0: Any,
        args: Any,
        run: Callable[..., Solution],
        max_iter: int,
        at: Sequence[int],
    ) -> Corrected:
        """Solve for a map of explicit arguments, or a state of any structure."""
        call, args = lifted(f, args)
        tree = Tree.of(z0)
        tensors, place = flatten(args)

        def flat(z: State, given: State) -> State:
            return tree.leaves(call(tree.build(z), *place(given)))

        one = not at and (not self.training or len(self.correction.at(max_iter)) == 1)
        if one and isinstance(self.rule, Implicit):
            run = partial(run, max_iter=max_iter)
            value, solution = solve_equation(flat, tree, tensors, self.rule, run, self.batched, self.check, f)
            return [value], solution
        if self.training and isinstance(self.rule, IteratingRule) and torch.is_grad_enabled():
            start = tree.start if self.batched else tuple(part[None] for part in tree.start)

            def of_rows(z: State, given: State) -> State:
                return by_rows(lambda part: flat(part, given), batched=self.batched)(z)

            if self.check:
                bound = tuple(part.detach() for part in tensors)
                check_map(lambda z: of_rows(z, bound), start, batched=self.batched, key=f, args=bound)
            return self._structured(tree, self._iterated(self.rule, of_rows, start, tensors))
        if transforms_active():
            raise InputError("a transform needs the implicit rule and one supervised state")
        rows = by_rows(lambda z: flat(z, tensors), batched=self.batched)
        start = tree.start if self.batched else tuple(part[None] for part in tree.start)
        if self.check:
            check_map(rows, start, batched=self.batched, key=f)
        return self._structured(tree, self._closure(rows, start, run, max_iter, at))

    def _structured(self, tree: Tree, corrected: Corrected) -> Corrected:
        """Return the states in the structure of their start."""
        states, solution = corrected
        whole = (state if self.batched else tuple(part[0] for part in state) for state in states)
        return [tree.build(state) for state in whole], solution

    def _iterated(self, rule: IteratingRule, f: Map, z0: State, args: State) -> Corrected:
        """Iterate as the rule does in place of the solve; supervise as the correction says."""

        def guarded(z: State, given: State) -> State:
            before = versions(z)
            out = f(z, given)
            refuse_in_place(z, before)
            return out

        states = rule.iterate(guarded, z0, args)
        record = record_of(states[-1], rule.residual(f, z0, states, args), self.stop, rule.evaluations)
        at = self.correction.at(rule.steps) if len(states) == rule.steps else [len(states)]
        return [states[step - 1] for step in at], record

    def _sliced(self, f: Function, z0: State, run: Callable[..., Solution], steps: list[int]) -> Corrected:
        """Solve up to each supervised step from the (detached) state emitted at the one before."""
        states: list[Any] = []
        record: Solution | None = None
        for before, after in pairwise([0, *steps]):
            piece = run(z0, max_iter=after - before)
            record = piece if record is None else record.then(piece)
            states += _attached(self.rule if after == steps[-1] else self.early_rule, f, piece)
            z0 = tuple(part.detach() for part in states[-1])
        assert record is not None
        return states, record

    def _indexing(self, f: Function, z0: State, run: Callable[..., Solution], steps: list[int]) -> Corrected:
        """Solve once; give each recorded state its gradient, the last one always by the layer's own rule."""
        solution = run(z0, max_iter=steps[-1], indexing=steps[:-1])
        # dL/dx = dL/dz* (I - J_f)^-1 df/dx, or an approximation of it, from each supervised state (Bai,
        # Kolter and Koltun 2019, theorem 1; several states: Bai et al. 2022).
        states = [state for value in solution.indexed for state in self.early_rule.attach(f, value)]
        return states + _attached(self.rule, f, solution), solution


def _attached(rule: Backward, f: Function, solution: Solution) -> list[State]:
    """Return the solution with its gradient; the implicit rule looks at the record of the solve too."""
    if isinstance(rule, Implicit):
        return rule.attach(f, solution.value, solution)
    return rule.attach(f, solution.value)
