"""A stack of networks is the same as ordinary networks, one by one."""

import numpy as np
import pytest
import torch
from nas.digits.reference import Plain, drawn
from torch.nn import functional as F

from sevenfold.nas.digits.images import Images, load_images, split_indices
from sevenfold.nas.digits.network import Networks, live_ops
from sevenfold.nas.digits.training import take
from sevenfold.nas.spaces.nb201_keys import EDGES, OPS, official_order
from sevenfold.seeding import numpy_generator, torch_generator

CHANNELS = 5
ARCHS = np.concatenate(
    [
        np.array([[3, 3, 3, 3, 3, 3], [0, 0, 0, 0, 0, 0], [0, 2, 3, 0, 3, 1], [1, 1, 1, 1, 1, 1], [4] * 6]),
        numpy_generator(0, "archs").integers(5, size=(7, 6)),
    ]
)


def doubles(images: Images) -> Images:
    return Images(images.patches.double(), images.labels)


def plain_images(rows: torch.Tensor) -> torch.Tensor:
    """Return train images (B, 1, 8, 8) standardized anew from the library's data."""
    from sklearn.datasets import load_digits

    images = load_digits().images[split_indices()["train"]]
    return torch.as_tensor((images - images.mean()) / images.std())[rows, None]


def stack(archs: np.ndarray) -> Networks:
    networks = Networks(archs, channels=CHANNELS)
    networks.initialize([torch_generator(1, "weights", m) for m in range(len(archs))])
    return networks.double()


def test_training_a_stack_equals_training_each_network_alone() -> None:
    networks, images = stack(ARCHS), doubles(load_images()["train"])
    plain = [Plain(arch.tolist(), CHANNELS).double() for arch in ARCHS]
    for m, network in enumerate(plain):
        network.take_weights(networks, m)
    options = {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}
    together = torch.optim.SGD(networks.parameters(), fused=True, **options)
    alone = [torch.optim.SGD(network.parameters(), **options) for network in plain]
    for step in range(6):
        rows = torch.stack(
            [torch.randperm(600, generator=torch_generator(2, m, step))[:9] for m in range(len(ARCHS))]
        )
        patches, labels = take(images, rows)
        losses = F.cross_entropy(networks(patches).flatten(0, 1), labels.flatten(), reduction="none")
        together.zero_grad()
        losses.view(len(ARCHS), -1).mean(1).sum().backward()
        together.step()
        for m, network in enumerate(plain):
            loss = F.cross_entropy(network(plain_images(rows[m])), images.labels[rows[m]])
            alone[m].zero_grad()
            loss.backward()
            alone[m].step()
            torch.testing.assert_close(losses.view(len(ARCHS), -1)[m].mean(), loss, rtol=0, atol=1e-5)
    rows = torch.arange(50)
    found = networks.eval()(images.patches[:, :, rows].expand(len(ARCHS), -1, -1, -1))
    for m, network in enumerate(plain):
        torch.testing.assert_close(found[m], network.eval()(plain_images(rows)), rtol=1e-5, atol=1e-5)
        for weight, own in zip(network.weights(), drawn(networks, m), strict=True):
            if weight.grad is not None:  # a stem that leads nowhere is let alone here and decays there
                torch.testing.assert_close(own.view_as(weight), weight, rtol=0, atol=1e-5)


def test_gradients_of_one_network_do_not_touch_another() -> None:
    networks, images = stack(ARCHS), doubles(load_images()["train"])
    patches, _ = take(images, torch.arange(8).expand(len(ARCHS), -1))
    networks(patches)[0].square().sum().backward()
    for weight, rows, owners in networks.filters():
        assert weight.grad is not None and not weight.grad[rows[owners != 0]].any()
    assert networks.head.grad is not None and networks.head.grad[0].any()


def test_edges_off_every_way_are_dead() -> None:
    rows = official_order()[0]
    live = live_ops(rows)
    for row, kept in zip(rows[::17], live[::17], strict=True):
        ways = [path for path in ((3,), (0, 4), (1, 5), (0, 2, 5)) if all(row[e] for e in path)]
        expected = [row[e] if any(e in path for path in ways) else 0 for e in range(len(EDGES))]
        assert kept.tolist() == expected
    assert OPS[0] == "none"


def test_initial_weights_depend_on_the_own_generator_only() -> None:
    networks, alone = stack(ARCHS), Networks(ARCHS[5:6], channels=CHANNELS)
    alone.initialize([torch_generator(1, "weights", 5)])
    for weight, own in zip(drawn(networks, 5), drawn(alone.double(), 0), strict=True):
        assert torch.equal(weight, own)
    wide = Networks(np.full((200, 6), 3), channels=8)
    wide.initialize([torch_generator(3, m) for m in range(200)])
    for weight in (wide.stem, wide.cell.levels[0].weight3, wide.cell.levels[2].weight3, wide.head):
        assert weight.std().item() == pytest.approx((2 / weight[0, 0].numel()) ** 0.5, rel=0.05)
