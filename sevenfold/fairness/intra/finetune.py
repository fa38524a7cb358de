"""Fine-tuning by gradient descent on the soft bias of a batch, without an adversary.

Gradients of differentiable proxies of bias: Marcinkevics, Ozkan & Vogt 2022.
"""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sevenfold.fairness.intra.base import (
    DebiasingResult,
    Incumbent,
    Method,
    Problem,
    State,
    eval_mode,
    weighted_layers,
)
from sevenfold.fairness.measures import soft_bias
from sevenfold.ranges import MOST, Count, LearningRate, Limit, NonNegative, Positive, Range, ShareBelowOne
from sevenfold.seeding import torch_generator


@dataclass(frozen=True)
class Sgd:
    """Options of a gradient descent.

    Args:
        lr: step size.
        steps: how many.
        momentum: of SGD.
        clip: norm above which a gradient is shortened; infinity: never.
        strength: weight of the bias in the loss.
        batch: rows of a step; a step uses all rows where there are no more than this.
        check: steps between two evaluations of the objective.
        softness: width of the sigmoid that softens decisions, in standard deviations of the base logits.
        balanced: whether both labels weigh the same in the loss.
        optimizer: ``sgd`` or ``adam``.
        anchor: weight of the squared distance to the base weights.
        distill: weight of the cross-entropy to the base network's own probabilities.
        multiplier: step size of the multiplier of an augmented Lagrangian; 0: a fixed strength.
    """

    lr: LearningRate = 0.05
    steps: Count = 150
    momentum: ShareBelowOne = 0.9
    clip: Limit = 5.0
    strength: NonNegative = 3.0
    batch: Annotated[int, Range(4, MOST)] = 1024
    check: Count = 20
    softness: Positive = 0.5
    balanced: bool = True
    optimizer: Literal["sgd", "adam"] = "sgd"
    anchor: NonNegative = 0.0
    distill: NonNegative = 0.0
    multiplier: NonNegative = 0.0


