"""The contract of a study."""

import json
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sevenfold.records import Record, RecordFiles
from sevenfold.study import Context, Piece, Study, compute
from sevenfold.testing.contract import Check, require, run_checks


def check_study(make: Callable[[], Study[Any]]) -> None:
    """Check that a study's pieces are independent, and that its report needs their records alone.

    Args:
        make: a function (or class) that makes the same small study each time it is called.

    >>> from sevenfold.nas import SearchStudy
    >>> small = {"benchmark": {"name": "synthetic-nb201"}, "trials": 2, "budget": 10}
    >>> check_study(lambda: SearchStudy(algorithms={"random": {"name": "random"}}, **small))
    """
    with tempfile.TemporaryDirectory(prefix="sevenfold-") as folder:
        run_checks(CHECKS, make, Path(folder))


def pieces_are_fixed(make: Callable[[], Study[Any]], folder: Path) -> None:
    """Two studies with the same options have the same pieces, each with separate keys."""
    first, second = make(), make()
    first.check()
    second.check()
    pieces, again = list(first.pieces()), list(second.pieces())
    require(pieces, "It has no pieces.")
    require(pieces == again, "The pieces differ between two studies with the same options.")
    keys = [key for piece in pieces for key in piece.keys]
    require(len(set(keys)) == len(keys), "A key belongs to two pieces.")
    require(pickle.loads(pickle.dumps(pieces)) == pieces, "Pieces do not survive pickling.")


def records_follow_from_the_piece(make: Callable[[], Study[Any]], folder: Path) -> None:
    """A piece has one record a key, of plain values, whatever was computed before it."""
    study, context = make(), Context(folder / "alone")
    study.check()
    pieces = list(study.pieces())
    forward = {piece.keys: _computed(study, piece, context) for piece in pieces}
    study = make()
    study.check()
    # In the other order and in a fresh study: what one piece leaves behind must not reach another.
    for piece in reversed(pieces):
        records = _computed(study, piece, Context(folder / "reversed"))
        require(records == forward[piece.keys], f"Piece '{piece.keys[0]}' depends on the others.")


def _computed(study: Study[Any], piece: Piece, context: Context) -> str:
    """Return a piece's records as text, fields that depend on the machine left out."""
    context.folder.mkdir(parents=True, exist_ok=True)
    records = compute(study, piece, context)
    keys = [record["key"] for record in records]
    require(sorted(keys) == sorted(piece.keys), f"Piece {piece.keys} has records {keys}.")
    require(all("group" in record for record in records), f"A record of '{piece.keys[0]}' has no group.")
    rest = [{k: v for k, v in record.items() if k not in study.timing} for record in records]
    return json.dumps(rest, sort_keys=True)


def an_interrupted_run_goes_on(make: Callable[[], Study[Any]], folder: Path) -> None:
    """A run that was cut off computes the missing pieces only, and ends with the same records."""
    whole = make().run_all(folder / "whole")
    study, calls = make(), []
    place = folder / "cut"
    study.run_all(place)
    done = _drop_half(place)
    study = make()
    inner = study.run

    def counted(piece: Piece, context: Context) -> list[Record]:
        calls.append(piece)
        return inner(piece, context)

    study.run = counted  # type: ignore[method-assign]
    again = study.run_all(place)
    require(_plain(again, study) == _plain(whole, study), "Its records differ from an uninterrupted run's.")
    repeated = [piece.keys[0] for piece in calls if done.issuperset(piece.keys)]
    require(not repeated, f"Finished pieces were computed again: {', '.join(repeated)}.")


def _drop_half(folder: Path) -> set[str]:
    """Cut the second half off every file of records; return the keys of those that are left."""
    for path in (folder / "records").glob("*.jsonl"):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[: len(lines) // 2]))
    return RecordFiles(folder).keys()


def _plain(records: list[Record], study: Study[Any]) -> list[str]:
    rest = [{k: v for k, v in record.items() if k not in study.timing} for record in records]
    return sorted(json.dumps(record, sort_keys=True) for record in rest)


def report_needs_records_alone(make: Callable[[], Study[Any]], folder: Path) -> None:
    """The report of all records, and of some, is drawn without computing or opening anything."""
    records = make().run_all(folder / "whole")
    study = make()

    def refuse(*_: object) -> Any:
        raise AssertionError("the report computes a piece or opens data")

    study.run = study.check = refuse  # type: ignore[method-assign, assignment]
    for part in (records, records[: max(1, len(records) // 2)]):
        report = study.report(part, records.folder)
        require(report.headline and len(report.headline[0]) <= 8, "The headline has no or over 8 columns.")
        widths = {len(row) for row in report.headline}
        require(len(widths) == 1, "Rows of the headline have different lengths.")
        json.dumps(dict(report.scalars))
        require(all(Path(folder / "whole" / p).is_file() or Path(p).is_file() for p in report.pictures),
                "A picture of the report is not there.")  # fmt: skip


def travels_to_workers(make: Callable[[], Study[Any]], folder: Path) -> None:
    """A study can be pickled before and after its data was opened."""
    study = make()
    pickle.loads(pickle.dumps(study))
    study.check()
    require(list(pickle.loads(pickle.dumps(study)).pieces()) == list(study.pieces()), "Its pieces differ.")


CHECKS: tuple[Check, ...] = (
    pieces_are_fixed,
    records_follow_from_the_piece,
    an_interrupted_run_goes_on,
    report_needs_records_alone,
    travels_to_workers,
)
