"""Pictures of volumes: views and depth maps, turntables, meshes of the first samples of every arm."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sevenfold.diffreps.exports.mesh import mesh_of, write_ply
from sevenfold.diffreps.exports.pictures import contact_sheet, save_gif, save_png, shade
from sevenfold.diffreps.representations.volume import Nerf, Volume
from sevenfold.diffreps.studies.sampling_study import chunk_file
from sevenfold.diffreps.worlds.depth_maps import depths, render_views
from sevenfold.errors import InputError

COLUMNS = 8


def draw_all(volumes: Mapping[str, Volume], folder: Path, shown: int, frames: int) -> list[Path]:
    """Draw the first samples of every arm's first seed, if the run folder has them; return the files."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    sheets, turntables = [], []
    for label, volume in volumes.items():
        path = chunk_file(folder, f"{label}/seed0", 0)
        if path.is_file():
            theta = torch.load(path, weights_only=True)["theta"][:shown].float()
            sheets.append(folder / f"images/views_{label}.png")
            turntables.append(folder / f"images/turn_{label}.gif")
            draw(volume, theta, frames, sheets[-1], turntables[-1])
            if isinstance(volume, Nerf):
                export_meshes(volume, theta, folder / "meshes", label)
    return sheets + turntables


def draw(volume: Volume, theta: Tensor, frames: int, sheet: Path, turntable: Path) -> None:
    """Draw samples (B, p) in views all around: a sheet of views, with depth maps if any, and an animation."""
    around = volume.views(frames, torch.Generator())
    turns = render_views(volume, theta, around)  # (B, frames, C, H, W)
    save_gif(turntable, [row_of(frame) for frame in turns.unbind(1)])
    places = slice(0, frames, max(1, frames // COLUMNS))
    rows = [turns[:, places].flatten(0, 1)]
    if isinstance(volume, Nerf):
        depth, opacity = depths(volume, theta, around[places])
        rows.append(shade(depth, opacity).flatten(0, 1))
    columns = turns[:, places].shape[1]
    save_png(sheet, torch.cat([contact_sheet(part, columns) for part in rows], 1))


def export_meshes(volume: Nerf, theta: Tensor, folder: Path, label: str) -> None:
    """Write the surface of every sample that has one."""
    folder.mkdir(exist_ok=True)
    for number, params in enumerate(theta):
        try:
            write_ply(folder / f"{label}_{number}.ply", mesh_of(volume, params))
        except InputError:  # nothing in it is dense
            continue


def row_of(images: Tensor) -> Tensor:
    """Return images (B, C, H, W) side by side."""
    return contact_sheet(images, len(images))
