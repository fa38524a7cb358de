"""How an estimator's state and error move as its map f is iterated, by each solver; how f behaves there."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sevenfold.deq.base import Stop
from sevenfold.deq.components import make_solver
from sevenfold.deq.displacement import Displacement
from sevenfold.deq.driver import solve
from sevenfold.deq.jacobian import spectral_radius
from sevenfold.flow.metrics import end_point_error
from sevenfold.flow.network import FlowNetwork, Recurrence, State
from sevenfold.flow.padding import Amounts, unpad


@dataclass(frozen=True)
class Curve:
    """One solver on a batch of B pairs, float64.

    ``residual`` (T, B): relative residual of the state at each evaluation of f, NaN where it had met an exact
    fixed point. ``epe`` (S, B): mean end-point error in px of valid pixels after each of ``steps``.
    """

    residual: Tensor
    steps: list[int]
    epe: Tensor


def converge(
    network: FlowNetwork,
    f: Recurrence,
    target: Tensor,
    valid: Tensor,
    *,
    solver: str,
    steps: list[int],
    added: Amounts,
    returned: Literal["best", "last"] = "best",
) -> tuple[Curve, State]:
    """Iterate f from its start to the last of ``steps`` and score the state after each of them.

    ``solver`` is a name of ``sevenfold.deq.SOLVERS``; any network can be analyzed, an unrolled one too.
    ``target`` (B, 2, H, W) and ``valid`` (B, H, W) have the pictures' size, ``added`` is what padding added
    to it. The final state comes with the curve.
    """
    # Relative residual |f(z) - z| / |f(z)| against the error: whether more steps still help (Bai et al.
    # 2022).
    solution = solve(
        f,
        f.start,
        make_solver({"name": solver}),
        max_iter=steps[-1],
        stop=Stop(mode="rel", tol=0.0),
        indexing=steps,
        returned=returned,
        measure=Displacement(coords=1, cell=network.stride),
    )
    errors = []
    for hidden, flow in solution.indexed:
        error = end_point_error(unpad(network.decode((hidden, flow)), added).double(), target.double())
        errors.append(torch.where(valid, error, 0.0).sum(dim=(1, 2)) / valid.sum(dim=(1, 2)))
    hidden, flow = solution.value
    return Curve(solution.trace_rel, steps, torch.stack(errors)), (hidden, flow)


def radius_at(
    network: FlowNetwork,
    image1: Tensor,
    image2: Tensor,
    state: State,
    *,
    seed: torch.Generator,
    iterations: int,
) -> Tensor:
    """Estimate the spectral radius of df/dz at a state, (B,): below 1, f contracts near it.

    Everything that f holds is computed anew with gradients allowed, for evaluation usually forbids them.
    """
    with torch.inference_mode(False), torch.enable_grad():
        f = network.recurrence(image1.clone(), image2.clone())
        hidden, flow = (part.clone() for part in state)
        return spectral_radius(f, (hidden, flow), seed, iterations=iterations)