def stratified(y: Tensor, a: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Draw rows with every cell (a, y) in proportion and at least one of each that exists."""
    cell = 2 * a + y
    rows = []
    for k in range(4):
        members = (cell == k).nonzero()[:, 0]
        take = max(1, round(size * len(members) / len(y))) if len(members) else 0
        rows.append(members[torch.randint(max(len(members), 1), (take,), generator=generator)])
    return torch.cat(rows)


def cross_entropy(logits: Tensor, y: Tensor, *, balanced: bool) -> Tensor:
    """Return the mean cross-entropy, the labels weighted to equal shares if ``balanced``."""
    each = nn.functional.binary_cross_entropy_with_logits(logits, y.to(logits.dtype), reduction="none")
    if not balanced:
        return each.mean()
    return sum((each[y == label].mean() for label in (0, 1)), logits.new_zeros(())) / 2


def scope_names(network: nn.Module, scope: str | list[str]) -> list[str]:
    """Return the parameters of a scope: ``all``, ``first``, ``head``, or layers by name."""
    names = [name for name, _ in network.named_parameters()]
    if scope == "all":
        return names
    layers = weighted_layers(network)
    in_scope = [layers[0][0]] if scope == "first" else [layers[-1][0]] if scope == "head" else list(scope)
    return [name for name in names if any(name.startswith(f"{layer}.") for layer in in_scope)]


def tune(problem: Problem, incumbent: Incumbent, start: State, how: Sgd, *, scope: str | list[str]) -> None:
    """Descend from ``start``, offering the present weights to the incumbent every ``how.check`` steps.

    The loss is cross-entropy + strength |soft bias| with the soft decision
    sigmoid((logit - base threshold) / (softness sd)). ``anchor`` adds the squared distance to the start
    (L2-SP), ``distill`` the cross-entropy to the base network's probabilities, ``multiplier`` the step of an
    augmented Lagrangian on the bias. The network is in eval mode: no dropout, frozen statistics.
    """
    material, base = problem.material, problem.scores()
    center, spread = float(incumbent_threshold(problem, base)), how.softness * base.std().clamp(min=1e-6)
    weights = {n: start[n].detach().clone().requires_grad_(True) for n in scope_names(problem.network, scope)}
    frozen = {n: v for n, v in start.items() if n not in weights}
    anchors = {n: w.detach().clone() for n, w in weights.items()}
    parameters = list(weights.values())
    optimizer: torch.optim.Optimizer = (
        torch.optim.Adam(parameters, lr=how.lr)
        if how.optimizer == "adam"
        else torch.optim.SGD(parameters, lr=how.lr, momentum=how.momentum)
    )
    generator, price = torch_generator(problem.seed, "fine-tuning"), 0.0
    full_batch, teacher = len(material.y) <= how.batch, material.scores()
    with eval_mode(problem.network), torch.enable_grad():
        for step in range(1, how.steps + 1):
            rows = slice(None) if full_batch else stratified(material.y, material.a, how.batch, generator)
            logits = functional_call(problem.network, {**frozen, **weights}, (material.x[rows],))
            # L = BCE(f(x), y) + lambda |mu(sigmoid((f(x) - tau) / (c sd)), y, a)|
            soft = torch.sigmoid((logits - center) / spread)
            mu = soft_bias(problem.objective.measure, soft, material.y[rows], material.a[rows])
            value = cross_entropy(logits, material.y[rows], balanced=how.balanced)
            # augmented Lagrangian: L + lambda mu^2 + p mu with p <- p + eta mu   (Hestenes 1969)
            value = value + how.strength * (mu.abs() if not how.multiplier else mu.square()) + price * mu
            # L2-SP: alpha |w - w0|^2   (Li, Grandvalet & Davoine 2018)
            value = value + how.anchor * sum((w - anchors[n]).square().sum() for n, w in weights.items())
            # distillation from the base network   (Hinton, Vinyals & Dean 2015)
            if how.distill:
                value = value + how.distill * cross_entropy_to(logits, teacher[rows])
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(parameters, how.clip)
            optimizer.step()
            price += how.multiplier * float(mu.detach())
            if step % how.check == 0 or step == how.steps:
                now = {n: w.detach() for n, w in weights.items()}
                state = {**frozen, **now}
                best = problem.best(problem.scores(state)[None])
                incumbent.offer(best, lambda _, state=state: state, "step")


def cross_entropy_to(logits: Tensor, teacher: Tensor) -> Tensor:
    """Return the cross-entropy to a teacher's probabilities."""
    return nn.functional.binary_cross_entropy_with_logits(logits, torch.sigmoid(teacher))


def incumbent_threshold(problem: Problem, base: Tensor) -> Tensor:
    """Return the threshold of best performance of the base network, without the constraint."""
    return (
        dataclasses.replace(problem, objective=problem.objective.free)
        .best(base[None])
        .threshold[0]
        .clamp(-1e6, 1e6)
    )


class FineTune(Method):
    """Descend on cross-entropy plus the soft bias, from the base network.

    Rows are (n, d), labels and groups (n,); the soft bias is the measure with probabilities in place of
    decisions. The control of adversarial fine-tuning: the same descent without a critic.

    Args:
        scope: ``first`` layer, ``head`` or ``all`` parameters.
        descent: its options.

    Example:
        >>> from sevenfold.testing.method import problem
        >>> result = FineTune().fit(problem())
        >>> result.met
        True
    """

    def __init__(self, *, scope: Literal["first", "head", "all"] = "first", descent: Sgd = Sgd()) -> None:
        self.scope, self.descent = scope, descent

    def search(self, problem: Problem) -> DebiasingResult:
        """Descend and return the best check."""
        incumbent = Incumbent(problem)
        tune(problem, incumbent, problem.state(), self.descent, scope=self.scope)
        return incumbent.result()
