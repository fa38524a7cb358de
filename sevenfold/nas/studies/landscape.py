"""The landscape of whole tables: local minima, basins, random walks, minima under noise."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.config import ConfigError
from sevenfold.files import write_text
from sevenfold.nas.algorithms.objective import Objective
from sevenfold.nas.benchmarks import BenchmarkNode
from sevenfold.nas.benchmarks.named_arrays import datasets
from sevenfold.nas.landscape.climb import Losses, Neighbors, climb, neighbors, strict_minima
from sevenfold.nas.landscape.noise import noisy_minima, retraining_noise
from sevenfold.nas.landscape.theory import uniform_minima
from sevenfold.nas.landscape.walk import autocorrelation
from sevenfold.nas.spaces.base import Enumerable
from sevenfold.nas.studies.landscape_figures import draw_landscape
from sevenfold.nas.studies.table import DIGITS, Loss, open_table
from sevenfold.ranges import Count, NonNegative, Percent, Positive
from sevenfold.records import Record
from sevenfold.report import format_value
from sevenfold.seeding import numpy_generator
from sevenfold.study import Context, Piece, Report, Section, Study

NUMBERS = (
    "minima", "strict_minima", "share_to_optimum", "steps_mean", "steps_max", "largest_basin", "optimum_loss",
    "autocorrelation_lag_1",
)  # fmt: skip
ARRAYS = ("losses", "gaps", "preimages")
TEXT = (
    "Hill climbing from every architecture. A minimum has no strictly better neighbor; a basin is the "
    "number of architectures whose climb ends at it. The last column is the count expected of random losses."
)


@dataclass(frozen=True)
class TablePiece(Piece):
    """One table: ``name`` is the data set of the file, or None for a benchmark's own."""

    name: str | None


