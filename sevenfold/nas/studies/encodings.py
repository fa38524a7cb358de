"""Which encoding a predictor learns from: every encoding with every size of training set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sevenfold.config import ConfigError, build
from sevenfold.nas.benchmarks import BENCHMARKS, BenchmarkNode
from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.encodings import ENCODINGS, EncodingName
from sevenfold.nas.predictors import PREDICTORS, PredictorNode
from sevenfold.nas.predictors.sample import Split, draw_split, encode
from sevenfold.nas.predictors.scores import score
from sevenfold.nas.predictors.training import Training, fit, predict
from sevenfold.nas.studies.table import DIGITS
from sevenfold.ranges import Count, NonNegativeInt, Size
from sevenfold.records import Record, summarize
from sevenfold.report import format_value
from sevenfold.study import Context, Piece, Report, Section, Study
from sevenfold.tables import component

MLP = {"name": "mlp"}
TEXT = (
    "Scores on cells that no predictor has seen, the same for all encodings of a draw: means over draws, the "
    "standard deviation in brackets. mae and rmse in points of accuracy; kendall is the rank correlation."
)


@dataclass(frozen=True)
class EncodingPiece(Piece):
    """One encoding with one number of training cells, all draws at once."""

    encoding: str
    train: int


class EncodingStudy(Study[EncodingPiece]):
    """Train predictors on every encoding and size of training set; score them on unseen cells.

    The predictor experiment of White et al. 2020: one record an encoding, size and draw.

    All draws and ensemble members of an encoding and a size are trained in one stack. For one draw all
    encodings see the same cells.

    Args:
        benchmark: name and options of the benchmark that the cells and their accuracies are from.
        encodings: names of the encodings that are compared.
        train: sizes of the training set, in cells.
        test: cells to score on, unseen in training.
        seeds: draws of training and test cells, numbered from 0.
        run: number of the training run whose accuracy is predicted; null: the mean of all runs.
        network: name and options of the predictor network, one that takes any encoding.
        training: loss and optimizer.
        members: networks in an ensemble, whose mean is the prediction.
        k: cells of precision at k, the share of the ``k`` cells predicted best that are among the ``k`` best.

    >>> from sevenfold.nas import EncodingStudy
    >>> study = EncodingStudy(encodings=["adj", "path"], train=[20], test=50, seeds=1, members=1)
    >>> records = {record["group"]: record for record in study.run_all()}
    >>> sorted(records), records["path/20"]["kendall"] > 0
    (['adj/20', 'path/20'], True)
    """

    running = ("kendall",)

    def __init__(
        self,
        *,
        benchmark: BenchmarkNode = DIGITS,
        encodings: list[EncodingName] = ["adj", "adj_onehot", "path", "trunc_path"],  # noqa: B006 (never changed)
        train: list[Count] = [50, 200],  # noqa: B006
        test: Count = 2000,
        seeds: Count = 5,
        run: NonNegativeInt | None = None,
        network: PredictorNode = MLP,
        training: Training = Training(),
        members: Count = 5,
        k: Size = 100,
    ) -> None:
        for place, name in enumerate(encodings):
            component(ENCODINGS, name, f"encodings[{place}]")
        if not train:
            raise ConfigError("train", "needs at least one number")
        build(PREDICTORS, network, "network", features=1)  # a wrong option is met at once
        self.benchmark, self.encodings, self.train, self.test = benchmark, encodings, train, test
        self.seeds, self.number = seeds, run
        self.network, self.rules, self.members, self.k = network, training, members, k

    @cached_property
    def table(self) -> Benchmark:
        """The benchmark."""
        table: Benchmark = build(BENCHMARKS, self.benchmark, "benchmark")
        return table

    @cached_property
    def splits(self) -> list[Split]:
        """Training and test cells of every draw, as many as the largest training set has."""
        number, largest = "mean" if self.number is None else self.number, max(self.train)
        return [
            draw_split(self.table, train=largest, test=self.test, seed=seed, run=number)  # type: ignore[arg-type]
            for seed in range(self.seeds)
        ]

    def check(self) -> None:
        """Open the benchmark and draw the cells."""
        _ = self.splits

    def pieces(self) -> Sequence[EncodingPiece]:
        """Return the pairs of an encoding and a size."""
        return [
            EncodingPiece(tuple(f"{group}/{seed}" for seed in range(self.seeds)), group, encoding, train)
            for encoding in self.encodings
            for train in self.train
            for group in [f"{encoding}/{train}"]
        ]

    def run(self, piece: EncodingPiece, context: Context) -> list[Record]:
        """Train and score all draws; one record each."""
        splits = [s._replace(train=s.train.part(slice(piece.train))) for s in self.splits]
        space, device = self.table.space, context.device
        parts = [[encode(space, part.archs, piece.encoding) for part in split[:2]] for split in splits]
        x, unseen = (torch.stack([part[side] for part in parts]).to(device) for side in (0, 1))
        targets = torch.stack([torch.as_tensor(s.train.targets, dtype=torch.float32) for s in splits])
        seeds = list(range(len(splits)))
        shape = {"features": x.shape[2], "copies": len(seeds) * self.members}
        predictor = build(PREDICTORS, self.network, "network", **shape).to(device)
        fit(predictor, x, targets.to(device), training=self.rules, seeds=seeds, members=self.members)
        predictions = predict(predictor, unseen, members=self.members).cpu()
        records = []
        for seed, (split, values) in enumerate(zip(splits, predictions, strict=True)):
            scores = score(values, torch.as_tensor(split.test.targets), k=min(self.k, len(values)))
            numbers = {name: float(value) for name, value in scores.items()}
            records.append({"key": piece.keys[seed], "group": piece.group, "seed": seed, **numbers})
        return records

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return mean scores by encoding and size; draw rank correlation against size."""
        numbers = summarize(records)
        groups = list(dict.fromkeys(piece.group for piece in self.pieces()))
        shown = ["kendall", "mae", "rmse", "spearman"]
        rows = [["encoding", "training cells", *shown]]
        for group in [g for g in groups if f"{g}/kendall/n" in numbers]:
            rows.append([*group.split("/"), *(_cell(numbers, f"{group}/{name}") for name in shown)])
        picture = folder / "images/encodings.png"
        if records:
            draw_sizes(records, self.encodings, picture)
        text = self._verdict(numbers) if records else [TEXT]
        return Report(
            "Encodings for predictors", rows, text, [Section("Columns", [TEXT])], [picture], numbers
        )

    def _verdict(self, numbers: Mapping[str, float]) -> list[str]:
        """Return which encoding ranks unseen cells best and worst, by size of the training set."""
        sentences = []
        for train in dict.fromkeys((max(self.train), min(self.train))):
            names = [e for e in self.encodings if f"{e}/{train}/kendall/mean" in numbers]
            if not names:
                continue
            order = sorted(names, key=lambda name: -numbers[f"{name}/{train}/kendall/mean"])
            best, worst = (_cell(numbers, f"{name}/{train}/kendall") for name in (order[0], order[-1]))
            text = f"From {train} cells a predictor with {order[0]} ranks unseen ones best: tau {best}"
            sentences.append(text + (f"; {order[-1]} has {worst}." if len(order) > 1 else "."))
        return sentences

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return two draws of 20 training cells and three epochs."""
        training = {**options.get("training", {}), "epochs": 3}
        return {**options, "train": [20], "test": 50, "seeds": 2, "training": training}


def _cell(numbers: Mapping[str, float], name: str) -> str:
    deviation = numbers.get(f"{name}/std")
    return format_value(numbers[f"{name}/mean"]) + (f" ({deviation:.2g})" if deviation is not None else "")


def draw_sizes(records: Sequence[Record], encodings: Sequence[str], path: Path) -> None:
    """Draw Kendall's tau against the number of training cells, mean and standard deviation over draws."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for encoding in encodings:
        values: dict[int, list[float]] = {}
        for record in records:
            name, _, train = record["group"].rpartition("/")
            if name == encoding:
                values.setdefault(int(train), []).append(record["kendall"])
        sizes = sorted(values)
        means, deviations = ([f(values[size]) for size in sizes] for f in (np.mean, np.std))
        axes.errorbar(sizes, means, deviations, marker="o", capsize=2, label=encoding)
    axes.set(xlabel="training cells", ylabel="Kendall's tau on unseen cells")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
