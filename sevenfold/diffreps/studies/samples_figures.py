"""Pictures of a study of samples: contact sheet, plane, residuals, animations."""

from pathlib import Path

import torch

from sevenfold.diffreps.pictures import animation, contact_sheet, curves, plane
from sevenfold.diffreps.studies.samples_summary import REAL, Summary


def draw_all(summary: Summary, folder: Path, shown: int) -> list[Path]:
    """Draw all pictures of the samples in a run folder; return the files, the most informative first."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    if not summary.groups:
        return []
    bounds = next(iter(summary.groups.values()))["range"] or (-1.0, 1.0)
    contact, residuals, in_plane = (images / f"{name}.png" for name in ("contact", "curves", "plane"))
    _plane(summary, folder / "samples/plane.pt", in_plane)
    sheet = {} if summary.real is None else {REAL: summary.real["images"][:shown]}
    sheet |= {group: samples["pictures"][:shown] for group, samples in summary.groups.items()}
    contact_sheet(sheet, bounds, contact)
    curves({group: samples["trace"] for group, samples in summary.groups.items()}, residuals)
    animations = []
    for group, samples in summary.groups.items():
        if samples["frames"] is not None:
            animations.append(images / f"{group.replace('/', '--')}.gif")
            animation(samples["frames"], bounds, animations[-1])
    return [path for path in (in_plane, contact, residuals, *animations) if path.is_file()]


def _plane(summary: Summary, artefact: Path, path: Path) -> None:
    """Draw the curve in the plane, if the run saved one."""
    if artefact.is_file():
        groups = {group: samples for group, samples in summary.groups.items() if samples["theta"].ndim == 2}
        theta = {group: samples["theta"] for group, samples in groups.items()}
        points = {group: samples["images"][:, 0].flatten(1) for group, samples in groups.items()}
        plane(torch.load(artefact, weights_only=True), theta, points, path)
