"""What trials of search algorithms came to: records, a table, curves."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from callbacks.records import RecordsWriter, records_folder
from callbacks.search_figures import draw_all
from sevenfold.nas.algorithms.published import compare
from sevenfold.report import aligned, format_value
from sevenfold.results import append_record, merge_shards, read_folder, write_text

QUALITY = ("val_loss", "val_regret", "test_loss", "test_regret", "at_optimum")
POINTS = (50, 100, 150, 300)
ACCOUNT = ("spent", "duplicates", "missing", "simulated_seconds")


class SearchReport(RecordsWriter):
    """Write the records of trials, a table of them and the incumbents' curves.

    Results are, by label of the algorithm: mean, standard error, standard deviation, median and
    interquartile range of losses, regrets and the share at the optimum; the former two also after 50, 100,
    150 and 300 queries; means of the account (queries, repeats, missing answers, seconds), the median of
    ``queries_to_optimum`` (infinite where half of the trials did not get there) and the number of trials.
    ``reproduction.txt`` has the published values beside, where there are any.
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
            for name, text in {"table": self.table(), "reproduction": self.reproduction()}.items():
                write_text(folder / f"{name}.txt", text + "\n")
                trainer.print(f"\n{text}")
            draw_all(self.groups(), folder / "images")

    def groups(self) -> dict[str, list[dict[str, Any]]]:
        """Return the records by label."""
        found: dict[str, list[dict[str, Any]]] = {}
        for record in self._records:
            found.setdefault(record["group"], []).append(record)
        return found

    def results(self) -> dict[str, float]:
        """Return means, spreads and medians."""
        found: dict[str, float] = {}
        for label, records in self.groups().items():
            for field in QUALITY + ACCOUNT:
                values = np.array([record[field] for record in records if field in record], float)
                if len(values):
                    found |= _spread(f"{label}/{field}", values)
            if "at_optimum" in records[0]:
                reached = [record.get("queries_to_optimum", math.inf) for record in records]
                found[f"{label}/queries_to_optimum/median"] = float(np.median(reached))
                found |= _on_the_way(label, records)
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
            rows.append([label, format_value(results[f"{label}/trials"]), *cells, median, _seconds(records)])
        return aligned(rows)

    def reproduction(self) -> str:
        """Return one row an algorithm: what was run, 95 % intervals, the published test error, a verdict."""
        results, groups = self.results(), self.groups()
        head = [
            "space",
            "dataset",
            "algorithm",
            "preset",
            "budget",
            "trials",
            "seed",
            "val loss",
            "test loss",
        ]
        tail = ["median queries to optimum", "searcher seconds", "published", "mark", "verdict"]
        rows = [["label", *head, *tail]]
        for label, records in groups.items():
            first = records[0]
            facts = [format_value(first[field]) for field in head[:5]]
            error = results.get(f"{label}/test_loss/mean")
            name, preset = first["algorithm"], first["preset"]
            if preset not in (None, "paper"):
                name += f" {preset}"  # of variants nothing is published
            value, verdict = compare(
                first["space"],
                first["dataset"],
                name,
                first["budget"],
                error,
                single=first["trainings"] == 1,
            )
            known = ["-", "-"] if value is None else [f"{value.error:.2f}", value.mark]
            losses = [_interval(results, f"{label}/{field}_loss") for field in ("val", "test")]
            median = format_value(results.get(f"{label}/queries_to_optimum/median"))
            seeds = f"{first['seed']}: {min(r['trial'] for r in records)}-{max(r['trial'] for r in records)}"
            row = [label, *facts, str(len(records)), seeds, *losses, median, _seconds(records)]
            rows.append([*row, *known, verdict])
        return aligned(rows)


def _timing(trainer: pl.Trainer) -> Path:
    return records_folder(trainer).parent / "timing"


def _seconds(records: Sequence[dict[str, Any]]) -> str:
    return f"{np.mean([record['searcher_seconds'] for record in records]):.3g}"


def _interval(results: dict[str, float], name: str) -> str:
    if f"{name}/mean" not in results:
        return "-"
    return f"{results[f'{name}/mean']:.3f} +- {1.96 * results[f'{name}/sem']:.3f}"


def _spread(name: str, values: NDArray[np.float64]) -> dict[str, float]:
    """Return a field's mean; of losses and such the standard error (0 for one value) and more beside."""
    found, field = {"mean": values.mean()}, name.rpartition("/")[2]
    if field in QUALITY:
        std = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        found["sem"] = std / math.sqrt(len(values))
        if field != "at_optimum":
            low, median, high = np.percentile(values, [25, 50, 75])
            found |= {"std": std, "median": median, "iqr": high - low}
    return {f"{name}/{part}": float(value) for part, value in found.items()}


def _on_the_way(label: str, records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return regret and share at the optimum after numbers of queries that papers report."""
    found: dict[str, float] = {}
    for point in POINTS:
        if point in records[0]["queries"]:
            place = records[0]["queries"].index(point)
            optimum = records[0]["val_loss"] - records[0]["val_regret"]
            regrets = np.array([record["val_curve"][place] for record in records]) - optimum
            found[f"{label}/val_regret_at_{point}/mean"] = float(regrets.mean())
            reached = [record.get("queries_to_optimum", math.inf) <= point for record in records]
            found[f"{label}/at_optimum_at_{point}/mean"] = float(np.mean(reached))
    return found
