"""Weights of a trained denoiser in half precision, and their card, as two files."""

import argparse
import csv
import hashlib
import io
import json
import sys
from pathlib import Path

import torch

from sevenfold.checkpoint import DESTINATIONS, Checkpoint, read_checkpoint
from sevenfold.errors import InputError
from sevenfold.files import replace_file, write_text

POINTS = 60


def pack(checkpoint: Path, path: Path) -> dict[str, object]:
    """Write ``path`` (.pth, tensors in half precision) and the card beside it (.json); return the card.

    With an average of weights (``callbacks.ema``) a checkpoint's network is the average. The card has what
    the prior needs, the run's configuration and its losses, from the tables of its folder.
    """
    content = read_checkpoint(checkpoint)
    if "denoiser" not in content:
        raise InputError(f"'{checkpoint}' is no checkpoint of denoiser_trainer")
    prefix = "network."
    state = {
        key.removeprefix(prefix): value.half() if value.is_floating_point() else value
        for key, value in content["state_dict"].items()
        if key.startswith(prefix)
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    config = {key: value for key, value in content.get("config", {}).items() if key not in DESTINATIONS}
    card = {
        "file": path.name,
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        "bytes": len(buffer.getvalue()),
        "parameters": sum(value.numel() for value in state.values()),
        "licence": "MIT, that of the project",
        "denoiser": content["denoiser"],
        "weights": "average" if averaged(content) else "last",
        "steps": content.get("global_step"),
        "config": config,
        "losses": losses(checkpoint.resolve().parent.parent),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
    write_text(path.with_suffix(".json"), json.dumps(card, indent=1))
    return card


def averaged(content: Checkpoint) -> bool:
    """Tell whether the weights of a checkpoint are an average."""
    return "averaging_state" in content or "current_model_state" in content


def losses(folder: Path) -> dict[str, list[list[float]]]:
    """Return the losses of the run of a folder by name, as (step, mean of the steps since the last point)."""
    curves: dict[str, list[list[float]]] = {}
    for table in sorted(folder.rglob("metrics.csv")):
        with table.open(newline="") as file:
            for row in csv.DictReader(file):
                for name in ("train/loss", "val/loss"):
                    if row.get(name):
                        curves.setdefault(name, []).append([float(row["step"]), float(row[name])])
    return {name: _thinned(points) for name, points in curves.items()}


def _thinned(points: list[list[float]]) -> list[list[float]]:
    """Return at most ``POINTS`` points, each the last step and the mean value of a stretch of them."""
    length = -(-len(points) // POINTS)
    stretches = [points[start : start + length] for start in range(0, len(points), length)]
    return [[part[-1][0], round(sum(value for _, value in part) / len(part), 5)] for part in stretches]


def main(argv: list[str] | None = None) -> int:
    """Write both files and print what the card says of the weights; return the exit status."""
    parser = argparse.ArgumentParser("sevenfold.diffreps.shipped", description="Publish a trained denoiser.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("file", type=Path, help="such as sevenfold/diffreps/shipped/scapes.pth")
    options = parser.parse_args(argv)
    try:
        card = pack(options.checkpoint, options.file)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps({key: card[key] for key in ("file", "sha256", "bytes", "parameters", "steps")}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
