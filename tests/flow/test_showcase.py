"""The clip of the first picture: its truth, its errors, its files."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import nn

from sevenfold.flow.deq_flow import DEQFlow
from sevenfold.flow.headline import flow_headline
from sevenfold.flow.showcase import draw_showcase, showcase_clip
from sevenfold.flow.warp import warp


def test_the_truth_pulls_each_frame_onto_the_one_before() -> None:
    clip = showcase_clip()
    pulled, inside = warp(clip.frames[1:], clip.flow)
    still, moved = (
        (each - clip.frames[:-1]).abs().mean(1)[inside & clip.valid].median()
        for each in (clip.frames[1:], pulled)
    )
    # What is hidden differs all the same, and a camera has noise: a median.
    assert moved < 0.4 * still


@pytest.mark.slow
def test_the_picture_the_video_and_the_errors(tmp_path: Path) -> None:
    network = DEQFlow(variant="demo")
    module = nn.Module()
    module.network, module.evaluation = network, SimpleNamespace(iterations=2)  # type: ignore[assignment]
    errors = draw_showcase(module, tmp_path)
    clip = showcase_clip()
    zero = torch.stack([f.norm(dim=0)[ok].mean() for f, ok in zip(clip.flow, clip.valid, strict=True)]).mean()
    assert errors["showcase/zero_flow_epe"] == pytest.approx(float(zero), rel=1e-5)
    assert errors["showcase/shipped_epe"] < 0.2 * errors["showcase/zero_flow_epe"]  # recorded: .35 of 4.85 px
    with Image.open(tmp_path / "images/first.png") as picture:
        assert picture.width <= 1600 and len(list(tmp_path.glob("flow.*"))) == 1
    assert "the shipped model" in flow_headline({"test/synthetic/epe": 1.0, **errors}, {})[1][-1]


def test_a_module_without_a_network_of_flow_draws_nothing(tmp_path: Path) -> None:
    assert draw_showcase(nn.Linear(1, 1), tmp_path) == {} and not list(tmp_path.iterdir())
