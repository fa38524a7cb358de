"""Train many cells at once on digits, each exactly as it would be alone, and log its learning curves."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sevenfold.nas.digits.images import Images, load_images
from sevenfold.nas.digits.network import Networks, live_ops
from sevenfold.nas.spaces.base import Ints
from sevenfold.ranges import Count, LearningRate, NonNegative, ShareBelowOne, Size
from sevenfold.seeding import stream_seed

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Recipe:
    """Training of a cell: SGD with Nesterov momentum, the rate following a cosine to zero over all steps.

    Args:
        channels: channels of every layer.
        epochs: passes over the training images.
        batch_size: images in a batch.
        lr: learning rate of the first step.
        momentum: Nesterov momentum.
        weight_decay: weight of the L2 penalty that SGD adds to the gradient.
        evaluation: images evaluated at a time; results do not depend on it beyond rounding.
    """

    channels: Size = 8
    epochs: Count = 20
    batch_size: Count = 32
    lr: LearningRate = 0.05
    momentum: ShareBelowOne = 0.9
    weight_decay: NonNegative = 5e-4
    evaluation: Count = 32


def train_cells(
    archs: Ints, seeds: Ints, *, recipe: Recipe
) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Train cells ``archs`` (M, 6) with ``seeds`` (M,); return (correct, loss), both (M, epochs, 3).

    The last axis is train, val, test. ``correct`` counts images, ``loss`` is the mean cross-entropy; on train
    both are what the batches of the epoch gave while training. Every network draws its weights and the order
    of its images from separate streams, named by its live operations and its seed.
    """
    images = load_images()
    names = ["".join(map(str, row)) for row in live_ops(archs).tolist()]
    networks = Networks(archs, channels=recipe.channels)
    generators = [
        torch.Generator().manual_seed(stream_seed(int(seed), "digits-nb201", name))
        for seed, name in zip(seeds, names, strict=True)
    ]
    networks.initialize(generators)
    n, m = len(images["train"].labels), len(names)
    batches = math.ceil(n / recipe.batch_size)
    optimizer = torch.optim.SGD(
        networks.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: (1 + math.cos(math.pi * step / (recipe.epochs * batches))) / 2
    )
    correct = np.zeros((m, recipe.epochs, 3), np.uint16)
    loss = np.zeros((m, recipe.epochs, 3), np.float32)
    for epoch in range(recipe.epochs):
        # Every network has its own order, as if it were trained alone.
        orders = torch.stack([torch.randperm(n, generator=generator) for generator in generators])
        networks.train()
        right, total = torch.zeros(m), torch.zeros(m)
        for rows in orders.split(recipe.batch_size, dim=1):
            patches, labels = take(images["train"], rows)
            logits = networks(patches)
            losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(m, -1)
            optimizer.zero_grad()
            # The sum over networks gives each the gradient of its own mean, for they share no weight.
            losses.mean(1).sum().backward()
            optimizer.step()
            schedule.step()
            total += losses.detach().sum(1)
            right += (logits.detach().argmax(2) == labels).sum(1)
        correct[:, epoch, 0], loss[:, epoch, 0] = right, total / n
        for place, name in enumerate(SPLITS[1:], 1):
            correct[:, epoch, place], loss[:, epoch, place] = evaluate(
                networks, images[name], recipe.evaluation
            )
    return correct, loss


def take(images: Images, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return a batch for every network, by image numbers ``rows`` (M, B): (M, 4, 16, B) and (M, B)."""
    # One gather for all networks; the images are stored with their number last.
    chosen = images.patches.flatten(0, 1).index_select(1, rows.flatten())
    return chosen.view(4, 16, *rows.shape).permute(2, 0, 1, 3).contiguous(), images.labels[rows]


@torch.inference_mode()
def evaluate(networks: Networks, images: Images, size: int) -> tuple[Tensor, Tensor]:
    """Return how many images each network gets right and its mean loss, both (M,)."""
    networks.eval()
    m = len(networks.head)
    right, total = torch.zeros(m), torch.zeros(m)
    for patches, labels in zip(images.patches.split(size, dim=2), images.labels.split(size), strict=True):
        logits = networks(patches.expand(m, *patches.shape))
        labels = labels.expand(m, -1)
        right += (logits.argmax(2) == labels).sum(1)
        total += F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(m, -1).sum(1)
    return right, total / len(images.labels)