class LandscapeStudy(Study[TablePiece]):
    """Describe loss landscapes of whole tables by local minima, basins, random walks and minima under noise.

    The measures of White, Nolen and Savani 2021; one record a table, its arrays (n,) in ``analysis/``.

    Args:
        benchmark: name and options of a benchmark whose space can be listed.
        path: a table file instead of the benchmark, in the compact form or an ``.npz`` in the shape of
            NAS-Bench-201 (see ``benchmarks.named_arrays``); null: the benchmark.
        dataset: data set of the benchmark or file; null: the only one of a benchmark, all of a file.
        objective: the loss whose landscape is described.
        lags: longest lag of the autocorrelation along random walks, in steps.
        percentiles: lower and upper percentile of the losses that random walks stay between; 10 and 90 in
            the papers.
        noise: noise added to the losses before minima are counted, in multiples of the retraining noise.
        noise_sigma: standard deviation of the retraining noise in units of the loss, for tables with one
            training an architecture, which cannot tell it; null: no noise is added to those.
        noise_draws: draws of the noise, over which the number of minima is averaged.
        clip: range of losses above the lowest that pictures scale to [0, 1]; null: twice the distance of the
            median from the lowest.

    >>> from sevenfold.nas import LandscapeStudy
    >>> (record,) = LandscapeStudy().run_all()
    >>> record["minima"], record["steps_max"]
    (89, 8)
    """

    devices = "cpu"

    def __init__(
        self,
        *,
        benchmark: BenchmarkNode = DIGITS,
        path: str | None = None,
        dataset: str | None = None,
        objective: Loss = Loss(),
        lags: Count = 36,
        percentiles: tuple[Percent, Percent] = (0.0, 100.0),
        noise: list[NonNegative] = [0.0, 0.5, 1.0, 2.0, 4.0],  # noqa: B006 (never changed)
        noise_sigma: NonNegative | None = None,
        noise_draws: Count = 5,
        clip: Positive | None = None,
    ) -> None:
        if percentiles[0] >= percentiles[1]:
            raise ConfigError("percentiles", f"must ascend, got {list(percentiles)}")
        self.benchmark, self.path, self.dataset, self.loss = benchmark, path, dataset, objective
        self.lags, self.percentiles, self.clip = lags, percentiles, clip
        self.noise, self.noise_sigma, self.noise_draws = noise, noise_sigma, noise_draws

    @cached_property
    def objectives(self) -> dict[str | None, Objective]:
        """The loss on every table, by data set."""
        alone = self.path is None or self.dataset is not None
        names = [self.dataset] if alone else datasets(str(self.path))
        return {name: self.loss.of(open_table(self.benchmark, self.path, name)) for name in names}

    def check(self) -> None:
        """Open the tables."""
        for objective in self.objectives.values():
            if not isinstance(objective.benchmark.space, Enumerable):
                raise ConfigError("benchmark", "a landscape needs a space that can be listed")

    def pieces(self) -> Sequence[TablePiece]:
        """Return the tables."""
        keys = {n: f"{o.benchmark.dataset}/{o.split}" for n, o in self.objectives.items()}
        return [TablePiece((key,), key, name) for name, key in keys.items()]

    def run(self, piece: TablePiece, context: Context) -> list[Record]:
        """Describe one table; its arrays are stored in ``analysis/``."""
        objective = self.objectives[piece.name]
        space = objective.benchmark.space
        assert isinstance(space, Enumerable) and space.size is not None
        archs = space.archs(np.arange(space.size))
        losses, near = objective.losses(archs), neighbors(space)
        climbs = climb(losses, near)
        walk = autocorrelation(losses, near, self.lags, percentiles=self.percentiles)
        # Padding is the number n, one above the last architecture.
        degree = int((near < len(near)).sum(axis=1).max())
        runs = objective.runs(archs) if self.noise_sigma is None else None
        record = {
            "key": piece.group,
            "group": piece.group,
            **climbs.measures(),
            "strict_minima": len(strict_minima(losses, near)),
            "optimum": space.to_strings(archs[[losses.argmin()]])[0],
            "optimum_loss": float(losses.min()),
            "autocorrelation_lag_1": float(walk[1]),
            "autocorrelation": walk.tolist(),
            "degree": degree,
            # Of n independent losses on a graph of degree d about n / (d + 1) are local minima: the baseline.
            "uniform_minima": uniform_minima(len(losses), degree),
            **self._noisy(losses, near, runs, numpy_generator(context.seed, "nas landscape noise")),
        }
        arrays = {"losses": losses, "gaps": np.sort(climbs.gaps()), "preimages": climbs.preimages()}
        path = arrays_file(context.folder, piece.group)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({name: values.tolist() for name, values in arrays.items()}) + "\n")
        return [record]

    def _noisy(
        self, losses: Losses, near: Neighbors, runs: NDArray[np.float64] | None, stream: Generator
    ) -> dict[str, Any]:
        """Count minima after noise was added, in multiples of the noise between trainings (``runs``)."""
        sigma = retraining_noise(runs) if runs is not None else self.noise_sigma
        if sigma is None or not np.isfinite(sigma):
            return {}
        counts = noisy_minima(
            losses, near, sigma=sigma, factors=tuple(self.noise), draws=self.noise_draws, rng=stream
        )
        return {"noise_sigma": sigma, "noise": self.noise, "noisy_minima": counts.tolist()}

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return the numbers of every table, and draw them with the theory of uniform random losses over."""
        pictures: list[Path] = []
        numbers: dict[str, Any] = {}
        for record in records:
            pictures.append(folder / "images" / f"{_stem(record['key'])}.png")
            arrays = json.loads(arrays_file(folder, record["key"]).read_text())
            draw_landscape(pictures[-1], record, {k: np.array(v) for k, v in arrays.items()}, self.clip)
            prefix = f"{record['key']}/" if len(records) > 1 else ""
            numbers |= {f"{prefix}{name}": record[name] for name in NUMBERS}
            numbers[f"reference/{prefix}uniform_minima"] = record["uniform_minima"]
        shown = (
            "minima",
            "share_to_optimum",
            "steps_mean",
            "largest_basin",
            "optimum_loss",
            "uniform_minima",
        )
        rows = [[r["key"], *(format_value(r[name]) for name in shown)] for r in records]
        head = ["table", *(name.replace("_", " ") for name in shown[:-1]), "minima of random losses"]
        columns = Section("Columns", [TEXT])
        return Report("Landscapes", [head, *rows], _verdict(records), [columns], pictures, numbers)

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the landscape of synthetic cells in place of a file."""
        return {**options, "noise_draws": 1, "lags": 5, **({"path": None} if options.get("path") else {})}


def _verdict(records: Sequence[Record]) -> list[str]:
    """Return a sentence on each of the first two tables."""
    return [
        f"{r['key']} has {r['minima']} local minima, random losses would have {r['uniform_minima']:.0f}; "
        f"{r['share_to_optimum']:.0%} of all climbs end at the best architecture."
        for r in records[:2]
    ]


def arrays_file(folder: Path, key: str) -> Path:
    """Return the file with the arrays of a table."""
    return folder / "analysis" / f"{_stem(key)}.json"


def _stem(key: str) -> str:
    return "landscape_" + key.replace("/", "_")
