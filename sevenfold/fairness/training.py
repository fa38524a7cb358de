"""Training of base networks: their loss, and a loop that trains many copies at once, each on its own rows."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sevenfold.fairness.network import Copies, TabularNet
from sevenfold.ranges import Count, LearningRate, NonNegative
from sevenfold.seeding import seeded, torch_generator


@dataclass(frozen=True)
class Training:
    """Options of the training of a base network.

    On COMPAS the validation loss is often lowest before the network has learned anything. Deep networks on
    rare one-hot columns start late: with a patience of 25 and a plateau of 10 two of ten on COMPAS stayed at
    chance (AUC .565 and .538 on test, .694 and .700 with 60 and 25).

    Args:
        monitor: what is compared on the validation rows after every epoch: their ``loss``, or 1 - ``auc``.
        lr: step size of Adam.
        batch_size: rows of a step.
        max_epochs: epochs at most.
        patience: epochs without improvement after which training ends with the best weights.
        plateau: epochs without improvement after which the rate falls to a tenth.
        weight_decay: of AdamW.
    """

    monitor: Literal["auc", "loss"] = "auc"

    lr: LearningRate = 1e-3
    batch_size: Count = 64
    max_epochs: Count = 200
    patience: Count = 60
    plateau: Count = 25
    weight_decay: NonNegative = 0.0


def new_network(features: int, seed: int, *, width: int, depth: int, dropout: float) -> TabularNet:
    """Return a network whose initial weights depend on the seed alone."""
    with seeded(seed, "tabular network"):
        return TabularNet(features, width=width, depth=depth, dropout=dropout)


def loss(logits: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy of logits, summed over copies where there are any."""
    each = nn.functional.binary_cross_entropy_with_logits(logits, y.to(logits.dtype), reduction="none")
    return each.mean(-1).sum()


class Adam:
    """Adam with a learning rate for each copy; decoupled weight decay."""

    def __init__(self, parameters: list[Tensor], lr: Tensor, weight_decay: float) -> None:
        self.parameters, self.lr, self.decay, self.steps = parameters, lr, weight_decay, 0
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self, gradients: tuple[Tensor, ...]) -> None:
        """Take one step."""
        self.steps += 1
        # m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  theta <- theta - lr mhat / (sqrt(vhat) + eps)
        # (Kingma & Ba 2015, algorithm 1, with b1 = .9, b2 = .999)
        torch._foreach_lerp_(self.first, gradients, 0.1)
        torch._foreach_mul_(self.second, 0.999)
        torch._foreach_addcmul_(self.second, gradients, gradients, 0.001)
        one, two = 1 - 0.9**self.steps, 1 - 0.999**self.steps
        scale = torch._foreach_sqrt(self.second)
        torch._foreach_div_(scale, two**0.5)
        torch._foreach_add_(scale, 1e-8)
        for p, m, s in zip(self.parameters, self.first, scale, strict=True):
            lr = self.lr.view(-1, *[1] * (p.ndim - 1))
            # decoupled weight decay: theta <- (1 - lr lambda) theta   (Loshchilov & Hutter 2019, algorithm 2)
            if self.decay:
                p.mul_(1 - lr * self.decay)
            p.sub_(m / s * (lr / one))


class EarlyStopping:
    """The best state of each copy, and its learning rate, which falls where validation stops improving."""

    def __init__(self, copies: int, training: Training, device: torch.device) -> None:
        self.training = training
        self.best = torch.full((copies,), torch.inf, dtype=torch.float64, device=device)
        self.since = torch.zeros(copies, dtype=torch.long, device=device)
        self.flat = torch.zeros_like(self.since)
        self.states: list[dict[str, Tensor]] = [{} for _ in range(copies)]

    def update(self, losses: Tensor, network: Copies, lr: Tensor) -> bool:
        """Add the validation losses (copies,) of an epoch; return whether training continues."""
        active = self.since <= self.training.patience
        better = (losses < self.best * (1 - 1e-4)) & active
        if better.any():
            now = network.states()
            for i in better.nonzero()[:, 0].tolist():
                self.states[i] = now[i]
        self.best = torch.where(better, losses, self.best)
        self.since = torch.where(better, 0, self.since + 1)
        self.flat = torch.where(better, 0, self.flat + 1)
        drop = self.flat > self.training.plateau
        lr[drop] *= 0.1
        self.flat[drop] = 0
        return bool((self.since <= self.training.patience).any())


