"""Landscapes, the network that learns them, and the processes of its training."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from sevenfold.diffreps.networks.small_unet import SmallUNet
from sevenfold.diffreps.noise_table import NoiseTable
from sevenfold.diffreps.priors.shipped import opened
from sevenfold.diffreps.scapes import KINDS, scapes
from sevenfold.diffreps.shipped.__main__ import losses, pack
from sevenfold.errors import InputError


def test_landscapes_are_colour_images_whose_first_do_not_depend_on_their_number() -> None:
    few, many = scapes(count=8), scapes(count=16)
    assert few.shape == (3, 32, 32) and few.range == (-1.0, 1.0)
    assert float(few.images.min()) >= -1 and float(few.images.max()) <= 1
    assert torch.equal(few.images, many.images[:8]) and many.labels.tolist() == [*range(8), *range(8)]
    assert not torch.equal(few.images, scapes(count=8, seed=1).images)
    assert few.images.flatten(1).std(1).min() > 0.05  # none is a plain surface


def test_a_wide_picture_closes_on_itself_and_looks_the_same_everywhere() -> None:
    wide = scapes(count=64, wide=3).images
    assert wide.shape == (64, 3, 32, 96)
    jumps = (wide - wide.roll(1, 3)).abs().mean((0, 1, 2))  # at place 0: from the last column to the first
    assert float(jumps[0]) <= 1.5 * float(jumps.median())
    # 64 pictures: the mean of a screen is off by a few hundredths, a sky that brightens sideways by more
    screens = wide.unflatten(3, (3, 32)).mean((0, 1, 2, 4))
    assert float(screens.max() - screens.min()) < 0.05
    cut = scapes(count=64).images
    assert float((cut.mean((0, 3)) - wide.mean((0, 3))).abs().max()) < 0.25


def test_kinds_have_the_light_that_their_names_say() -> None:
    pictures = scapes(count=128)
    light = {kind: pictures.images[pictures.labels == k].mean() for k, kind in enumerate(KINDS)}
    assert light["night"] < light["storm"] < light["noon"] < light["winter"]
    sea = pictures.images[pictures.labels == KINDS.index("sea")]
    assert bool((sea[:, 2, 24:].mean((1, 2)) > sea[:, 0, 24:].mean((1, 2)) + 0.2).all())  # blue water


def test_the_network_starts_at_zero_and_depends_on_time_and_class() -> None:
    network = SmallUNet(classes=8)
    assert sum(p.numel() for p in network.parameters()) == 1_384_668
    x, time = torch.randn(2, 3, 32, 32), torch.tensor([0.3, 0.3])
    assert not bool(network(x, time).any())
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.05)
    same, none = network(x, time, torch.tensor([-1, -1])), network(x, time)
    assert torch.equal(same, none)
    assert not torch.allclose(network(x, time, torch.tensor([1, 1])), none)
    assert not torch.allclose(network(x, time + 0.3), none)
    assert network(torch.randn(2, 3, 16, 24), time).shape == (2, 3, 16, 24)


def checkpoint(path: Path) -> nn.Module:
    network = SmallUNet(size=8, widths=(8, 8), classes=2)
    node = {"name": "small_unet", "size": 8, "widths": [8, 8], "classes": 2}
    facts = {"network": node, "table": vars(NoiseTable()), "process": "flow", "prediction": "flow",
             "shape": [3, 8, 8], "range": [-1.0, 1.0], "classes": 2}  # fmt: skip
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    path.parent.mkdir(parents=True)
    torch.save({"state_dict": state, "denoiser": facts, "global_step": 7, "averaging_state": {}}, path)
    return network


def test_a_checkpoint_is_packed_and_opened_again(tmp_path: Path) -> None:
    network = checkpoint(tmp_path / "run/checkpoints/last.ckpt")
    (tmp_path / "run/metrics.csv").write_text("step,train/loss,val/loss\n4,0.5,\n9,0.25,\n9,,0.3\n")
    card = pack(tmp_path / "run/checkpoints/last.ckpt", tmp_path / "out/tiny.pth")
    assert card["steps"] == 7 and card["weights"] == "average"
    assert json.loads((tmp_path / "out/tiny.json").read_text())["losses"] == {
        "train/loss": [[4.0, 0.5], [9.0, 0.25]],
        "val/loss": [[9.0, 0.3]],
    }
    prior = opened(tmp_path / "out/tiny.pth")
    assert prior.shape == (3, 8, 8) and prior.classes == 2 and prior.prediction == "flow"
    for name, value in prior.network.state_dict().items():
        assert torch.equal(value, network.state_dict()[name].half().float())
    (tmp_path / "out/tiny.pth").write_bytes(b"no")
    with pytest.raises(InputError, match="damaged"):
        opened(tmp_path / "out/tiny.pth")


def test_losses_are_thinned_to_stretches(tmp_path: Path) -> None:
    rows = [f"{step},{math.sqrt(step)}" for step in range(200)]
    (tmp_path / "metrics.csv").write_text("\n".join(["step,train/loss", *rows]) + "\n")
    points = losses(tmp_path)["train/loss"]
    assert len(points) == 50 and points[0] == [3.0, round((0 + 1 + math.sqrt(2) + math.sqrt(3)) / 4, 5)]
