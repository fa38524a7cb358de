"""Layouts of folders with predicted flow, as the servers of benchmarks take them."""

import re
from pathlib import Path
from typing import Literal

from sevenfold.errors import InputError

Layout = Literal["plain", "sintel", "kitti"]


def path_of(item: dict[str, str], layout: Layout) -> Path:
    """Return the file of an item with ``name``, ``sequence`` and ``frame``, below the folder of predictions.

    An item that a layout has no place for raises ``InputError``.
    """
    if layout == "plain":
        return Path(f"{item['name']}.flo")
    if "sequence" not in item:
        raise InputError(f"the layout '{layout}' needs sequences; use data.name=video")
    if layout == "kitti":
        return Path(f"{item['frame']}.png")
    render, scene = Path("?", item["sequence"]).parts[-2:]
    number = re.fullmatch(r"frame_(\d{4})", item["frame"])
    if render not in ("clean", "final") or number is None:
        raise InputError(
            f"the layout 'sintel' needs clean|final/SCENE/frame_NNNN.png, got {item['name']}; "
            "set data.root to Sintel/test"
        )
    return Path(render, scene, f"frame{number[1]}.flo")
