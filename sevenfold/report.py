"""Turn run folders into tables and figures: ``python -m sevenfold.report RUN... [--out report.html]``."""

import argparse
import csv
import io
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sevenfold.errors import InputError, one_line
from sevenfold.files import write_text
from sevenfold.records import RecordFiles
from sevenfold.study import Report, Section

MAX_PICTURES = 12


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


def columns(run: dict[str, Any]) -> dict[str, Any]:
    """Return everything a run reports by flat name, references marked as such."""
    return {**run["metrics"], **{f"reference/{name}": value for name, value in run["reference"].items()}}


def format_value(value: Any) -> str:
    """Format a number to five significant digits, anything else as text; a missing value is a dash."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.5g}" if math.isfinite(value) else str(value)
    return str(value)


def table_rows(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return a table with one row per quantity and one column per run, the header first."""
    values = [columns(run) for run in runs]
    names = list(dict.fromkeys(name for column in values for name in column))
    header = ["", *(f"{run['name']}/{run['folder'].name}" for run in runs)]
    facts = [
        [fact, *(format_value(run[fact]) for run in runs)] for fact in ("verb", "seed", "status", "seconds")
    ]
    return [
        header,
        *facts,
        *([name, *(format_value(column.get(name)) for column in values)] for name in names),
    ]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Align rows of text under their header: the first column left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    lines = ["  ".join(row).rstrip() for row in cells]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def text_table(folders: Sequence[str | Path]) -> str:
    """Return the table over run folders as aligned text."""
    return aligned(table_rows([read_run(folder) for folder in folders]))


def read_curves(folder: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Return ``{metric: (steps, values)}`` from a run's ``metrics.csv``; empty where there is none."""
    curves: dict[str, tuple[list[float], list[float]]] = {}
    if (folder / "metrics.csv").is_file():
        with open(folder / "metrics.csv", newline="") as file:
            for row in csv.DictReader(file):
                for name, text in row.items():
                    if name not in ("step", "epoch") and text:
                        steps, values = curves.setdefault(name, ([], []))
                        steps.append(float(row["step"] or 0))
                        values.append(float(text))
    return {name: curve for name, curve in curves.items() if len(curve[0]) > 1}


def curve_figures(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return one inline SVG per logged quantity, all runs in one plot."""
    from matplotlib.figure import Figure

    per_run = [(run, read_curves(run["folder"])) for run in runs]
    figures = []
    for name in dict.fromkeys(name for _, curves in per_run for name in curves):
        figure = Figure(figsize=(4.6, 3.0), layout="constrained")
        axes = figure.add_subplot()
        for run, curves in per_run:
            if name in curves:
                axes.plot(*curves[name], label=f"{run['name']}/{run['folder'].name}", linewidth=1.2)
        axes.set(title=name, xlabel="step")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        figures.append(buffer.getvalue()[buffer.getvalue().index("<svg") :])
    return figures


def html_report(folders: Sequence[str | Path]) -> str:
    """Return a self-contained page: the runs' own sections, the table, every curve as inline SVG,
    pictures.
    """
    runs = [read_run(folder) for folder in folders]
    sections = [section for run in runs for section in read_sections(run["folder"])]
    return page(
        "Runs",
        sections,
        pictures=[picture for run in runs for picture in read_pictures(run["folder"])],
        rows=table_rows(runs),
        figures=curve_figures(runs),
    )


def write_report(report: Report, folder: Path) -> None:
    """Write a study's report into its run folder: ``report.html``, ``table.txt`` and ``sections.json``."""
    sections = [Section(report.title, report.text, report.headline), *report.sections]
    content = [{"title": s.title, "text": list(s.text), "rows": s.rows} for s in sections]
    write_text(folder / "sections.json", json.dumps(content, indent=1) + "\n")
    text = "\n\n".join(
        "\n".join([s.title, *s.text, *([aligned(s.rows)] if s.rows else [])]) for s in sections
    )
    write_text(folder / "table.txt", text + "\n")
    pictures = [_embedded(path, path.stem) for path in report.pictures if path.is_file()]
    write_text(folder / "report.html", page(report.title, content, pictures=pictures))


def redraw(folder: Path) -> Report | None:
    """Draw the report of a study's run folder again, from its configuration, records and artefacts.

    Returns None where the folder is not one of a study; no data is opened and no device is used.
    """
    import yaml

    from sevenfold.config import build
    from sevenfold.studies import STUDIES

    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text()) if path.is_file() else {}
    if not config.get("study"):
        return None
    study = build(STUDIES, config["study"], "study")
    report = study.report(RecordFiles(folder, timing=study.timing).read(), folder)
    write_report(report, folder)
    return report


def read_sections(folder: Path) -> list[dict[str, Any]]:
    """Return what a run has to say in ``sections.json``; nothing where it left none.

    A section is a ``title`` with ``text``, a list of paragraphs, and ``rows``, a table with its header first.
    """
    path = folder / "sections.json"
    return json.loads(path.read_text()) if path.is_file() else []


def read_pictures(folder: Path) -> list[tuple[str, str]]:
    """Return captions and data URLs of a run's first pictures and animations."""
    files = sorted(p for p in (folder / "images").glob("*") if p.suffix in (".png", ".gif"))
    caption = f"{folder.parent.name}/{folder.name}"
    return [_embedded(path, f"{caption}: {path.stem}") for path in files[:MAX_PICTURES]]


def _embedded(path: Path, caption: str) -> tuple[str, str]:
    """Return a caption and the picture as a data URL."""
    import base64

    return caption, f"data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def page(
    title: str,
    sections: Sequence[dict[str, Any]],
    *,
    pictures: Sequence[tuple[str, str]] = (),
    rows: Sequence[Sequence[str]] = (),
    figures: Sequence[str] = (),
) -> str:
    """Return a self-contained page of sections, pictures, a table and figures (SVG)."""
    from jinja2 import Environment
    from markupsafe import Markup

    template = Environment(autoescape=True).from_string(_PAGE)
    svgs = [Markup(svg) for svg in figures]
    return template.render(title=title, sections=sections, rows=rows, figures=svgs, pictures=pictures)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sevenfold report</title>
