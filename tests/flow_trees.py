"""Tiny trees of the public flow data sets, laid out as their readers want them."""

from pathlib import Path

import torch

from sevenfold.flow.formats import write_flow, write_image
from sevenfold.seeding import torch_generator

SIZE = (40, 56)
HD1K, THINGS = "hd1k/hd1k_input/image_2", "FlyingThings3D"


def picture(path: Path, size: tuple[int, int] = SIZE) -> None:
    stream = torch_generator(0, str(path.name), path.parent.name)
    write_image(path, (255 * torch.rand(3, *size, generator=stream)).to(torch.uint8))


def flow(path: Path, u: float, valid: float = 1.0, size: tuple[int, int] = SIZE) -> None:
    field = torch.tensor([u, 1.0])[:, None, None].expand(2, *size).clone()
    write_flow(path, field, torch.rand(size, generator=torch_generator(1, path.name)) < valid)


def chairs(root: Path, count: int = 3) -> None:
    """Pair i has u = i; the last one is for validation."""
    folder = root / "FlyingChairs"
    for i in range(count):
        for k in (1, 2):
            picture(folder / f"data/{i:05d}_img{k}.ppm")
        flow(folder / f"data/{i:05d}_flow.flo", u=i)
    split = "".join("1\n" if i < count - 1 else "2\n" for i in range(count))
    (folder / "FlyingChairs_train_val.txt").write_text(split)


def things(root: Path) -> None:
    """Two frames of one scene: u = 6 from frame 6 on, and u = -7 back from frame 7."""
    folder = root / THINGS
    for render in ("clean", "final"):
        for number in (6, 7):
            picture(folder / f"frames_{render}pass/TRAIN/A/0000/left/{number:04d}.png")
    for number in (6, 7):
        for direction, name, sign in (("into_future", "Future", 1), ("into_past", "Past", -1)):
            path = (
                folder
                / f"optical_flow/TRAIN/A/0000/{direction}/left/OpticalFlowInto{name}_{number:04d}_L.pfm"
            )
            flow(path, u=sign * number)


def sintel(root: Path, scenes: tuple[str, ...] = ("alley_1", "cave_2"), frames: int = 3) -> None:
    """The flow of frame i has u = 10 i."""
    folder = root / "Sintel"
    for scene in scenes:
        for i in range(1, frames + 1):
            for split in ("training", "test"):
                for render in ("clean", "final"):
                    picture(folder / f"{split}/{render}/{scene}/frame_{i:04d}.png")
            if i < frames:
                flow(folder / f"training/flow/{scene}/frame_{i:04d}.flo", u=10 * i)


def kitti(root: Path, count: int = 2) -> None:
    """Sparse flow; pair i has u = 4 i."""
    for i in range(count):
        for split in ("training", "testing"):
            for k in (10, 11):
                picture(root / f"KittiFlow/{split}/image_2/{i:06d}_{k}.png")
        flow(root / f"KittiFlow/training/flow_occ/{i:06d}_10.png", u=4 * i, valid=0.2 + 0.3 * i)


def hd1k(root: Path) -> None:
    """Two sequences of two frames."""
    for sequence in (0, 1):
        for frame in (10, 11):
            picture(root / f"{HD1K}/{sequence:06d}_{frame:04d}.png")
            flow(root / f"hd1k/hd1k_flow_gt/flow_occ/{sequence:06d}_{frame:04d}.png", u=frame, valid=0.5)


def every_set(root: Path) -> Path:
    """Write all of them."""
    for write in (chairs, things, sintel, kitti, hd1k):
        write(root)
    return root