def train_copies(
    networks: list[TabularNet],
    train: list[tuple[Tensor, Tensor]],
    val: list[tuple[Tensor, Tensor]],
    training: Training,
    seeds: list[int],
) -> list[TabularNet]:
    """Train each network on its own (x, y), all of one size; return them in eval mode, best weights loaded.

    Networks and rows are on one device, and so are the results. The order of rows depends on (seed, epoch)
    alone, dropout on the first seed.
    """
    copies, x, y = Copies(networks), torch.stack([x for x, _ in train]), torch.stack([y for _, y in train])
    unseen, labels = torch.stack([x for x, _ in val]), torch.stack([y for _, y in val])
    parameters = list(copies.weights.values())
    lr = torch.full((len(networks),), training.lr, device=x.device)
    optimizer = Adam([p.detach() for p in parameters], lr, training.weight_decay)
    stopping = EarlyStopping(len(networks), training, x.device)
    members = torch.arange(len(networks), device=x.device)[:, None]
    with seeded(seeds[0], "dropout", device=x.device):
        for epoch in range(training.max_epochs):
            copies.train()
            for rows in epoch_rows(seeds, epoch, x.shape[1], training.batch_size):
                rows = rows.to(x.device)
                value = loss(copies(x[members, rows]), y[members, rows])
                optimizer.step(torch.autograd.grad(value, parameters))
            copies.eval()
            with torch.no_grad():
                logits = copies(unseen)
            if not stopping.update(regret(logits, labels, training.monitor), copies, lr):
                break
    for network, state in zip(networks, stopping.states, strict=True):
        network.load_state_dict(state)
    return [network.eval() for network in networks]


def regret(logits: Tensor, y: Tensor, monitor: str) -> Tensor:
    """Return the monitored quantity (copies,) of logits (copies, n); lower is better."""
    if monitor == "loss":
        each = nn.functional.binary_cross_entropy_with_logits(logits, y.float(), reduction="none")
        return each.mean(1)
    return 1 - torch.stack([area_under_curve(s, t) for s, t in zip(logits, y, strict=True)])


def area_under_curve(scores: Tensor, y: Tensor) -> Tensor:
    """Return the probability that a positive scores above a negative, ties counting half."""
    # AUC = (sum of the positives' ranks - n1 (n1 + 1) / 2) / (n1 n0)   (Hanley & McNeil 1982)
    values, place, sizes = torch.unique(scores, return_inverse=True, return_counts=True)
    ranks = (sizes.cumsum(0) - (sizes - 1) / 2)[place].double()
    positive = y == 1
    n1, n0 = positive.sum(), (~positive).sum()
    return (ranks[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)


def epoch_rows(seeds: list[int], epoch: int, n: int, batch_size: int) -> list[Tensor]:
    """Return the rows of each batch of an epoch, (copies, B) each; a last batch of one row is left out."""
    orders = [torch.randperm(n, generator=torch_generator(seed, "order", epoch)) for seed in seeds]
    batches = torch.stack(orders).split(batch_size, dim=1)
    return [rows for rows in batches if rows.shape[1] > 1]


def logistic_auc(x: Tensor, y: Tensor, unseen: Tensor, labels: Tensor) -> float:
    """Return the test AUC of a logistic regression (C = 0.01), a baseline for the networks."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=0.01, max_iter=300).fit(x.cpu().numpy(), y.cpu().numpy())
    scores = torch.as_tensor(model.decision_function(unseen.cpu().numpy()))
    return float(area_under_curve(scores, labels.cpu()))
