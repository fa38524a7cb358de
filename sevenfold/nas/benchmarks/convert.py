"""Write a benchmark's official files in the compact form.

``python -m sevenfold.nas.benchmarks.convert FORMAT SOURCE OUT [--no-compression]``
with ``--strict``, ``--trust`` or ``--description FILE`` where the format has that option.

What the file then holds, what is missing in it and the optimum of every split is printed. Sources are read
without TensorFlow and without running what a pickle says. ``--trust`` does run it, in a separate process,
for files that the allow-list refuses and whose origin you know.
"""

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sevenfold.config import build
from sevenfold.errors import InputError
from sevenfold.nas.benchmarks import CONVERTERS
from sevenfold.nas.benchmarks.summary import report
from sevenfold.nas.benchmarks.table import Table, write_table


def convert(format: str, source: str, out: str, *, compressed: bool = True, **options: Any) -> None:
    """Read ``source`` by the converter of that name with its ``options``, and write ``out`` whole.

    The file records where it is from: format, name and SHA-256 of the source (of a folder: of its files'
    names and sums), and the version that converted it.
    """
    path = Path(source)
    if not path.exists():
        raise InputError(f"source '{source}' does not exist")
    if not Path(out).absolute().parent.is_dir():
        raise InputError(f"the folder of '{out}' does not exist; make it first")
    description, arrays = build(CONVERTERS, {"name": format, **options}, "convert", path=source)
    provenance = {
        **description.get("provenance", {}),
        "format": format,
        "source": path.name,
        "source_sha256": source_digest(path),
        "converter": f"sevenfold {version('sevenfold')}",
    }
    write_table(out, {**description, "provenance": provenance}, arrays, compressed=compressed)


def source_digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and sums of all files below a folder."""
    if path.is_dir():
        # Sorted by name, as the order in which a folder is listed depends on the file system.
        files = sorted(p for p in path.rglob("*") if p.is_file())
        lines = [f"{source_digest(p)}  {p.relative_to(path).as_posix()}\n" for p in files]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def convert_in_child(arguments: Sequence[str], out: str) -> None:
    """Convert in another process, which may be lost, and check every sum of what it wrote."""
    command = [sys.executable, "-m", "sevenfold.nas.benchmarks.convert", *arguments, "--in-child"]
    # A pickle that runs code can at worst take this child with it; only checked arrays come back.
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise InputError(f"the trusting process failed: {lines[-1].removeprefix('error: ')}")
    Table.open(out).check()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; return 0, or 2 after one line about bad input."""
    parser = argparse.ArgumentParser(prog="python -m sevenfold.nas.benchmarks.convert", description=__doc__)
    parser.add_argument("format", choices=sorted(CONVERTERS), help="what the source is")
    parser.add_argument("source", help="file or folder")
    parser.add_argument("out", help="the .npz to write")
    parser.add_argument("--strict", action="store_true", help="compare checksums of records (nb101)")
    parser.add_argument("--trust", action="store_true", help="run what pickles say, in a child process")
    parser.add_argument("--description", help="a JSON file that describes the source (table)")
    parser.add_argument("--no-compression", action="store_true", help="a larger file that opens faster")
    parser.add_argument("--in-child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    options = {name: v for name in ("strict", "trust", "description") if (v := getattr(given, name))}
    try:
        if given.trust and not given.in_child:
            flags = ["--trust", *["--no-compression"] * given.no_compression]
            convert_in_child([given.format, given.source, given.out, *flags], given.out)
        else:
            compressed = not given.no_compression
            convert(given.format, given.source, given.out, compressed=compressed, **options)
        if not given.in_child:
            sys.stdout.writelines(f"{line}\n" for line in report(Table.open(given.out)))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
