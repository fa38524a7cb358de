"""File lists of torchvision's flow data sets, checked: which picture goes with which flow.

torchvision knows the layouts; the files themselves are read by ``sevenfold.flow.formats``, whose errors name
the file and which need no image decoder of torchvision's.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sevenfold.errors import InputError

Files = tuple[Path, Path, Path | None]


def list_files(find: Callable[[], Any], *, root: str, title: str, layout: str) -> list[Files]:
    """Return (first picture, second picture, flow or None) of every pair that ``find()`` lists, sorted.

    ``find`` makes one of torchvision's data sets below ``root``. Raises ``InputError`` with the ``layout``
    where it finds nothing, and where pictures and flow files do not go together: torchvision pairs them by
    their order alone, so that one missing file would give every later pair the wrong flow.
    """
    expected = f"{title} is expected as {layout} below data.root={root}"
    try:
        triples = find()
    except (OSError, IndexError, ValueError) as error:
        raise InputError(f"{' '.join(str(error).split())}: {expected}") from None
    images, flows = triples._image_list, triples._flow_list or [None] * len(triples._image_list)
    if not images:
        raise InputError(f"no pictures: {expected}")
    if len(images) != len(flows):
        raise InputError(f"{len(images)} pairs of pictures but {len(flows)} flow files: {expected}")
    files = [
        (Path(a), Path(b), Path(flow) if flow else None) for (a, b), flow in zip(images, flows, strict=True)
    ]
    for image1, _, flow in files:
        if flow is not None and _frame(image1) != _frame(flow):
            raise InputError(f"{image1} would be paired with {flow}; a file is missing beside one of them")
    return sorted(files, key=lambda each: tuple(map(str, each)))


def _frame(path: Path) -> str:
    """Return the number of a frame: the last run of at least four digits in the file's name."""
    return re.findall(r"\d{4,}", path.stem)[-1] if re.search(r"\d{4,}", path.stem) else path.stem
