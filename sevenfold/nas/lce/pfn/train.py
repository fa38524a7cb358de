"""Training of the prior-fitted network: a step's tasks are one tensor program on the device."""

import math

import torch
from torch import Tensor

from sevenfold.nas.lce.pfn.network import CurvePFN
from sevenfold.nas.lce.pfn.prior import SLOTS, Tasks, draw_tasks
from sevenfold.nas.lce.pfn.tokens import BARS, REACH, WIDTH, tokens
from sevenfold.seeding import torch_generator


def nll(log_bars: Tensor, u: Tensor) -> Tensor:
    """Return -ln density of u, nats, for log probabilities (..., 128) of bars within [-5, 5].

    >>> flat = torch.full((1, 128), 1 / 128).log()
    >>> round(float(nll(flat, torch.zeros(1))), 4) == round(math.log(10), 4)
    True
    """
    bar = ((u + REACH) / WIDTH).long().clamp(0, BARS - 1)
    return math.log(WIDTH) - log_bars.gather(-1, bar[..., None])[..., 0]


def task_loss(network: CurvePFN, tasks: Tasks) -> Tensor:
    """Return the mean negative log density of the queries of tasks, in units of u.

    >>> task_loss(CurvePFN(width=8, layers=1), draw_tasks(1, torch_generator(0, "a"))).shape
    torch.Size([])
    """
    queries = torch.ones_like(tasks.cuts[:, SLOTS:], dtype=torch.bool)
    present = torch.cat([tasks.known, queries], 1)
    made = tokens(tasks.values, tasks.cuts, tasks.horizons, tasks.epochs, present)
    u = made.targets(tasks.values.gather(2, tasks.horizons[..., None] - 1)[..., 0])
    # Minimizes the expected KL divergence to the posterior predictive (Mueller 2022, equation 2).
    return nll(network(made.features, u[:, :SLOTS], tasks.known), u[:, SLOTS:]).mean()


def rate(step: int, steps: int, warmup: int = 100) -> float:
    """Return the factor on the learning rate: a linear start, then half a cosine down to 0.

    >>> rate(0, 1000), rate(99, 1000), round(rate(1000, 1000), 9)
    (0.01, 1.0, 0.0)
    """
    warmup = min(warmup, max(1, steps // 2))
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2


class Training:
    """A training that can be stored and resumed after any step, since each step has a random stream.

    >>> training = Training(CurvePFN(width=8, layers=1), steps=2, tasks=1, lr=1e-3, seed=0)
    >>> training.step().isfinite().item(), training.done
    (True, 1)
    """

    def __init__(
        self, network: CurvePFN, *, steps: int, tasks: int, lr: float, seed: int, half: bool = False
    ) -> None:
        self.network, self.steps, self.tasks, self.seed, self.half = network, steps, tasks, seed, half
        self.device = next(network.parameters()).device
        fused = self.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=lr, betas=(0.9, 0.98), fused=fused)
        self.lr, self.done = lr, 0

    def step(self) -> Tensor:
        """Take one step; return its loss, a tensor, so that nobody waits for the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * rate(self.done, self.steps)
        tasks = draw_tasks(self.tasks, torch_generator(self.seed, "prior", self.done, device=self.device))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            loss = task_loss(self.network, tasks)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.done += 1
        return loss.detach()

    def state(self) -> dict[str, object]:
        """Return what a later process needs to go on."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
        }

    def restore(self, state: dict[str, object]) -> None:
        """Go on from :meth:`state`."""
        self.network.load_state_dict(state["network"])  # type: ignore[arg-type]
        self.optimizer.load_state_dict(state["optimizer"])  # type: ignore[arg-type]
        self.done = int(state["done"])  # type: ignore[call-overload]


@torch.no_grad()
def prior_nll(network: CurvePFN, *, tasks: int = 200, seed: int = 0, at_once: int = 8) -> float:
    """Return the mean loss on fresh tasks, from a stream that no training draws from.

    >>> prior_nll(CurvePFN(width=8, layers=1), tasks=2, at_once=2) > 0
    True
    """
    device = next(network.parameters()).device
    losses = []
    for part in range(0, tasks, at_once):
        count = min(at_once, tasks - part)
        fresh = draw_tasks(count, torch_generator(seed, "fresh tasks", part, device=device))
        losses.append(task_loss(network, fresh) * count)
    return float(torch.stack(losses).sum() / tasks)
