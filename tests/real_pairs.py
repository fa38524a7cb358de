"""The shared real pairs and the official RAFT-small weights, for tests that skip where they are absent."""

from pathlib import Path

import pytest
import torch

from sevenfold.flow.formats import read_flow, read_image

DATA = Path(__file__).resolve().parents[2] / "shared/data/flow"
WEIGHTS = DATA / "checkpoints/raft-small.pth"
SINTEL = DATA / "sintel/training"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared real pairs are not here")

FILES = {
    "rubberwhale": ("middlebury/RubberWhale/frame10.png", "frame11.png", "flow10.flo"),
    "venus": ("middlebury/Venus/frame10.png", "frame11.png", "flow10.flo"),
    "chairs0": ("flyingchairs/0000000-img0.ppm", "0000000-img1.ppm", "0000000-gt.flo"),
    "chairs1": ("flyingchairs/0000001-img0.ppm", "0000001-img1.ppm", "0000001-gt.flo"),
}


def paths(name: str) -> tuple[Path, Path, Path]:
    """Return first picture, second picture and truth; Sintel's are called clean/SCENE or final/SCENE."""
    if name in FILES:
        first, second, truth = FILES[name]
        folder = (DATA / first).parent
        return DATA / first, folder / second, folder / truth
    kind, scene = name.split("/")
    folder = SINTEL / kind / scene
    return folder / "frame_0002.png", folder / "frame_0003.png", SINTEL / "flow" / scene / "frame_0002.flo"


def pair(name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return pictures (3, H, W), flow (2, H, W) and validity (H, W)."""
    first, second, truth = paths(name)
    flow, valid = read_flow(truth)
    return read_image(first), read_image(second), flow, valid
