"""Adversarial fine-tuning against a critic that predicts the bias of a batch (Savani et al. 2020)."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from sevenfold.errors import InputError
from sevenfold.fairness.intra.base import DebiasingResult, Incumbent, Method, Problem, linear_layer
from sevenfold.fairness.intra.finetune import stratified
from sevenfold.fairness.measures import soft_bias
from sevenfold.ranges import MOST, Count, LearningRate, NonNegative, Range
from sevenfold.seeding import seeded, torch_generator


@dataclass(frozen=True)
class Schedule:
    """Lengths and rates of an adversarial training.

    Args:
        epochs: rounds of critic and then actor steps.
        critic, actor: steps of an epoch.
        batch: rows of a step.
        lr_critic, lr_actor: step sizes of Adam.
        check: actor steps between two evaluations of the objective.
    """

    epochs: Count = 8
    critic: Count = 60
    actor: Count = 60
    batch: Annotated[int, Range(4, MOST)] = 64
    lr_critic: LearningRate = 1e-3
    lr_actor: LearningRate = 1e-3
    check: Count = 20


class FlattenCritic(nn.Module):
    """The paper's critic: all features of a batch as one row, so that size and order of the batch matter."""

    def __init__(self, features: int, batch: int) -> None:
        super().__init__()
        hidden = [layer for _ in range(3) for layer in (nn.Linear(32, 32), nn.ReLU(), nn.Dropout(0.2))]
        self.net = nn.Sequential(nn.Linear(batch * features, 32), *hidden, nn.Linear(32, 1))

    def forward(self, h: Tensor, y: Tensor, a: Tensor) -> Tensor:
        """Estimate the batch's bias."""
        return self.net(h.reshape(1, -1))[0, 0]


