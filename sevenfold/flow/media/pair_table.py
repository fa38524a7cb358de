"""Tables of pairs: a line for each, in a file of comma- or tab-separated values."""

import csv
from dataclasses import dataclass
from pathlib import Path

from sevenfold.errors import InputError, one_line

COLUMNS = ("image1", "image2", "flow", "valid", "sequence")


@dataclass(frozen=True)
class PairRow:
    """A pair of pictures; ``flow`` and ``valid`` are None where a cell is empty, ``sequence`` is a text."""

    image1: Path
    image2: Path
    flow: Path | None = None
    valid: Path | None = None
    sequence: str = ""


def read_pair_table(path: str | Path) -> list[PairRow]:
    r"""Read a table with the header ``image1,image2[,flow][,valid][,sequence]``; paths are relative to it.

    Raises ``InputError``, with the line, for columns that are missing or unknown, and for files that are not
    there.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in "ab":
        ...     _ = (folder / name).write_bytes(b"")
        >>> _ = (folder / "pairs.csv").write_text("image1,image2\na,b\n")
        >>> [row.image2.name for row in read_pair_table(folder / "pairs.csv")]
        ['b']
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a table of pairs ({one_line(error)})") from None
    rows = list(csv.reader(lines, delimiter="\t" if lines and "\t" in lines[0] else ","))
    header = [cell.strip() for cell in rows[0]] if rows else []
    strange = [name for name in header if name not in COLUMNS]
    if not {"image1", "image2"} <= set(header) or strange or len(set(header)) < len(header):
        raise InputError(
            f"{path}: the first line must be image1,image2[,flow][,valid][,sequence], got {','.join(header)}"
        )
    pairs = []
    for number, cells in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise InputError(f"{path}, line {number}: {len(cells)} cells, the first line has {len(header)}")
        named = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        files = {n: path.parent / named[n] for n in COLUMNS[:4] if named.get(n)}
        for name in COLUMNS[:4]:
            if name in files and not files[name].is_file():
                raise InputError(f"{path}, line {number}: {name}: no such file: {files[name]}")
        if "image1" not in files or "image2" not in files:
            raise InputError(f"{path}, line {number}: needs both image1 and image2")
        pairs.append(PairRow(**files, sequence=named.get("sequence", "")))
    if not pairs:
        raise InputError(f"{path}: holds no pair")
    return pairs
