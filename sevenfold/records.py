"""Records: one JSON line for each unit of work, appended as it ends, merged when all are there."""

import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sevenfold.errors import InputError
from sevenfold.files import write_text

Record = dict[str, Any]
MERGED = "records.jsonl"


def append_record(path: str | Path, record: Mapping[str, Any]) -> None:
    """Append one record as a line of JSON and push it to disk; a kill can cost this line only, never earlier
    ones.

    A line that a kill cut short is closed off first, so that the new record does not run into it.
    """
    line = json.dumps(record, sort_keys=True, allow_nan=True).encode() + b"\n"
    with open(path, "ab+") as file:
        # In mode "a" the position is the end of the file, and 0 where it is empty.
        if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
            line = b"\n" + line
        file.write(line)
        file.flush()
        # A record that has been reported must survive the machine, not only the process.
        os.fsync(file.fileno())


def read_records(path: str | Path) -> Iterator[Record]:
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


def read_folder(folder: str | Path) -> list[Record]:
    """Return the records of every shard in a folder, one per ``key``, in the order of their keys."""
    records: dict[str, Record] = {}
    for shard in _shards(Path(folder)):
        for record in read_records(shard):
            # Two shards may have computed the same piece; both computed the same, so the first stands.
            records.setdefault(str(record["key"]), record)
    return [records[key] for key in sorted(records)]


def merge_shards(folder: str | Path, name: str = MERGED) -> list[Record]:
    """Merge all shards of a folder into one file of records ordered by key, and remove the shards."""
    folder, records = Path(folder), read_folder(folder)
    write_text(folder / name, "".join(json.dumps(record, sort_keys=True) + "\n" for record in records))
    for shard in _shards(folder):
        if shard.name != name:
            shard.unlink()
    return records


def _shards(folder: Path) -> list[Path]:
    """Return the files of records in a folder; hidden ones are files that were never finished."""
    return sorted(path for path in folder.glob("*.jsonl") if not path.name.startswith("."))


class RecordFiles:
    """The records of one run folder: ``records/`` with one file for each writer, one file once merged.

    Fields named in ``timing`` depend on the machine that computed them. They stand in ``timing/``, so that
    records are equal wherever and in however many processes they were computed.

    Args:
        folder: the run folder.
        writer: name of the file that this process appends to, such as ``rank_0``; no other process has it.
        timing: names of the fields that depend on the machine.
    """

    def __init__(self, folder: str | Path, writer: str = "rank_0", timing: Sequence[str] = ()) -> None:
        self.folder, self.writer, self.timing = Path(folder), writer, tuple(timing)

    def _folders(self) -> list[Path]:
        return [self.folder / name for name in ("records", *(["timing"] if self.timing else []))]

    def keys(self) -> set[str]:
        """Return the keys of all records that any writer has appended."""
        return {str(record["key"]) for record in read_folder(self.folder / "records")}

    def append(self, records: Iterable[Record]) -> None:
        """Append records; each is on disk before the next.

        Its timing is there before it: a record that a kill leaves on disk is whole.
        """
        for record in records:
            for folder in reversed(self._folders()):
                folder.mkdir(parents=True, exist_ok=True)
                # The key stands in both files and joins them again.
                apart = folder.name == "timing"
                own = {k: v for k, v in record.items() if k == "key" or (k in self.timing) == apart}
                append_record(folder / f"{self.writer}.jsonl", own)

    def read(self) -> list[Record]:
        """Return all records in the order of their keys, with their timing where that is known."""
        apart = {record["key"]: record for record in read_folder(self.folder / "timing")}
        return [{**apart.get(record["key"], {}), **record} for record in read_folder(self.folder / "records")]

    def merge(self) -> list[Record]:
        """Merge the files of all writers, who must have ended, into one; return all records."""
        for folder in self._folders():
            if folder.is_dir():
                merge_shards(folder)
        return self.read()


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
            # fsum: the same digits whatever the order of the records.
            variance = math.fsum((number - mean) ** 2 for number in numbers) / (len(numbers) - 1)
            summary[f"{name}/std"] = math.sqrt(variance)
    return summary


class RunningMeans:
    """Means of some fields of records, group by group, while records arrive.

    Args:
        fields: names of the numbers that are averaged.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = tuple(fields)
        self._values: dict[str, list[float]] = defaultdict(list)

    def add(self, records: Sequence[Record]) -> dict[str, float]:
        """Add records; return ``{"running/GROUP/FIELD": mean}`` of what they have changed."""
        numbers = {}
        for record in records:
            for field in self.fields:
                if isinstance(record.get(field), int | float):
                    values = self._values[f"{record['group']}/{field}"]
                    values.append(float(record[field]))
                    numbers[f"running/{record['group']}/{field}"] = sum(values) / len(values)
        return numbers
