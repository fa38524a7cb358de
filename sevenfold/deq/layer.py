"""The layer users put in a network: solve, then give the supervised states their gradients."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from sevenfold.deq.base import Backward, Function, Measure, Solution, Solver, State, Stop
from sevenfold.deq.components import make_backward, make_solver
from sevenfold.deq.correction import Correction
from sevenfold.deq.driver import solve
from sevenfold.deq.nodes import BackwardNode, SolverNode
from sevenfold.deq.phantom import Phantom
from sevenfold.errors import ConfigError
from sevenfold.ranges import Count

Corrected = tuple[list[State], Solution]


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
        check_every: evaluations between two looks at the device to see whether all samples are finished; None
            for 1 on the CPU and 4 elsewhere. Results do not depend on it.

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
        check_every: Count | None = None,
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
        at: Sequence[int] = (),
        compact: bool = False,
        measure: Measure | None = None,
    ) -> Corrected:
        """Return the supervised states, in order, and the record of the solve.

        In training mode with gradients enabled the list holds the corrected states and their gradients; else
        what the solution was after each of the steps ``at`` (increasing), and at the end.

        ``max_iter`` replaces the layer's for this call; ``compact`` and ``measure`` are those of
        :func:`sevenfold.deq.driver.solve`. Tracked evaluations of f are not counted in ``steps``.
        """
        if max_iter is None:
            max_iter = self.max_iter if self.training else self.eval_max_iter

        run = partial(
            solve,
            f,
            solver=self.solver,
            stop=self.stop,
            returned=self.returned,
            check_every=self.check_every,
            compact=compact,
            measure=measure,
        )
        if not (self.training and torch.is_grad_enabled()):
            solution = run(z0, max_iter=max_iter, indexing=at)
            return [*solution.indexed, solution.value], solution
        steps = self.correction.at(max_iter)
        graph = self._sliced if self.correction.graph == "sliced" else self._indexing
        return graph(f, z0, run, steps)

    def _sliced(self, f: Function, z0: State, run: Callable[..., Solution], steps: list[int]) -> Corrected:
        """Solve up to each supervised step from the (detached) state emitted at the one before."""
        states: list[State] = []
        record: Solution | None = None
        for before, after in pairwise([0, *steps]):
            piece = run(z0, max_iter=after - before)
            record = piece if record is None else record.then(piece)
            states += (self.rule if after == steps[-1] else self.early_rule).attach(f, piece.value)
            z0 = tuple(part.detach() for part in states[-1])
        assert record is not None
        return states, record

    def _indexing(self, f: Function, z0: State, run: Callable[..., Solution], steps: list[int]) -> Corrected:
        """Solve once; give each recorded state its gradient, the last one always by the layer's own rule."""
        solution = run(z0, max_iter=steps[-1], indexing=steps[:-1])
        # dL/dx = dL/dz* (I - J_f)^-1 df/dx, or an approximation of it, from each supervised state (Bai,
        # Kolter and Koltun 2019, theorem 1; several states: Bai et al. 2022).
        states = [state for value in solution.indexed for state in self.early_rule.attach(f, value)]
        return states + self.rule.attach(f, solution.value), solution
