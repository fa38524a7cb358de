"""What trials of search algorithms came to: records, a table, curves."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from callbacks.records import RecordsWriter, records_folder
from sevenfold.report import aligned, format_value
from sevenfold.results import append_record, merge_shards, read_folder, write_text

QUALITY = ("val_loss", "val_regret", "test_loss", "test_regret", "at_optimum")
ACCOUNT = ("spent", "duplicates", "missing", "simulated_seconds")


class SearchReport(RecordsWriter):
    """Write the records of trials, a table of them and the incumbents' curves.

    Results are, by label of the algorithm: mean and standard error of losses, regrets and the share at the
    optimum, means of the account (queries, repeats, missing answers, seconds), the median of
    ``queries_to_optimum`` (infinite where half of the trials did not get there) and the number of trials.
    What depends on the machine, the searcher's own seconds, stands in ``timing/`` and the table alone, so
    that records and results are the same on every machine and number of devices. Curves are means of the
    incumbents' losses with the 95 % interval of the mean.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Create the folders."""
        super().setup(trainer, pl_module, stage)
        _timing(trainer).mkdir(exist_ok=True)

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        *place: int,
    ) -> None:
        """Append trials to this rank's shard, and their times to another."""
        for record in prediction:
            timing = {"key": record["key"], "group": record["group"]}
            timing["searcher_seconds"] = record.pop("searcher_seconds")
            append_record(_timing(trainer) / f"rank_{trainer.global_rank}.jsonl", timing)
        super().write_on_batch_end(trainer, pl_module, prediction, batch_indices, batch, *place)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Merge the shards; write table and figure on rank zero."""
        super().on_predict_end(trainer, pl_module)
        if trainer.is_global_zero:
            merge_shards(_timing(trainer))
        trainer.strategy.barrier("timing")
        seconds = {record["key"]: record["searcher_seconds"] for record in read_folder(_timing(trainer))}
        for record in self._records:
            record["searcher_seconds"] = seconds.get(record["key"], math.nan)
        if trainer.is_global_zero and self._records:
            folder = records_folder(trainer).parent
            text = self.table()
            write_text(folder / "table.txt", text + "\n")
            trainer.print(f"\n{text}")
            (folder / "images").mkdir(exist_ok=True)
            self._draw(folder / "images/incumbents.png")

    def groups(self) -> dict[str, list[dict[str, Any]]]:
        """Return the records by label."""
        found: dict[str, list[dict[str, Any]]] = {}
        for record in self._records:
            found.setdefault(record["group"], []).append(record)
        return found

    def results(self) -> dict[str, float]:
        """Return means, standard errors and medians."""
        found: dict[str, float] = {}
        for label, records in self.groups().items():
            for field in QUALITY + ACCOUNT:
                values = np.array([record[field] for record in records if field in record], float)
                if len(values):
                    mean, error = _mean(values)
                    found[f"{label}/{field}/mean"] = mean
                    found |= {f"{label}/{field}/sem": error} if field in QUALITY else {}
            if "at_optimum" in records[0]:
                reached = [record.get("queries_to_optimum", math.inf) for record in records]
                found[f"{label}/queries_to_optimum/median"] = float(np.median(reached))
            found[f"{label}/trials"] = len(records)
        return found

    def table(self) -> str:
        """Return one row an algorithm: means with standard errors."""
        results, groups = self.results(), self.groups()
        used = [f for f in QUALITY + ACCOUNT if any(f"{label}/{f}/mean" in results for label in groups)]
        rows = [["algorithm", "trials", *used, "median queries to optimum", "searcher seconds"]]
        for label, records in groups.items():
            cells = [format_value(results.get(f"{label}/{field}/mean")) for field in used]
            errors = [results.get(f"{label}/{field}/sem") for field in used]
            cells = [f"{c} ({e:.2g})" if e is not None else c for c, e in zip(cells, errors, strict=True)]
            median = format_value(results.get(f"{label}/queries_to_optimum/median"))
            seconds = format_value(_mean(np.array([record["searcher_seconds"] for record in records]))[0])
            rows.append([label, format_value(results[f"{label}/trials"]), *cells, median, seconds])
        return aligned(rows)

    def _draw(self, path: Path) -> None:
        from matplotlib.figure import Figure

        curves = [curve for curve in ("val_curve", "test_curve") if curve in self._records[0]]
        figure = Figure(figsize=(5 * len(curves), 3.8), layout="constrained")
        for axes, curve in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves, strict=True):
            settled = []
            for label, records in self.groups().items():
                length = min(len(record[curve]) for record in records)
                queries = records[0]["queries"][:length]
                mean, error = np.apply_along_axis(_mean, 0, [record[curve][:length] for record in records])
                axes.plot(queries, mean, label=label)
                axes.fill_between(queries, mean - 1.96 * error, mean + 1.96 * error, alpha=0.2)
                settled += mean[length // 5 :].tolist()  # the first fall would flatten all the rest
            axes.set(xlabel="queries", ylabel=f"{curve.partition('_')[0]} loss of the incumbent")
            margin = 0.05 * np.ptp(settled) + 1e-6
            axes.set_ylim(min(settled) - margin, max(settled) + margin)
            axes.grid(alpha=0.3)
            axes.legend(fontsize=8)
        figure.suptitle("mean over trials and 95 % interval of the mean")
        figure.savefig(path, dpi=110)


def _timing(trainer: pl.Trainer) -> Path:
    return records_folder(trainer).parent / "timing"


def _mean(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and standard error, 0 for a single value."""
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(values.mean()), float(error)
