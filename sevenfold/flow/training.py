"""What a training step of a flow network decides besides the loss, and what it shows of itself.

Draws depend on (seed, step) alone, so that a run that is cut off and resumed makes the same ones.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sevenfold.deq.base import Status
from sevenfold.flow.losses import mixture_of_laplace, sequence_loss
from sevenfold.flow.metrics import end_point_error
from sevenfold.flow.network import Estimate, FlowNetwork, State
from sevenfold.flow.options import Optim, Training
from sevenfold.seeding import torch_generator


def draw_iterations(choices: Sequence[int], seed: int, step: int) -> int:
    """Draw the number of steps of f for one training step, evenly from ``choices``."""
    stream = torch_generator(seed, "flow iterations", step)
    return choices[int(torch.randint(len(choices), (), generator=stream))]


class StaleStart:
    """Start a share of each batch from the final states of the batch before it, other pairs' states.

    The network learns to converge from anywhere. States of a batch of another shape are dropped.
    """

    def __init__(self, share: float, seed: int):
        self.share, self.seed = share, seed
        self.state: State | None = None

    def reset(self) -> None:
        """Forget the last batch, as at the start of each epoch, so that resuming there is exact."""
        self.state = None

    def keep(self, state: State) -> None:
        """Remember the final state of a batch."""
        self.state = (state[0].detach(), state[1].detach())

    def mix(self, fresh: State, step: int) -> State:
        """Return ``fresh`` with floor(share B) samples, drawn by ``step``, replaced by remembered ones."""
        old = None if self.state is None else tuple(part.to(fresh[0].device) for part in self.state)
        if old is None or any(a.shape != b.shape for a, b in zip(old, fresh, strict=True)):
            return fresh
        # An equilibrium must not depend on where the solver starts (Bai et al. 2022, fixed-point reuse in
        # training).
        batch = len(fresh[0])
        stream = torch_generator(self.seed, "flow stale start", step)
        stale = torch.zeros(batch, dtype=torch.bool)
        stale[torch.randperm(batch, generator=stream)[: int(self.share * batch)]] = True
        stale = stale.to(fresh[0].device)
        # A step that was left out may have had a state that is no number.
        for part in old:
            stale = stale & part.isfinite().flatten(1).all(1)
        stale = stale[:, None, None, None]
        return torch.where(stale, old[0], fresh[0]), torch.where(stale, old[1], fresh[1])


LATE = 0.8  # the share of training after which late weights hold and the maps of the scale are trained


def is_late(step: int, total: float) -> bool:
    """Tell whether a step belongs to the last fifth of a training."""
    return step >= LATE * total


def flow_loss(
    estimate: Estimate, flow: Tensor, valid: Tensor, *, gamma: float, rules: Training, late: bool
) -> Tensor:
    """Return the loss of a training step: errors of all supervised states, step penalty, law of the error."""
    loss = sequence_loss(estimate.flows, flow, valid, gamma=gamma)
    # A fixed point moves no more: the length of the last step measures how far f is from one.
    penalty = rules.late_step_penalty if late and rules.late_step_penalty is not None else rules.step_penalty
    loss = loss + penalty * estimate.last_step
    if estimate.scale is not None:
        # As the only loss it would end at zero flow with a large scale, which is cheaper than moving.
        loss = loss + mixture_of_laplace(estimate.scale, flow - estimate.flows[-1].detach(), valid)
    return loss


def parameter_groups(
    network: FlowNetwork, optim: Optim, total: float
) -> tuple[list[dict[str, Any]], list[Callable[[int], float]]]:
    """Return the optimizer's groups of parameters, and each one's factor on the rate by step.

    The maps of the error's law have a cycle of their own in the last fifth of ``total`` steps.
    """
    maps = [] if network.scale_predictor is None else list(network.scale_predictor.parameters())
    ours = {id(parameter) for parameter in maps}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in ours]
    begin = math.ceil(LATE * total)

    def factor(step: int) -> float:
        return rate_factor(step, total + optim.extra_steps, optim.warmup)

    def late_factor(step: int) -> float:
        return rate_factor(step - begin, total - begin, optim.warmup) if step >= begin else 0.0

    both = [({"params": rest}, factor), ({"params": maps}, late_factor)]
    groups, factors = zip(*both[: 2 if maps else 1], strict=True)
    return list(groups), list(factors)


def rate_factor(step: int, total: float, warmup: float) -> float:
    """Scale the learning rate: linearly up from 1/25 over the share ``warmup`` of ``total`` steps, then to 0.

    These are the two phases of the one-cycle schedule with which RAFT and its successors train.
    """
    if step >= total:  # also a cycle without steps: the last fifth of a training of one
        return 0.0
    top = warmup * total
    if step < top:
        return 1 / 25 + (1 - 1 / 25) * step / top
    return (total - step) / (total - top)


@torch.no_grad()
def measures(estimate: Estimate, flow: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """Return what a training step shows of itself, scalars by name.

    Of the last state's flow: the mean end-point error over ``valid`` pixels (``epe``, px) and the percentages
    of them with an error below 1, 3 and 5 px; the length of the last step (px). Where a solver ran: mean and
    largest relative and mean absolute residual, evaluations of f, and the shares of samples that converged
    and that failed.
    """
    error, count = end_point_error(estimate.flows[-1], flow), valid.sum().clamp(min=1)
    scalars = {"epe": torch.where(valid, error, 0).sum() / count, "last_step": estimate.last_step}
    for limit in (1, 3, 5):
        scalars[f"{limit}px"] = 100 * ((error < limit) & valid).sum() / count
    solution = estimate.solution
    if solution is not None:
        scalars |= {"residual": solution.residual_rel.mean(), "residual_max": solution.residual_rel.max()}
        scalars |= {
            "residual_abs": solution.residual_abs.mean(),
            "evaluations": solution.steps.float().mean(),
        }
        scalars["converged"] = (solution.status == Status.converged).float().mean()
        scalars["failed"] = (solution.status >= Status.diverged).float().mean()
    return scalars
