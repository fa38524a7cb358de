"""``python -m sevenfold.report RUN...``: draw the report of a run again, or compare several."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sevenfold.errors import InputError
from sevenfold.files import write_text
from sevenfold.report.run import compare, redraw, write_report


def main(argv: Sequence[str] | None = None) -> int:
    """Draw reports again and compare runs; return the exit status."""
    parser = argparse.ArgumentParser(
        "sevenfold.report",
        description="Draw the report of a run again; compare several runs in one table and one page.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders")
    parser.add_argument(
        "--out", metavar="FILE", help="the page (default: report.html, of one run in its folder)"
    )
    options = parser.parse_args(argv)
    folders = [Path(run) for run in options.runs]
    out = Path(options.out) if options.out else None
    try:
        if len(folders) == 1:
            report = redraw(folders[0])
            text, page = str(report), write_report(report, folders[0], out)
        else:
            text, content = compare(folders)
            page = out or Path("report.html")
            write_text(page, content)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{text}\n\nwritten: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