class SetCritic(nn.Module):
    """A critic of features pooled by cell (a, y), which does not depend on the batch's order or size."""

    def __init__(self, features: int, batch: int, width: int = 32) -> None:
        super().__init__()
        self.each = nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.whole = nn.Sequential(nn.Linear(4 * width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, h: Tensor, y: Tensor, a: Tensor) -> Tensor:
        """Estimate the batch's bias."""
        member = nn.functional.one_hot((2 * a + y).long(), 4).to(h.dtype)
        # permutation-invariant: rho(mean over the cell of phi(h))   (Zaheer et al. 2017, deep sets)
        pooled = member.T @ self.each(h) / member.sum(0).clamp(min=1)[:, None]
        return self.whole(pooled.flatten())[0]


CRITICS = {"flatten": FlattenCritic, "set": SetCritic}


class Adversarial(Method):
    """Fine-tune against a critic: the actor's loss is max(1, strength (|g| - eps + margin) + 1) x BCE.

    Args:
        critic: ``set`` (ours) or ``flatten`` (the paper's); ``none`` uses the batch's soft bias itself.
        schedule: lengths and rates. The paper's is 32 epochs of 201 and 301 steps, rates 1e-3 and 1e-4.
        strength, margin: of the actor's loss.
        stratify: every cell (a, y) in every batch; the paper draws uniformly.

    Tuning is in eval mode (no dropout, frozen statistics); the result is the best check by the objective.

    Example:
        >>> from sevenfold.fairness.intra.adversarial import Schedule
        >>> from sevenfold.testing.method import problem
        >>> result = Adversarial(schedule=Schedule(epochs=1, critic=5, actor=10)).fit(problem())
        >>> result.threshold == result.threshold
        True
    """

    def __init__(
        self,
        *,
        critic: Literal["set", "flatten", "none"] = "set",
        schedule: Schedule = Schedule(),
        strength: NonNegative = 20.0,
        margin: NonNegative = 0.02,
        stratify: bool = True,
    ) -> None:
        self.critic, self.schedule, self.strength = critic, schedule, strength
        self.margin, self.stratify = margin, stratify

    def search(self, problem: Problem) -> DebiasingResult:
        """Alternate critic and actor."""
        if self.critic == "flatten" and len(problem.y) < self.schedule.batch:
            raise InputError(f"batches of {self.schedule.batch} need at least as many validation rows")
        duel, incumbent = Duel(problem, self), Incumbent(problem)
        how, step = self.schedule, 0
        with torch.enable_grad(), seeded(problem.seed, "critic dropout", device=problem.x.device):
            for _ in range(how.epochs):
                for _ in range(how.critic if self.critic != "none" else 0):
                    duel.train_critic()
                for _ in range(how.actor):
                    duel.train_actor()
                    step += 1
                    if step % how.check == 0:
                        duel.check(incumbent)
        return incumbent.result()


class Duel:
    """Actor and critic, their optimizers and the stream of batches."""

    def __init__(self, problem: Problem, how: Adversarial) -> None:
        self.problem, self.how, self.material = problem, how, problem.material
        self.actor = problem.clone()
        self.generator = torch_generator(problem.seed, "adversarial batches")
        _, head = linear_layer(self.actor, "head")
        self.features: list[Tensor] = []
        head.register_forward_pre_hook(lambda _, inputs: self.features.__setitem__(slice(None), inputs))
        self.rates = torch.optim.Adam(self.actor.parameters(), lr=how.schedule.lr_actor)
        self.critic: nn.Module | None = None
        if how.critic != "none":
            with seeded(problem.seed, "critic"):
                self.critic = CRITICS[how.critic](head.in_features, how.schedule.batch).to(problem.x.device)
            self.critic_rates = torch.optim.Adam(self.critic.parameters(), lr=how.schedule.lr_critic)

    def check(self, incumbent: Incumbent) -> None:
        """Offer the present actor as a candidate."""
        state = {name: value.detach() for name, value in self.actor.named_parameters()}
        best = self.problem.best(self.problem.scores(state)[None])
        incumbent.offer(best, lambda _: state, "actor step")

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Draw x, y, a of one batch, of exactly the schedule's size."""
        p, size = self.material, self.how.schedule.batch
        if self.how.stratify:
            rows = stratified(p.y, p.a, size, self.generator)
            order = torch.randperm(len(rows), generator=self.generator)
            rows = rows[order].repeat(2)[:size] if self.how.critic == "flatten" else rows[order]
        else:
            rows = torch.randint(len(p.y), (size,), generator=self.generator)
        return p.x[rows], p.y[rows], p.a[rows]

    def train_critic(self) -> None:
        """Take one critic step towards the soft bias of a batch."""
        assert self.critic is not None
        self.critic.train()
        x, y, a = self.batch()
        with torch.no_grad():
            soft = torch.sigmoid(self.actor(x))
        # min over g of (g(h(x)) - mu(sigmoid(f(x)), y, a))^2   (Savani et al. 2020, adversarial fine-tuning)
        target = soft_bias(self.problem.objective.measure, soft, y, a)
        value = (self.critic(self.features[0].detach().float(), y, a) - target).square()
        self.critic_rates.zero_grad()
        value.backward()
        self.critic_rates.step()

    def train_actor(self) -> None:
        """Take one actor step against the critic's estimate."""
        x, y, a = self.batch()
        logits = self.actor(x)
        task = nn.functional.binary_cross_entropy_with_logits(logits, y.to(logits.dtype))
        if self.critic is None:
            estimate = soft_bias(self.problem.objective.measure, torch.sigmoid(logits), y, a)
        else:
            estimate = self.critic.eval()(self.features[0].float(), y, a)
        # max(1, lambda (|g(h)| - eps + delta) + 1) x BCE(f(x), y): within the bound only the task counts
        # (Savani et al. 2020, adversarial fine-tuning)
        excess = estimate.abs() - self.problem.objective.epsilon + self.how.margin
        value = (self.how.strength * excess + 1).clamp(min=1) * task
        self.rates.zero_grad()
        value.backward()
        self.rates.step()
