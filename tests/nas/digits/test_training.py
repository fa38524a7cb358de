"""Learning curves do not depend on who trains beside whom."""

import numpy as np
import pytest
import torch
from nas.digits.reference import Plain, drawn
from sklearn.datasets import load_digits
from torch.nn import functional as F

from sevenfold.nas.digits.cost import count_cost
from sevenfold.nas.digits.images import SIZES, load_images, split_indices
from sevenfold.nas.digits.network import Networks, live_ops
from sevenfold.nas.digits.training import Recipe, train_cells
from sevenfold.seeding import numpy_generator, stream_seed

ARCHS = numpy_generator(0, "training").integers(5, size=(5, 6))
SHORT = Recipe(channels=4, epochs=2, batch_size=64)
"""Twenty steps: as few as one epoch of the recipe, in which rounding grows to 1e-5 of the loss (the tests of
the embedded table say more), so that 1e-3 and the 3 images whose logits are that close bound it anywhere.
"""
IMAGES = 3


def test_splits_are_stratified_and_cover_all_images() -> None:
    parts, labels = split_indices(), load_digits().target
    assert {name: len(rows) for name, rows in parts.items()} == SIZES
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(1797))
    for rows in parts.values():
        counts = np.bincount(labels[rows])
        assert np.abs(counts / len(rows) - np.bincount(labels) / 1797).max() < 0.002
    train = load_images()["train"].patches
    assert train.mean().abs() < 1e-5 and train.std().item() == pytest.approx(1, abs=1e-4)


def test_curves_do_not_depend_on_the_stack() -> None:
    archs, seeds = np.repeat(ARCHS, 2, 0), np.tile([0, 1], 5)
    correct, loss = train_cells(archs, seeds, recipe=SHORT)
    assert correct.shape == loss.shape == (10, 2, 3)
    alone, own = train_cells(archs[5:6], seeds[5:6], recipe=SHORT)
    np.testing.assert_allclose(own[0], loss[5], rtol=1e-3)
    assert np.abs(alone[0].astype(int) - correct[5]).max() <= IMAGES
    assert not np.allclose(loss[4], loss[5], rtol=1e-3)  # another seed is another run


def test_curves_are_those_of_an_ordinary_training_loop() -> None:
    arch, images = np.array([[3, 2, 4, 1, 3, 2]]), load_images()
    correct, loss = train_cells(arch, np.array([7]), recipe=SHORT)
    generator = torch.Generator().manual_seed(
        stream_seed(7, "digits-nb201", "".join(map(str, live_ops(arch)[0])))
    )
    start = Networks(arch, channels=4)
    start.initialize([generator])
    network = Plain(arch[0].tolist(), 4)
    for weight, own in zip(network.weights(), drawn(start, 0), strict=True):
        weight.data.copy_(own.view_as(weight))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2 * 10)
    pictures = {name: _pictures(name) for name in SIZES}
    for epoch in range(2):
        network.train()
        total = right = 0.0
        for rows in torch.randperm(600, generator=generator).split(64):
            logits = network(pictures["train"][rows])
            value = F.cross_entropy(logits, labels := images["train"].labels[rows])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            total, right = total + value.item() * len(rows), right + (logits.argmax(1) == labels).sum().item()
        network.eval()
        assert loss[0, epoch, 0] == pytest.approx(total / 600, rel=1e-3)
        assert abs(int(correct[0, epoch, 0]) - right) <= IMAGES
        for place, name in ((1, "val"), (2, "test")):
            with torch.no_grad():
                logits = network(pictures[name])
            expected = F.cross_entropy(logits, images[name].labels).item()
            assert loss[0, epoch, place] == pytest.approx(expected, rel=1e-3)
            assert (
                abs(int(correct[0, epoch, place]) - (logits.argmax(1) == images[name].labels).sum()) <= IMAGES
            )


def _pictures(name: str) -> torch.Tensor:
    images, rows = load_digits().images, split_indices()
    pixels = images[rows["train"]]
    return torch.as_tensor((images[rows[name]] - pixels.mean()) / pixels.std()).float()[:, None]


def test_parameters_are_counted_as_the_library_counts_them() -> None:
    archs = live_ops(ARCHS)
    cost = count_cost(archs, channels=8)
    for arch, params in zip(archs, cost.params, strict=True):
        assert params == sum(p.numel() for p in Plain(arch.tolist(), 8).parameters())
    one = count_cost(np.array([[0, 0, 0, 2, 0, 0], [0, 0, 0, 3, 0, 0]]), channels=8)
    assert one.flops[1] - one.flops[0] == 16 * 2 * 8 * 8 * 8  # eight more taps
    np.testing.assert_allclose(one.seconds, 3 * 600 * one.flops / 1e9, rtol=1e-6)
