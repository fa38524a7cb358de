"""Reports of run folders: written at the end of a run, drawn again, several compared."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sevenfold.errors import InputError, one_line
from sevenfold.files import write_text
from sevenfold.records import RecordFiles
from sevenfold.report.content import ROWS, Report, Section, Table
from sevenfold.report.curves import draw_curves, read_curves
from sevenfold.report.page import draw_page
from sevenfold.report.pictures import embed
from sevenfold.report.text import aligned, format_value

PICTURES = 12  # of one run on its page
STAGES = ("test/", "val/", "predict/", "")


def read_run(folder: str | Path) -> dict[str, Any]:
    """Return a run's ``results.json`` with its folder; none, or a damaged one, raises ``InputError``."""
    path = Path(folder) / "results.json"
    if not path.is_file():
        raise InputError(f"'{folder}' is no finished run folder: it has no results.json")
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:  # not text, or not JSON
        raise InputError(f"'{path}' is damaged ({one_line(error)}); run it again") from None
    facts, figures = ("name", "verb", "seed", "status", "seconds"), ("metrics", "reference")
    whole = isinstance(content, dict) and all(fact in content for fact in facts)
    if not whole or not all(isinstance(content.get(part), dict) for part in figures):
        raise InputError(f"'{path}' is damaged (it needs {', '.join(facts + figures)}); run it again")
    return {**content, "folder": Path(folder)}


def label(run: Mapping[str, Any]) -> str:
    """Return the name of a run with that of its folder."""
    return f"{run['name']}/{run['folder'].name}"


def table_rows(runs: Sequence[dict[str, Any]]) -> Table:
    """Return a table with one row per quantity and one column per run, the header first."""
    values = [
        {**run["metrics"], **{f"reference/{name}": value for name, value in run["reference"].items()}}
        for run in runs
    ]
    names = list(dict.fromkeys(name for column in values for name in column))
    facts = [[fact, *(format_value(run[fact]) for run in runs)] for fact in ("seed", "status", "seconds")]
    numbers = [[name, *(format_value(column.get(name)) for column in values)] for name in names]
    return [["", *map(label, runs)], *facts, *numbers]


def plain_headline(metrics: Mapping[str, Any], reference: Mapping[str, Any]) -> Table:
    """Return the numbers of the last stage that was run, with baselines of the same quantities beside them.

    Args:
        metrics: final numbers by flat name, such as ``test/auc``.
        reference: baselines; one with a metric's name stands in its row, others follow in rows below.
    """
    stage = next(s for s in STAGES if any(name.startswith(s) for name in metrics) or not s)
    rows = [
        [name, format_value(value), format_value(reference.get(name))]
        for name, value in metrics.items()
        if name.startswith(stage)
    ]
    rest = [[name, "-", format_value(value)] for name, value in reference.items() if name not in metrics]
    # Baselines are never cut off: a figure without them says little.
    rows = [*rows[: max(1, ROWS - len(rest))], *rest]
    if all(row[2] == "-" for row in rows):
        return [["", "value"], *(row[:2] for row in rows)]
    return [["", "value", "baseline"], *rows]


def training_report(
    run: Mapping[str, Any], folder: Path, headline: Table, text: Sequence[str], sections: Sequence[Section]
) -> Report:
    """Return the report of a training, an evaluation or a prediction; ``run`` is its ``results.json``."""
    files = [path for path in (folder / "images").glob("*") if path.suffix in (".png", ".gif")]
    order = {"test": 0, "predict": 1, "val": 2}
    files.sort(key=lambda path: (order.get(path.name.split("_")[0], 0), path.name))
    return Report(f"{run['name']}", headline, text, sections, files[:PICTURES])


def write_report(report: Report, folder: Path, out: Path | None = None) -> Path:
    """Write ``table.txt``, ``report.json`` and the page of a run folder; return the page's path.

    ``out`` is the page's path if it is not ``report.html`` in the folder.
    """
    write_text(folder / "report.json", report.to_json(folder))
    write_text(folder / "table.txt", report.full_text())
    page = out or folder / "report.html"
    pictures = embed([(path.stem, path) for path in report.pictures], page.parent)
    has_results = (folder / "results.json").is_file()
    rows = table_rows([read_run(folder)]) if has_results else []
    write_text(page, draw_page(report, pictures, curves=draw_curves({"": read_curves(folder)}), rows=rows))
    return page


def redraw(folder: Path) -> Report:
    """Return the report of a finished run folder.

    That of a study is drawn anew from configuration, records and artefacts; no data is opened and no device
    is used. That of a training is read from ``report.json``, or made of its numbers where there is none.
    """
    import yaml

    from sevenfold.config import build
    from sevenfold.studies import STUDIES

    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text()) if path.is_file() else {}
    if config.get("study"):
        study = build(STUDIES, config["study"], "study")
        return study.report(RecordFiles(folder, timing=study.timing).read(), folder)
    run = read_run(folder)
    if (folder / "report.json").is_file():
        return Report.from_json((folder / "report.json").read_text(), folder)
    return training_report(run, folder, plain_headline(run["metrics"], run["reference"]), (), ())


def compare(folders: Sequence[Path]) -> tuple[str, str]:
    """Return text and page that put several runs beside each other."""
    runs = [read_run(folder) for folder in folders]
    reports = [redraw(folder) for folder in folders]
    rows = table_rows(runs)
    sections = [
        Section(f"{label(run)}: {part.title}", part.text, part.rows)
        for run, report in zip(runs, reports, strict=True)
        for part in (Section("result", report.text, report.headline), *report.sections)
    ]
    files = [
        (f"{label(run)}: {path.stem}", path)
        for run, report in zip(runs, reports, strict=True)
        for path in report.pictures[: max(2, PICTURES // len(runs))]
    ]
    curves = draw_curves({label(run): read_curves(run["folder"]) for run in runs})
    report = Report("Runs", shared(rows), [f"{len(runs)} runs side by side."], sections)
    return aligned(rows), draw_page(report, embed(files, Path.cwd()), curves=curves, rows=rows)


def shared(rows: Table) -> Table:
    """Return the rows of a comparison that every run has, at most as many as a headline table may have."""
    whole = [row for row in rows[1:] if "-" not in row[1:] and not row[0].startswith(("train/", "lr-"))]
    return [rows[0], *whole[:ROWS]]
