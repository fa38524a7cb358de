"""Deep equilibrium optical flow (Bai et al., CVPR 2022): RAFT's update, solved for its fixed point."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.deq.base import Solution, Stop
from sevenfold.deq.correction import Correction
from sevenfold.deq.displacement import Displacement
from sevenfold.deq.implicit import Implicit
from sevenfold.deq.layer import DEQ
from sevenfold.deq.nodes import BackwardNode, SolverNode
from sevenfold.deq.plain import FixedPoint
from sevenfold.deq.reversible import Reversible
from sevenfold.deq.unrolled import Unrolled
from sevenfold.flow.network import Design, FlowNetwork, Recurrence, State
from sevenfold.flow.upsample import pixel_grid
from sevenfold.flow.variants import DEQ_VARIANTS

SOLVER = {"name": "fixed_point"}
BACKWARD = {"name": "phantom"}
DESIGN, STOP, CORRECTION = Design(), Stop(mode="pixel"), Correction()


class DEQFlow(FlowNetwork):
    """Estimate flow as the fixed point of the update: constant memory whatever the number of steps.

    Args:
        variant: widths; ``_v1`` marks the smaller flow heads of the official version 1.
        detach_coords: pass no gradient through the flow on its way into f (RAFT's rule).
        solver: of the fixed point.
        backward: rule for the gradient of the fixed point.
        stop: when a sample is finished. "pixel" is in pixels of the full resolution.
        correction: which states of a solve training supervises, and their weights.
        returned: the solver's state with the lowest residual, or its last.
        residual: whether relative residuals compare a step with the flow, or with the absolute coordinates as
            published logs of this model do.
        design: what the network is made of, beside its widths.

    Example:
        >>> import torch
        >>> network = DEQFlow(variant="demo", solver={"name": "anderson"}).eval()
        >>> estimate = network(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64), iterations=4)
        >>> estimate.flows[-1].shape
        torch.Size([1, 2, 64, 64])
    """

    def __init__(
        self,
        *,
        variant: Literal["small", "tiny", "B", "L", "H", "G", "L_v1", "H_v1", "G_v1", "demo", "scenes"] = "B",
        design: Design = DESIGN,
        detach_coords: bool = True,
        solver: SolverNode = SOLVER,
        backward: BackwardNode = BACKWARD,
        stop: Stop = STOP,
        correction: Correction = CORRECTION,
        returned: Literal["best", "last"] = "best",
        residual: Literal["flow", "reference"] = "flow",
    ):
        super().__init__(DEQ_VARIANTS[variant], design, detach_flow=detach_coords)
        # Every call brings its own number of steps; the layer's is only checked against the correction.
        self.deq = DEQ(
            solver=solver,
            backward=backward,
            stop=stop,
            correction=correction,
            returned=returned,
            max_iter=10**6,
        )
        self.gamma, self.residual = correction.gamma, residual
        rule = self.deq.rule
        if isinstance(rule, Reversible):
            raise ConfigError("backward.name", "reversible needs f's arguments apart; use unrolled for flow")
        if isinstance(rule, Implicit) and isinstance(rule.adjoint, FixedPoint) and not detach_coords:
            raise ConfigError(
                "backward.adjoint",
                "plain iteration cannot find the implicit gradient through coordinates (df/dc is near 1);"
                " use gmres, or detach_coords: true",
            )

    def check_iterations(self, iterations: int) -> None:
        """Raise ValueError where the correction does not fit into so many steps."""
        super().check_iterations(iterations)
        self.deq.correction.at(iterations)
        rule = self.deq.rule
        if self.training and isinstance(rule, Unrolled) and iterations != rule.steps:
            raise ValueError(f"is {iterations}, but backward iterates {rule.steps} steps: make them equal")

    def backward_measures(self) -> dict[str, Tensor]:
        """Return residual and evaluations of an implicit gradient's solve, means; a phantom one has none."""
        solution = self.deq.rule.latest if isinstance(self.deq.rule, Implicit) else None
        if solution is None:
            return {}
        return {
            "backward_residual": solution.residual.mean(),
            "backward_evaluations": solution.products.float().mean(),
        }

    def states_at(self, f: Recurrence, steps: Sequence[int]) -> list[State]:
        """Solve once; return the solver's answer after each of ``steps``."""
        return self._solve(f, f.start, steps[-1], at=steps[:-1])[0]

    def run(self, f: Recurrence, start: State, iterations: int) -> tuple[list[State], Solution]:
        """Solve for the fixed point of ``f`` with at most ``iterations`` evaluations."""
        return self._solve(f, start, iterations)

    def _solve(
        self, f: Recurrence, start: State, iterations: int, at: Sequence[int] = ()
    ) -> tuple[list[State], Solution]:
        # The state holds the flow, not the coordinates: they are that much further from the origin.
        origin = -pixel_grid(start[1]) if self.residual == "reference" else None
        measure = Displacement(coords=1, cell=self.stride, origin=origin)
        change = f.pure if self.deq.static == "while" else f
        states, solution = self.deq(change, start, max_iter=iterations, at=at, compact=True, measure=measure)
        return [(hidden, flow) for hidden, flow in states], solution
