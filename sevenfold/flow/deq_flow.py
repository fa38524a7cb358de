"""Deep equilibrium optical flow (Bai et al., CVPR 2022): RAFT's update, solved for its fixed point."""

from typing import Any, Literal

import torch
from torch import Tensor

from sevenfold.deq.base import Measure, Measured, Solution, Stop
from sevenfold.deq.base import State as AnyState
from sevenfold.deq.correction import Correction
from sevenfold.deq.layer import DEQ
from sevenfold.flow.network import Design, FlowNetwork, Recurrence, State
from sevenfold.flow.upsample import pixel_grid
from sevenfold.flow.variants import DEQ_VARIANTS

SOLVER = {"name": "fixed_point"}
BACKWARD = {"name": "phantom"}


class DEQFlow(FlowNetwork):
    """Estimate flow as the fixed point of the update: constant memory whatever the number of steps.

    Args:
        variant: widths; ``_v1`` marks the smaller flow heads of the official version 1.
        detach_coords: pass no gradient through the flow on its way into f (RAFT's rule).
        solver, backward: components of ``sevenfold.deq``.
        stop: when a sample is finished. "pixel" is in pixels of the full resolution.
        correction: which states of a solve training supervises, and their weights.
        compact: take finished samples out of the batch.
        residual: whether relative residuals compare a step with the flow, or with the absolute coordinates as
            published logs of this model do.
    """

    def __init__(
        self,
        *,
        variant: Literal["small", "tiny", "B", "L", "H", "G", "L_v1", "H_v1", "G_v1", "demo"] = "B",
        design: Design = Design(),  # noqa: B008 (frozen)
        detach_coords: bool = True,
        solver: dict[str, Any] = SOLVER,
        backward: dict[str, Any] = BACKWARD,
        stop: Stop = Stop(mode="pixel"),  # noqa: B008
        correction: Correction = Correction(),  # noqa: B008
        compact: bool = False,
        residual: Literal["flow", "reference"] = "flow",
    ):
        super().__init__(DEQ_VARIANTS[variant], design, detach_flow=detach_coords)
        # Every call brings its own number of steps; the layer's would only be checked against the correction.
        self.deq = DEQ(solver=solver, backward=backward, stop=stop, correction=correction, max_iter=10**6)
        self.gamma = correction.gamma
        self.compact, self.residual = compact, residual

    def check_iterations(self, iterations: int) -> None:
        """Raise ValueError where the correction does not fit into so many steps."""
        super().check_iterations(iterations)
        self.deq.correction.at(iterations)

    def run(self, f: Recurrence, start: State, iterations: int) -> tuple[list[State], Solution]:
        """Solve for the fixed point of ``f`` with at most ``iterations`` evaluations."""
        measure = flow_measure(self.stride, reference=self.residual == "reference")
        states, solution = self.deq(f, start, max_iter=iterations, compact=self.compact, measure=measure)
        return [(hidden, flow) for hidden, flow in states], solution


def flow_measure(stride: int, *, reference: bool = False) -> Measure:
    """Return the measure of a step z -> f(z) of (hidden, flow) states, with displacements in px.

    ``norm`` is taken over hidden state and flow, or with ``reference`` over hidden state and coordinates.
    """

    def measure(z: AnyState, fz: AnyState, index: Tensor | None) -> Measured:
        (hidden, flow), (new_hidden, new_flow) = z, fz
        change = torch.linalg.vector_norm(new_flow - flow, dim=1)
        place = new_flow + pixel_grid(new_flow) if reference else new_flow
        of_hidden, size = _norm(new_hidden - hidden), _norm(new_hidden)
        return Measured(
            abs=torch.hypot(of_hidden, _norm(change)),
            norm=torch.hypot(size, _norm(place)),
            pixels=stride * change.mean(dim=(1, 2)),
            rest=of_hidden / (size + 1e-8),
        )

    return measure


def _norm(part: Tensor) -> Tensor:
    """Return the norm of each sample's part, (B,)."""
    return torch.linalg.vector_norm(part.flatten(1), dim=1)
