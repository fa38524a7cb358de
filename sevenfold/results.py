"""What a run leaves behind: append-only records (JSON lines) and ``results.json``, never half-written."""

import json
import math
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sevenfold.errors import InputError

REFERENCE = "reference/"


def write_text(path: str | Path, text: str) -> None:
    """Write a file whole: into a temporary neighbor first, then renamed over the old one."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def append_record(path: str | Path, record: Mapping[str, Any]) -> None:
    """Append one record as a line of JSON and push it to disk; a kill can cost this line only, never earlier
    ones.

    A line that a kill cut short is closed off first, so that the new record does not run into it.
    """
    line = json.dumps(record, sort_keys=True, allow_nan=True).encode() + b"\n"
    with open(path, "ab+") as file:
        if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
            line = b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_records(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the records of one file; a last line cut short by a kill is passed over, damage elsewhere is an
    error.
    """
    lines = Path(path).read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            if number < len(lines) - 1 and not _cut_short(line):
                raise InputError(f"'{path}', line {number}: not a record; remove the line to go on") from None


def _cut_short(line: bytes) -> bool:
    """Tell a record that a kill cut (it opens and never closes) from damage."""
    return line.startswith(b"{") and not line.rstrip().endswith(b"}")


def read_folder(folder: str | Path) -> list[dict[str, Any]]:
    """Return the records of every shard in a folder, one per ``key``, in the order of their keys."""
    records: dict[str, dict[str, Any]] = {}
    for shard in sorted(Path(folder).glob("*.jsonl")):
        for record in read_records(shard):
            records.setdefault(str(record["key"]), record)
    return [records[key] for key in sorted(records)]


def merge_shards(folder: str | Path, name: str = "records.jsonl") -> list[dict[str, Any]]:
    """Merge all shards of a folder into one file of records ordered by key, and remove the shards."""
    folder, records = Path(folder), read_folder(folder)
    write_text(folder / name, "".join(json.dumps(record, sort_keys=True) + "\n" for record in records))
    for shard in folder.glob("*.jsonl"):
        if shard.name != name:
            shard.unlink()
    return records


def summarize(records: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return ``{group/metric/mean, .../std, .../n}`` over the numeric fields of records, grouped by
    ``group``.

    The standard deviation is the sample's (n - 1); it is left out for a single record. Booleans, the key and
    the seed are no metrics; NaN values stay NaN.
    """
    values: dict[str, list[float]] = {}
    for record in records:
        for field, value in record.items():
            if (
                field not in ("key", "seed")
                and isinstance(value, int | float)
                and not isinstance(value, bool)
            ):
                values.setdefault(f"{record.get('group', 'all')}/{field}", []).append(float(value))
    summary = {}
    for name, numbers in values.items():
        mean = math.fsum(numbers) / len(numbers)
        summary[f"{name}/mean"], summary[f"{name}/n"] = mean, float(len(numbers))
        if len(numbers) > 1:
            variance = math.fsum((number - mean) ** 2 for number in numbers) / (len(numbers) - 1)
            summary[f"{name}/std"] = math.sqrt(variance)
    return summary


class Results:
    """The content of one ``results.json``, filled in while a run goes on.

    ``metrics`` maps flat names to the final value of every headline number. ``reference`` holds trivial
    baselines and published values of the same quantities: what is reported under a name that starts with
    ``reference/``.
    """

    def __init__(self, folder: Path | None, config: Mapping[str, Any]):
        self.folder, self.started = folder, time.monotonic()
        self.metrics: dict[str, float] = {}
        self.reference: dict[str, Any] = {}
        self.header = {key: config[key] for key in ("name", "verb", "seed")}

    def update(self, values: Mapping[str, Any]) -> None:
        """Add values by name; tensors of one element and NumPy scalars become plain numbers."""
        for name, value in values.items():
            plain = value.item() if hasattr(value, "item") else value
            if name.startswith(REFERENCE):
                self.reference[name.removeprefix(REFERENCE)] = plain
            else:
                self.metrics[name] = plain

    def write(self, status: str) -> None:
        """Write ``results.json`` with ``status`` finished, interrupted or failed; only where a folder was
        given.
        """
        if self.folder is None:
            return
        content = {
            **self.header,
            "status": status,
            "seconds": round(time.monotonic() - self.started, 3),
            "metrics": _sorted(self.metrics),
            "reference": _sorted(self.reference),
        }
        write_text(self.folder / "results.json", json.dumps(content, indent=2, allow_nan=False) + "\n")


def _sorted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Order by name, numbers in names by value; what is no finite number becomes null, which JSON can say."""
    finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
    return dict(sorted(finite.items(), key=lambda item: _natural(item[0])))


def _natural(name: str) -> list[tuple[int, str]]:
    """Split a name into words and numbers, so that epe_at_4 comes before epe_at_16."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


@contextmanager
def recorded(results: Results) -> Iterator[Results]:
    """Write the results whatever happens: finished, interrupted (Ctrl-C, SIGTERM) or failed."""
    try:
        yield results
    except (KeyboardInterrupt, SystemExit):
        results.write("interrupted")
        raise
    except BaseException:
        results.write("failed")
        raise
    results.write("finished")
