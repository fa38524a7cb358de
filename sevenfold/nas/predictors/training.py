"""Training of predictors, for the plain loop here and for the Lightning module."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sevenfold.nas.predictors.base import Predictor
from sevenfold.ranges import Count, Finite, LearningRate, NonNegative, Positive, ShareBelowOne
from sevenfold.seeding import torch_generator


@dataclass(frozen=True)
class Training:
    """Training of predictors with Adam; the defaults are those of BANANAS' perceptron.

    Args:
        epochs: passes over the training cells; a Lightning trainer counts its own instead.
        batch_size: cells in a batch; a Lightning data module has its own instead.
        lr: learning rate of the first epoch.
        beta2: decay of Adam's second moment.
        eps: constant in the denominator of Adam's step.
        weight_decay: weight of the L2 penalty that Adam adds to the gradient.
        loss: ``mae``, mean absolute error; ``mse``, mean squared error; ``mape``, mean relative error of what
            lies above ``lower_bound``.
        lower_bound: lower bound of the targets in ``mape``, in their unit.
        standardize: take the loss in units of the targets' standard deviation, and start at their mean.
        cosine: let the learning rate fall to zero along a cosine over the epochs.
        l1: weight of the L1 norm of the output layer's weights in the loss.
    """

    epochs: Count = 150
    batch_size: Count = 32
    lr: LearningRate = 0.01
    beta2: ShareBelowOne = 0.99
    eps: Positive = 1e-7
    weight_decay: NonNegative = 0.0
    loss: Literal["mae", "mse", "mape"] = "mae"
    lower_bound: Finite = 0.0
    standardize: bool = False
    cosine: bool = False
    l1: NonNegative = 0.0


def initial_generators(seeds: Sequence[int], *, members: int) -> list[torch.Generator]:
    """Return the generators of initial weights for copies in order of seed, then of ensemble member."""
    return [torch_generator(seed, "predictor", member) for seed in seeds for member in range(members)]


def draw_order(seeds: Sequence[int], epoch: int, n: int, *, members: int) -> Tensor:
    """Return the order of training cells in an epoch, (copies, n): every copy has its own."""
    generators = [torch_generator(seed, "predictor order", epoch) for seed in seeds]
    return torch.cat([torch.rand(members, n, generator=generator) for generator in generators]).argsort(1)


def objective(predictor: Predictor, x: Tensor, targets: Tensor, training: Training) -> Tensor:
    """Return the sum over copies of their mean losses, so that copies do not touch each other's gradients."""
    if training.loss == "mape":
        # | (prediction - bound) / (target - bound) - 1 |: errors on the best cells weigh most (BANANAS).
        loss = ((predictor(x) - training.lower_bound) / (targets - training.lower_bound) - 1).abs()
    else:
        # In standardized units, so that one learning rate suits every table.
        error = (predictor(x) - targets) / predictor.scale
        loss = error.abs() if training.loss == "mae" else error.square()
    total = loss.mean(1).sum()
    return total + training.l1 * predictor.last().abs().sum() if training.l1 else total


def make_optimizer(parameters: Iterable[nn.Parameter], training: Training) -> torch.optim.Adam:
    """Return Adam over the parameters of all copies."""
    return torch.optim.Adam(
        parameters,
        lr=training.lr,
        betas=(0.9, training.beta2),
        eps=training.eps,
        weight_decay=training.weight_decay,
        fused=True,
    )


def flatten(predictor: Predictor) -> nn.Parameter:
    """Lay all parameters side by side in one, their gradients in its gradient, and return that one.

    An optimizer then has one tensor to step through: with networks this small the number of tensors is what
    a step costs.
    """
    parameters = list(predictor.parameters())
    flat = nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))
    flat.grad = torch.zeros_like(flat)
    sizes = [p.numel() for p in parameters]
    for p, data, grad in zip(parameters, flat.data.split(sizes), flat.grad.split(sizes), strict=True):
        # Views: a step on the flat parameter changes all of them.
        p.data, p.grad = data.view_as(p), grad.view_as(p)
    return flat


def rate_factor(epoch: int, epochs: int, training: Training) -> float:
    """Return the factor on the rate in an epoch that counts from 0."""
    return (1 + math.cos(math.pi * epoch / epochs)) / 2 if training.cosine else 1.0


def fit(
    predictor: Predictor,
    x: Tensor,
    targets: Tensor,
    *,
    training: Training,
    seeds: Sequence[int],
    members: int = 1,
) -> None:
    """Train all copies from fresh weights on encodings (seeds, n, d) and targets (seeds, n).

    Copy s * members + m is member m of the ensemble of ``seeds[s]``.
    """
    predictor.initialize(initial_generators(seeds, members=members))
    x, targets = (part.repeat_interleave(members, dim=0) for part in (x, targets))
    if training.standardize:
        predictor.standardize(targets)
    flat = flatten(predictor)
    optimizer = make_optimizer([flat], training)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda epoch: rate_factor(epoch, training.epochs, training)
    )
    copy = torch.arange(len(x))[:, None]
    predictor.train()
    for epoch in range(training.epochs):
        order = draw_order(seeds, epoch, x.shape[1], members=members)
        shuffled = [part[copy, order].split(training.batch_size, dim=1) for part in (x, targets)]
        for inputs, wanted in zip(*shuffled, strict=True):
            # None would cut the views of the gradients from the flat one.
            optimizer.zero_grad(set_to_none=False)
            objective(predictor, inputs, wanted, training).backward()
            optimizer.step()
        schedule.step()
    predictor.eval()


def predict(predictor: Predictor, x: Tensor, *, members: int = 1) -> Tensor:
    """Return ensemble means (seeds, n) for encodings (n, d), the same for all, or (seeds, n, d)."""
    return predict_members(predictor, x, members=members).mean(1)


@torch.no_grad()
def predict_members(predictor: Predictor, x: Tensor, *, members: int = 1) -> Tensor:
    """Return what each member predicts, (seeds, members, n), for encodings as in :func:`predict`."""
    if x.dim() == 2:
        x = x.expand(predictor.copies // members, *x.shape)
    predictions = predictor(x.repeat_interleave(members, dim=0))
    return predictions.view(-1, members, predictions.shape[1])
