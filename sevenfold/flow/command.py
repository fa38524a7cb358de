"""``sevenfold flow``: flow of pictures, folders and videos, as files, pictures and a video."""

import argparse
import importlib.metadata
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.files import file_hash, write_text
from sevenfold.flow.estimator import Estimator, load
from sevenfold.flow.formats import write_image
from sevenfold.flow.media.inputs import Clip, Frame, find_clips
from sevenfold.flow.media.reading import clip_frames
from sevenfold.flow.media.video import VideoWriter, frame_rate, video_writer
from sevenfold.flow.result import FlowResult
from sevenfold.flow.sequence_scale import SequenceScale

FORMATS = ("flo", "png", "npz")
PICTURES = ("colors", "warped", "confidence", "arrows", "panel")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser("sevenfold flow", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="two pictures, more pictures, a quoted glob, a folder, a video, a table of pairs (.csv)",
    )
    add("--out", metavar="DIR", help="folder of the results (default: flow_out/NAME)")
    add("--model", default="scenes", help="a shipped model, a network by name, a run folder or a checkpoint")
    add("--weights", metavar="FILE", help="published weights of a network by name, such as raft_small")
    add("--steps", type=int, metavar="N", help="steps of f (default: the model's own)")
    add("--every", type=int, default=1, metavar="K", help="take every K-th frame")
    add("--from", dest="first", type=int, default=0, metavar="S", help="number of the first frame, from 0")
    add("--to", dest="last", type=int, metavar="S", help="number of the last frame")
    add("--cut", type=int, metavar="N", help="numbers of frames that jump by more than N are a cut")
    add("--scale", default="auto", metavar="PX", help="speed of the most saturated color, or auto")
    add("--save", default="flo", metavar="LIST", help=f"of {', '.join(FORMATS)} (default: flo)")
    add("--show", default="panel", metavar="LIST", help=f"of {', '.join(PICTURES)} (default: panel)")
    add("--no-backward", action="store_true", help="estimate one direction: half the time, no occlusion")
    add("--tile", default="auto", metavar="PX", help="auto, off, or the side of tiles")
    add("--carry", default="auto", choices=("auto", "off"), help="what a pair takes over from the one before")
    add("--device", default="auto", help="cpu, cuda, cuda:1, or auto: a GPU where there is one")
    add("--strict", action="store_true", help="stop at the first damaged frame")
    add("--json", action="store_true", help="print the summary as JSON")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run one command line, by default this process's; return the exit status.

    0: all is written; 1: a frame was damaged and left out; 2: bad input.
    """
    if list(argv[:1]) == ["adapt"]:
        from sevenfold.flow.adapt_command import main as adapt

        return adapt(argv[1:])
    options = parser().parse_args(argv)
    try:
        clips = find_clips(options.inputs, cut=options.cut)
        saved, shown = _chosen(options.save, FORMATS, "--save"), _chosen(options.show, PICTURES, "--show")
        tile = options.tile if options.tile in ("auto", "off") else _number(options.tile, "--tile", int)
        scale = None if options.scale == "auto" else _number(options.scale, "--scale", float)
        if options.every < 1:
            raise InputError(f"--every: expected a number of at least 1, got {options.every}")
        if options.first < 0 or (options.last is not None and options.last <= options.first):
            raise InputError(
                f"--from {options.first} --to {options.last}: expected 0 or more, and a later end"
            )
        if options.out and Path(options.out).exists() and not Path(options.out).is_dir():
            raise InputError(f"--out: {options.out} is a file; give a folder")
        estimator = load(
            options.model,
            weights=options.weights,
            device=options.device,
            steps=options.steps,
            both=not options.no_backward,
            tile=tile,
            carry=options.carry,
        )
        damaged = 0
        for clip in clips:
            folder = Path(options.out or Path("flow_out") / clip.name)
            folder = folder / clip.name if options.out and len(clips) > 1 else folder
            job = Job(estimator, clip, folder, saved, shown, scale, options)
            summary = job.run()
            damaged += len(summary["damaged"])
            print(json.dumps(summary) if options.json else job.line(summary))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if damaged else 0


class Job:
    """The flow of one clip, from its frames to the files of a folder."""

    def __init__(
        self,
        estimator: Estimator,
        clip: Clip,
        folder: Path,
        saved: Sequence[str],
        shown: Sequence[str],
        scale: float | None,
        options: argparse.Namespace,
    ) -> None:
        self.estimator, self.clip, self.folder = estimator, clip, folder
        self.saved, self.shown, self.scale, self.options = saved, shown, scale, options
        self.damaged: list[str] = []
        self.rows: list[dict[str, Any]] = []
        self.drawn = False  # whether this run has written its first picture
        self.writer: VideoWriter | None = None

    def run(self) -> dict[str, Any]:
        """Estimate all pairs; write fields, pictures, the video and ``summary.json``; return the summary."""
        pictures = SequenceScale[tuple[FlowResult, Tensor]](self._draw, self.scale)
        began = time.monotonic()
        try:
            for result, second in self.estimator.pairs(self._frames(), every=self.options.every):
                self._save(result, time.monotonic() - began)
                began = time.monotonic()
                pictures.add((result, second), result.speed)
            pictures.flush()
        finally:
            if self.writer is not None:
                self.writer.__exit__(None, None, None)
        if not self.rows:
            raise InputError(f"{self.clip.name}: no two frames that can be read")
        summary = {
            "clip": self.clip.name,
            "model": str(self.options.model),
            "weights": self._weights(),
            "scale": pictures.scale,
            "versions": {name: importlib.metadata.version(name) for name in ("sevenfold", "torch")},
            "damaged": self.damaged,
            "statuses": dict(Counter(row["status"] for row in self.rows)),
            "pairs": self.rows,
        }
        write_text(self.folder / "summary.json", json.dumps(summary, indent=1) + "\n")
        return summary

    def line(self, summary: dict[str, Any]) -> str:
        """Return what is printed of a summary."""
        rows = summary["pairs"]
        means = {
            name: sum(row[name] for row in rows) / len(rows) for name in ("mean", "confidence", "seconds")
        }
        return (
            f"{summary['clip']}: {len(rows)} pairs, mean speed {means['mean']:.2f} px, mean confidence "
            f"{means['confidence']:.2f}, {means['seconds']:.2f} s a pair\n{self.folder}"
        )

    def _frames(self) -> Iterator[Frame]:
        """Yield the chosen frames; a damaged one is named and left out, unless all must be right."""
        stop = None if self.options.last is None else self.options.last + 1
        return islice(
            clip_frames(self.clip, None if self.options.strict else self._damage), self.options.first, stop
        )

    def _damage(self, message: str) -> None:
        self.damaged.append(message)
        print(f"skipped: {message}", file=sys.stderr)

    def _save(self, result: FlowResult, seconds: float) -> None:
        """Write a pair's fields; note its numbers."""
        for suffix in self.saved:
            result.save(self.folder / "flow" / f"{result.name}.{suffix}")
        speed = result.speed.double().numpy()
        self.rows.append(
            {
                "name": result.name,
                "time": result.time,
                "mean": float(speed.mean()),
                "median": float(np.median(speed)),
                "p99": float(np.quantile(speed, 0.99)),
                "occluded": None if result.occluded is None else float(result.occluded.double().mean()),
                "confidence": float(result.confidence.mean()),
                "steps": result.steps,
                "residual": result.residual,
                "status": result.status,
                "tiles": result.tiles,
                "seconds": round(seconds, 4),
            }
        )

    def _draw(self, pair: tuple[FlowResult, Tensor], scale: float) -> None:
        """Draw a pair's pictures with the scale of the clip."""
        result, second = pair
        for kind in self.shown:
            picture = result.picture(kind, scale, second)
            if not self.drawn:
                write_image(self.folder / "first.png", picture)
                self.drawn = True
            if kind == "panel":
                self.writer = self.writer or self._video()
                self.writer.add(picture)
            else:
                write_image(self.folder / kind / f"{result.name}.png", picture)

    def _video(self) -> VideoWriter:
        """Return the writer of the clip's video: MP4, or GIF where there is no codec."""
        rate = frame_rate(self.clip.paths[0]) if self.clip.video else Fraction(10)
        name = self.clip.name.replace("/", "_")
        writer = video_writer(self.folder / name, rate / self.options.every)
        if writer.path.suffix == ".gif":
            print(
                "written as GIF: MP4 needs the extra 'video' (pip install 'sevenfold[video]')",
                file=sys.stderr,
            )
        return writer.__enter__()

    def _weights(self) -> str | None:
        """Return the hash of the weights' file, where the model is one."""
        if self.options.weights:
            return file_hash(Path(self.options.weights))
        facts = self.estimator.card.facts
        return facts.get("sha256")


def _chosen(text: str, known: Sequence[str], option: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip() and name != "none"]
    for name in names:
        if name not in known:
            raise InputError(f"{option}: '{name}' is unknown; known are {', '.join(known)}")
    return names


def _number(text: str, option: str, kind: type[int] | type[float]) -> Any:
    try:
        value = kind(text)
    except ValueError:
        value = kind(0)
    if not 0 < value < 10**6:
        raise InputError(f"{option}: expected a number above 0, got '{text}'")
    return value
