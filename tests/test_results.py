"""Records survive kills; results say what happened."""

import contextlib
import json
import math
from pathlib import Path

import pytest

from sevenfold.errors import InputError
from sevenfold.files import write_text
from sevenfold.records import (
    RecordFiles,
    append_record,
    merge_shards,
    read_folder,
    read_records,
    summarize,
)
from sevenfold.results import Results

CONFIG = {"name": "n", "verb": "fit", "seed": 1}


def test_a_record_cut_short_at_any_byte_costs_only_itself(tmp_path: Path) -> None:
    path, first, second = tmp_path / "a.jsonl", {"key": "1", "x": {"y": 0.5}}, {"key": "2", "x": 1}
    append_record(path, first)
    append_record(path, second)
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    for cut in range(start, len(whole)):
        path.write_bytes(whole[:cut])
        kept = list(read_records(path))
        assert kept in ([first], [first, second]) and (cut < len(whole) - 1 or kept == [first, second])
        append_record(path, {"key": "3"})
        assert list(read_records(path)) == [*kept, {"key": "3"}]


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_record_on_disk_has_its_timing_whenever_its_writer_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    left, append = iter(range(writes)), append_record

    def killed(path: Path, record: dict[str, object]) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        append(path, record)

    files = RecordFiles(tmp_path, timing=("seconds",))
    monkeypatch.setattr("sevenfold.records.append_record", killed)
    with contextlib.suppress(KeyboardInterrupt):
        files.append([{"key": "a", "x": 1, "seconds": 2.0}])
    monkeypatch.undo()
    whole = [{"key": "a", "x": 1, "seconds": 2.0}]
    assert files.read() == (whole if writes == 2 else [])
    files.append([{"key": "a", "x": 1, "seconds": 2.0}])
    assert files.read() == whole and files.merge() == whole


def test_damage_in_the_middle_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    (path := tmp_path / "a.jsonl").write_text('{"key": "1"}\n{"key" 2}\n{"key": "3"}\n')
    with pytest.raises(InputError, match=r"a\.jsonl', line 2"):
        list(read_records(path))


def test_shards_merge_into_one_ordered_file_without_repeats(tmp_path: Path) -> None:
    for rank, keys in enumerate((["b", "d"], ["c", "a", "b"])):
        for key in keys:
            append_record(tmp_path / f"rank_{rank}.jsonl", {"key": key, "rank": rank if key == "d" else 9})
    merged = merge_shards(tmp_path)
    assert [record["key"] for record in merged] == ["a", "b", "c", "d"]
    assert [path.name for path in tmp_path.iterdir()] == ["records.jsonl"]
    assert read_folder(tmp_path) == merged == merge_shards(tmp_path)


def test_summary_is_mean_sample_deviation_and_count_per_group() -> None:
    records = [
        {"key": "1", "seed": 1, "group": "a", "x": 1.0, "flag": True},
        {"key": "2", "seed": 2, "group": "a", "x": 4.0},
        {"key": "3", "seed": 3, "group": "b", "x": 5, "name": "text"},
    ]
    expected = {"a/x/mean": 2.5, "a/x/n": 2, "a/x/std": math.sqrt(4.5), "b/x/mean": 5, "b/x/n": 1}
    assert summarize(records) == pytest.approx(expected)


def test_writing_replaces_whole_files_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(path := tmp_path / "f", "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sevenfold.files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("status", ["finished", "interrupted", "diverged", "failed"])
def test_results_hold_status_metrics_and_reference(tmp_path: Path, status: str) -> None:
    results = Results(tmp_path, CONFIG)
    results.update({"b": 2.0, "reference/zero": 3.0, "a": math.nan})
    results.write(status)
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["status"] == status and content["metrics"] == {"a": "nan", "b": 2.0}
    assert content["reference"] == {"zero": 3.0} and content["seconds"] >= 0


def test_numbers_in_names_are_ordered_by_value(tmp_path: Path) -> None:
    results = Results(tmp_path, CONFIG)
    results.update({"epe_at_16": 1.0, "epe_at_4": 1.0, "epe": 1.0, "12": 1.0})
    results.write("finished")
    assert list(json.loads((tmp_path / "results.json").read_text())["metrics"]) == [
        "12", "epe", "epe_at_4", "epe_at_16"
    ]  # fmt: skip
