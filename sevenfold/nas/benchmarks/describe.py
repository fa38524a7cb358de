"""Say how a table file is understood: ``python -m sevenfold.nas.benchmarks.describe FILE [HINT=VALUE ...]``.

Prints one line a decision. With ``--write OUT.npz`` the table is stored in the compact form, which needs no
decisions.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.door import open_data
from sevenfold.nas.benchmarks.table import write_table


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; return the exit status, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m sevenfold.nas.benchmarks.describe", description=__doc__)
    parser.add_argument("file", type=Path, help="table file")
    parser.add_argument("hints", nargs="*", help="hints such as minimize=[val_bleu] or unit=percent")
    parser.add_argument("--write", type=Path, metavar="OUT.npz", help="store the table in the compact form")
    given = parser.parse_args(argv)
    try:
        hints = {name: yaml.safe_load(value) for name, _, value in (h.partition("=") for h in given.hints)}
        benchmark, understood = open_data(given.file, **hints)
        if given.write is not None:
            table = benchmark.table
            provenance = {"source": given.file.name, "understood": list(understood.lines)}
            description = {**asdict(table.layout), "provenance": provenance}
            write_table(given.write, description, {name: table[name] for name in table.used()})
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(understood)
    return 0


if __name__ == "__main__":
    sys.exit(main())
