"""The layer users put in a network: solve, then give the supervised states their gradients."""

from itertools import pairwise
from typing import Any

import torch
from torch import nn

from sevenfold.deq import BACKWARDS
from sevenfold.deq.base import Backward, Function, Measure, Solution, Solver, State, Stop
from sevenfold.deq.choose import choose
from sevenfold.deq.correction import Correction
from sevenfold.deq.implicit import make_solver
from sevenfold.deq.phantom import Phantom
from sevenfold.deq.solve import solve


class DEQ(nn.Module):
    """A deep equilibrium layer: z* = f(z*), differentiable in constant memory.

    It has no parameters; f brings them. ``solver`` and ``backward`` are components or their options
    (``{"name": "anderson", "memory": 6}``); the defaults are Anderson and the one-step gradient. ``max_iter``
    bounds the evaluations of f in training mode, ``eval_max_iter`` (default: 1.5 times as many) in evaluation
    mode.

    Example:
        >>> layer = DEQ(solver={"name": "anderson", "memory": 6}, max_iter=30)
        >>> weight = torch.tensor(0.5, requires_grad=True)
        >>> states, solution = layer(lambda z: (torch.cos(weight * z[0]),), (torch.zeros(1, 1),))
        >>> states[-1][0].sum().backward()
    """

    def __init__(
        self,
        *,
        solver: Solver | dict[str, Any] | None = None,
        backward: Backward | dict[str, Any] | None = None,
        max_iter: int = 24,
        eval_max_iter: int | None = None,
        stop: Stop | None = None,
        correction: Correction | None = None,
    ) -> None:
        super().__init__()
        self.solver = make_solver(solver, "solver")
        self.rule = make_backward(backward)
        self.max_iter = max_iter
        self.eval_max_iter = eval_max_iter if eval_max_iter is not None else max_iter * 3 // 2
        self.stop, self.correction = stop or Stop(), correction or Correction()
        self.correction.at(max_iter)  # complain now, not at the first batch

    @property
    def early_rule(self) -> Backward:
        """Return the rule of all supervised states but the last."""
        if isinstance(self.rule, Phantom):
            return self.rule
        return Phantom(steps=self.correction.steps, damping=self.correction.damping)

    def forward(
        self,
        f: Function,
        z0: State,
        *,
        max_iter: int | None = None,
        compact: bool = False,
        measure: Measure | None = None,
    ) -> tuple[list[State], Solution]:
        """Return the supervised states, in order, and the record of the solve.

        In training mode with gradients enabled the list holds the corrected states with their gradients; else
        the solution alone. ``max_iter`` replaces the layer's for this call; ``compact`` and ``measure`` are
        those of :func:`sevenfold.deq.solve.solve`. Tracked evaluations of f are not counted in the record's
        ``steps``.
        """
        budget = max_iter or (self.max_iter if self.training else self.eval_max_iter)

        def run(z: State, steps: int, indexing: tuple[int, ...] = ()) -> Solution:
            return solve(
                f,
                z,
                self.solver,
                max_iter=steps,
                stop=self.stop,
                indexing=indexing,
                compact=compact,
                measure=measure,
            )

        if not (self.training and torch.is_grad_enabled()):
            solution = run(z0, budget)
            return [solution.value], solution
        steps = self.correction.at(budget)
        if self.correction.graph == "indexing":
            solution = run(z0, budget, tuple(steps))
            return self._attach(f, [*solution.indexed[:-1], solution.value]), solution
        states: list[State] = []
        record: Solution | None = None
        for before, after in pairwise([0, *steps]):
            piece = run(z0, after - before)
            record = piece if record is None else record.then(piece)
            rule = self.rule if after == budget else self.early_rule
            states += rule.attach(f, piece.value)
            z0 = tuple(part.detach() for part in states[-1])
        assert record is not None
        return states, record

    def _attach(self, f: Function, values: list[State]) -> list[State]:
        """Give each recorded state its gradient; the last one always meets the layer's own rule."""
        early = [state for value in values[:-1] for state in self.early_rule.attach(f, value)]
        return early + self.rule.attach(f, values[-1])


def make_backward(node: Backward | dict[str, Any] | None) -> Backward:
    """Build a backward rule from its options; a built one passes through and None means one phantom step."""
    return node if isinstance(node, Backward) else choose(BACKWARDS, node or {"name": "phantom"}, "backward")
