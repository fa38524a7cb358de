"""What volumes came to: a table over arms, turning pictures and depth maps."""

import json
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.records import RecordsWriter, records_folder
from sevenfold.diffreps.exports.mesh import mesh_of, write_ply
from sevenfold.diffreps.exports.pictures import contact_sheet, save_gif, save_png, shade
from sevenfold.diffreps.representations.volume import Nerf
from sevenfold.diffreps.worlds.judge import Judge
from sevenfold.diffreps.worlds.looks import depths, seen
from sevenfold.errors import InputError
from sevenfold.files import write_text
from sevenfold.records import summarize
from sevenfold.report import aligned, page, read_pictures

SHOWN = (
    "calls", "nearest", "joint", "agreement", "diversity", "energy", "janus", "depth_agreement", "seconds",
)  # fmt: skip
EXPLAINED = [
    "Held-out views, which no camera of the samplers has. nearest: RMSE to the nearest known scene, view by "
    "view; joint: to one scene in all; agreement: share of views with the same nearest scene; diversity: "
    "distance between samples relative to real scenes; energy: distance of laws to real ones, 0 is equal; "
    "janus: share of samples whose back looks like a front. Nearness must not be read without diversity: "
    "collapse is rewarded by it. Means over seeds, the standard deviation over seeds in brackets."
]


class VolumeReport(RecordsWriter):
    """Write records, ``table.txt``, ``report.html``; turntables, depth maps, meshes of first samples.

    ``samples``: how many are shown; ``frames``: views of a turntable.
    """

    def __init__(self, *, samples: int = 4, frames: int = 24) -> None:
        super().__init__()
        self.samples, self.frames = samples, frames
        self.real: dict[str, float] = {}

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Merge the records; write everything on rank zero."""
        super().on_predict_end(trainer, pl_module)
        if not trainer.is_global_zero or not self._records:
            return
        folder, data = records_folder(trainer).parent, trainer.datamodule
        self.real = Judge(data.world).real()
        rows = table(self._records, self.real, list(data.arms))
        section = {"title": "Volumes", "text": EXPLAINED, "rows": rows}
        write_text(folder / "sections.json", json.dumps([section], indent=1) + "\n")
        write_text(folder / "table.txt", aligned(rows) + "\n")
        with torch.inference_mode(False), torch.no_grad():
            for trial in data.trials:
                self._draw(trial, folder)
        write_text(folder / "report.html", page("Volumes", [section], pictures=read_pictures(folder)))
        trainer.print(f"\n{aligned(rows)}\n\nto read: {folder / 'report.html'}")

    def _draw(self, trial: Any, folder: Path) -> None:
        path, volume = folder / "samples" / trial.file, trial.setting.representation
        if trial.label != "seed0" or not path.is_file():
            return
        theta = torch.load(path, weights_only=True)["theta"][: self.samples].float()
        images = folder / "images"
        images.mkdir(exist_ok=True)
        around = volume.views(self.frames, torch.Generator())
        turns = seen(volume, theta, around)  # (B, frames, C, H, W)
        save_gif(images / f"turn_{trial.setting.label}.gif", [row_of(frame) for frame in turns.unbind(1)])
        if isinstance(volume, Nerf):
            export_meshes(volume, theta, folder / "meshes", trial.setting.label)
        chosen = slice(0, self.frames, max(1, self.frames // 8))
        rows = [turns[:, chosen].flatten(0, 1)]
        if isinstance(volume, Nerf):
            depth, opacity = depths(volume, theta, around[chosen])
            rows.append(shade(depth, opacity).flatten(0, 1))
        columns = turns[:, chosen].shape[1]
        sheet = torch.cat([contact_sheet(part, columns) for part in rows], 1)
        save_png(images / f"views_{trial.setting.label}.png", sheet)

    def results(self) -> dict[str, Any]:
        """Return means over seeds, but for times, which are in the table; real scenes as a reference."""
        real = {f"reference/real/{name}": value for name, value in self.real.items()}
        kept = {name: v for name, v in super().results().items() if name.split("/")[-2] != "seconds"}
        return kept | real


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


def table(records: list[dict[str, Any]], real: dict[str, float], arms: list[str]) -> list[list[str]]:
    """Return one row an arm, the bar of real scenes last."""
    found = summarize(records)

    def cell(arm: str, name: str) -> str:
        mean, deviation = (found.get(f"{arm}/{name}/{part}") for part in ("mean", "std"))
        return "-" if mean is None else f"{mean:.3g}" + (f" ({deviation:.2g})" if deviation else "")

    rows = [[arm, *(cell(arm, name) for name in SHOWN)] for arm in arms]
    bar = [f"{real[name]:.3g}" if name in real else "-" for name in SHOWN]
    return [["arm", *SHOWN], *rows, ["real scenes", *bar]]
