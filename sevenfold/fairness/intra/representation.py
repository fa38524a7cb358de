"""Adversarial debiasing of the representation (Zhang, Lemoine, Mitchell 2018), as fine-tuning."""

import torch
from torch import Tensor, nn

from sevenfold.fairness.intra.adversarial import Adversarial, Duel, Schedule
from sevenfold.fairness.intra.base import DebiasingResult, Incumbent, Method, Problem
from sevenfold.ranges import NonNegative
from sevenfold.seeding import seeded

ZHANG = Schedule(epochs=6, critic=60, actor=60, lr_actor=1e-4)


class Representation(Method):
    """Fine-tuning against an adversary that predicts the attribute from the network's features.

    The actor's gradient is g - (g . h / |h|^2) h - alpha h, g of the task and h of the adversary's loss.

    Args:
        schedule: lengths and rates; the paper's is 24 epochs of 201 and 201 steps.
        alpha: weight of the adversary's gradient.
    """

    def __init__(self, *, schedule: Schedule = ZHANG, alpha: NonNegative = 0.8) -> None:
        self.schedule, self.alpha = schedule, alpha

    def search(self, problem: Problem) -> DebiasingResult:
        """Alternate adversary and network."""
        incumbent, how, step = Incumbent(problem), self.schedule, 0
        duel = Duel(problem, Adversarial(critic="none", schedule=how))
        duel.actor(problem.x[:2])
        with torch.enable_grad(), seeded(problem.seed, "representation", device=problem.x.device):
            width = duel.features[0].shape[1]
            hidden = [layer for _ in range(3) for layer in (nn.LazyLinear(32), nn.Dropout(0.2), nn.ReLU())]
            adversary = nn.Sequential(*hidden, nn.Linear(32, 1))
            adversary(torch.zeros(1, width))  # lazy layers draw their weights here, on the CPU
            adversary.to(problem.x.device)
            rates = torch.optim.Adam(adversary.parameters(), lr=how.lr_critic)
            for _ in range(how.epochs):
                for _ in range(how.critic):
                    rates.zero_grad()
                    self._guess(duel, adversary.train())[1].backward()
                    rates.step()
                for _ in range(how.actor):
                    self._step(duel, adversary.eval())
                    step += 1
                    if step % how.check == 0:
                        duel.check(incumbent)
        return incumbent.result()

    def _guess(self, duel: Duel, adversary: nn.Module) -> tuple[Tensor, Tensor]:
        """Return the losses of task and adversary on one batch."""
        x, y, a = duel.batch()
        logits = duel.actor(x)
        entropy = nn.functional.binary_cross_entropy_with_logits
        task = entropy(logits, y.to(logits.dtype))
        return task, entropy(adversary(duel.features[0].float())[:, 0], a.float())

    def _step(self, duel: Duel, adversary: nn.Module) -> None:
        task, wrong = self._guess(duel, adversary)
        parameters = list(duel.actor.parameters())
        g = torch.autograd.grad(task, parameters, retain_graph=True)
        h = torch.autograd.grad(wrong, parameters, allow_unused=True)
        adversary_gradients = [
            torch.zeros_like(p) if v is None else v for p, v in zip(parameters, h, strict=True)
        ]
        for p, value in zip(parameters, combine(list(g), adversary_gradients, self.alpha), strict=True):
            p.grad = value
        duel.rates.step()


def combine(task: list[Tensor], adversary: list[Tensor], alpha: float) -> list[Tensor]:
    """Return g - (g . h / |h|^2) h - alpha h over all tensors together."""
    # grad L_P - proj_{grad L_A} grad L_P - alpha grad L_A   (Zhang, Lemoine & Mitchell 2018, eq. 1)
    dot = sum((g * h).sum() for g, h in zip(task, adversary, strict=True))
    square = sum((h * h).sum() for h in adversary)
    factor = dot / torch.as_tensor(square).clamp(min=1e-20) + alpha
    return [g - factor * h for g, h in zip(task, adversary, strict=True)]
