"""Training of the prior-fitted network for learning curves: one piece, one file of weights."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from sevenfold.config import ConfigError
from sevenfold.files import replace_file
from sevenfold.nas.lce.pfn.network import CurvePFN
from sevenfold.nas.lce.pfn.train import Training, prior_nll
from sevenfold.nas.lce.pfn.weights import MOST_BYTES, write_weights
from sevenfold.ranges import Count, Depth, LearningRate, Size
from sevenfold.records import Record
from sevenfold.report import format_value
from sevenfold.run_files import configuration_hash
from sevenfold.seeding import seeded
from sevenfold.study import Context, Piece, Report, Study

KEY = "training"
WEIGHTS = "curve_pfn.safetensors"
STORED = "curve_pfn_training.pt"
PICTURE = "images/losses.png"


class CurvePFNTraining(Study[Piece]):
    """Train a network on curves drawn from a prior; its weights are ``curve_pfn.safetensors`` of the run.

    A stopped training resumes, exactly, from its last stored step.

    Args:
        steps: optimizer steps; the rate rises over 100 of them, then falls as a cosine.
        tasks: tasks a step, each of up to 100 known curves and 48 to predict.
        width: length of a token's state; a multiple of ``heads``.
        layers: transformer layers.
        heads: attention heads.
        lr: greatest learning rate of AdamW.
        precision: of the network's products while training.
        every: steps between two losses in the log; the training is stored ten times as rarely.
        fresh: tasks, drawn afresh, that the finished network is judged on.
    """

    timing = ("seconds",)

    def __init__(
        self,
        *,
        steps: Count = 6000,
        tasks: Count = 8,
        width: Size = 96,
        layers: Depth = 4,
        heads: Size = 4,
        lr: LearningRate = 1e-3,
        precision: Literal["32", "bf16"] = "32",
        every: Count = 50,
        fresh: Count = 200,
    ) -> None:
        self.steps, self.tasks, self.lr, self.half = steps, tasks, lr, precision == "bf16"
        self.network = {"width": width, "layers": layers, "heads": heads}
        self.every, self.fresh = every, fresh

    def check(self) -> None:
        """Refuse a network that cannot be built, or whose weights would be too large to ship."""
        with torch.device("meta"):
            size = 2 * sum(p.numel() for p in CurvePFN(**self.network).parameters())
        if size > MOST_BYTES - 10_000:  # what the file's own header may need
            raise ConfigError(
                "width", f"{self.network} has {size} bytes in float16; expected at most {MOST_BYTES}"
            )

    def pieces(self) -> Sequence[Piece]:
        """Return the training."""
        return [Piece((KEY,), KEY)]

    def run(self, piece: Piece, context: Context) -> list[Record]:
        """Train, write the weights and judge them; no record where the run is to end before."""
        with seeded(context.seed, "curve pfn", device=context.device):
            network = CurvePFN(**self.network)
        options = {"steps": self.steps, "tasks": self.tasks, "lr": self.lr, "half": self.half}
        training = Training(network.to(context.device), seed=context.seed, **options)  # type: ignore[arg-type]
        stored, losses = context.folder / STORED, list[torch.Tensor]()
        curve, spent, begin = list[tuple[int, float]](), 0.0, time.monotonic()
        if stored.is_file():
            state = torch.load(stored, map_location=context.device, weights_only=True)
            if state["options"] != {**options, **self.network}:
                raise ConfigError("study", f"'{stored}' is of other options; use a new folder")
            training.restore(state)
            curve, spent = state["curve"], state["seconds"]
        while training.done < self.steps:
            losses.append(training.step())
            stop = context.stopping()
            if training.done % self.every == 0 or training.done == self.steps:
                # The one place that waits for the device.
                curve.append((training.done, float(torch.stack(losses).mean())))
                losses.clear()
                context.progress(training.done / self.steps, **{"train/loss": curve[-1][1]})
            if stop or training.done % (10 * self.every) == 0:
                seconds = spent + time.monotonic() - begin
                notes = {"options": {**options, **self.network}, "curve": curve, "seconds": seconds}
                with replace_file(stored) as file:
                    torch.save({**training.state(), **notes}, file)
            if stop and training.done < self.steps:
                return []
        seconds = spent + time.monotonic() - begin
        judged = prior_nll(network.eval(), tasks=self.fresh, seed=context.seed)
        card = {**options, "seed": context.seed, "seconds": round(seconds, 1), "device": context.device.type}
        card |= {"fresh_nll": judged, "losses": curve, "torch": torch.__version__}
        hashed = configuration_hash({"study": {**options, **self.network}})
        card |= {"recipe": "nas/train_curve_pfn", "recipe_hash": hashed}
        card |= {"trained_on": "curves drawn from a prior only, no benchmark"}
        written = write_weights(network, context.folder / WEIGHTS, card)
        stored.unlink(missing_ok=True)
        result = {"loss": curve[-1][1], "fresh_nll": judged, "bytes": written["bytes"], "seconds": seconds}
        return [{"key": KEY, "group": piece.group, **result}]

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return losses, and where the weights are."""
        if not records:
            return Report("Training of the curve PFN", [], ["The training has not ended yet."])
        record = records[0]
        numbers = {f"{KEY}/{name}/mean": float(record[name]) for name in ("loss", "fresh_nll", "bytes")}
        rows = [["measure", "value"], ["loss of the last steps, nats", format_value(float(record["loss"]))]]
        rows += [[f"loss on {self.fresh} fresh tasks, nats", format_value(float(record["fresh_nll"]))]]
        text = f"Weights of {record['bytes']} bytes: {folder / WEIGHTS}."
        card, picture = json.loads((folder / WEIGHTS).with_suffix(".json").read_text()), folder / PICTURE
        draw_losses(card["losses"], picture)
        return Report("Training of the curve PFN", rows, [text], [], [picture], numbers)

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return two steps of a small network."""
        return {**options, "steps": 2, "tasks": 1, "width": 8, "layers": 1, "heads": 2, "fresh": 2}


def draw_losses(losses: Sequence[tuple[int, float]], path: Path) -> None:
    """Draw mean losses over the steps before each of some steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*losses, strict=True), marker=".")
    axes.set(xlabel="step", ylabel="negative log density, nats")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