<style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 1100px; padding: 0 1em;
  color: #222 }
table { border-collapse: collapse } div.table { overflow-x: auto }
td, th { padding: .25em .8em; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left }
figure { display: inline-block; margin: .5em } img { max-width: 100% }
figcaption { font-size: 12px; color: #555 }
</style></head><body>
{% macro table(rows) %}<div class="table"><table>{% for row in rows %}{% set header = loop.first %}<tr>
{% for cell in row %}{% if header %}<th>{{ cell }}</th>{% else %}<td>{{ cell }}</td>{% endif %}{% endfor
%}</tr>
{% endfor %}</table></div>{% endmacro %}
<h1>{{ title }}</h1>
{% for section in sections %}<h2>{{ section.title }}</h2>
{% for paragraph in section.text %}<p>{{ paragraph }}</p>{% endfor %}
{% if section.rows %}{{ table(section.rows) }}{% endif %}{% endfor %}
{% if rows %}{% if sections %}<h2>All numbers</h2>{% endif %}{{ table(rows) }}{% endif %}
{% if figures %}<h2>Curves</h2>{% for svg in figures %}<figure>{{ svg }}</figure>{% endfor %}{% endif %}
{% if pictures %}<h2>Pictures</h2>{% for caption, data in pictures %}
<figure><img src="{{ data }}" alt="{{ caption }}">
<figcaption>{{ caption }}</figcaption></figure>{% endfor %}{% endif %}
</body></html>
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Draw reports again and compare runs; return the exit status."""
    parser = argparse.ArgumentParser(
        "sevenfold.report",
        description="Draw the report of a study again; compare several runs in one table and one page.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders")
    parser.add_argument("--out", metavar="FILE", help="page of several runs (default: report.html)")
    options = parser.parse_args(argv)
    folders = [Path(run) for run in options.runs]
    try:
        reports = [redraw(folder) for folder in folders]
        if len(folders) == 1 and reports[0] is not None and options.out is None:
            print(f"{reports[0]}\n\nwritten: {folders[0] / 'report.html'}")
            return 0
        print(text_table(folders))
        out = options.out or (folders[0] / "report.html" if len(folders) == 1 else "report.html")
        write_text(out, html_report(folders))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\nwritten: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
