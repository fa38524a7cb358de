"""The ``results.json`` of a run: the final value of every headline number, never half-written."""

import json
import math
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sevenfold.files import write_text

REFERENCE = "reference/"


class Results:
    """The content of one ``results.json``, collected during a run.

    ``metrics`` maps flat names to the final value of every headline number. ``reference`` holds trivial
    baselines and published values of the same quantities: what is reported under a name that starts with
    ``reference/``.
    """

    def __init__(self, folder: Path | None, config: Mapping[str, Any]):
        self.folder, self.started = folder, time.monotonic()
        self.metrics: dict[str, float] = {}
        self.reference: dict[str, Any] = {}
        self.header = {key: config[key] for key in ("name", "verb", "seed")}

    def update(self, values: Mapping[str, Any]) -> None:
        """Add values by name; tensors of one element and NumPy scalars become plain numbers."""
        for name, value in values.items():
            plain = value.item() if hasattr(value, "item") else value
            if name.startswith(REFERENCE):
                self.reference[name.removeprefix(REFERENCE)] = plain
            else:
                self.metrics[name] = plain

    def write(self, status: str, **facts: object) -> None:
        """Write ``results.json``; only where a folder was given.

        ``status`` is finished, interrupted (by a signal), diverged or failed; ``facts`` say more of it.
        """
        if self.folder is None:
            return
        content = {
            **self.header,
            "status": status,
            **facts,
            "seconds": round(time.monotonic() - self.started, 3),
            "metrics": _sorted(self.metrics),
            "reference": _sorted(self.reference),
        }
        write_text(self.folder / "results.json", json.dumps(content, indent=2, allow_nan=False) + "\n")


def _sorted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Order by name, numbers in names by value; what is not finite becomes the text "nan" or "inf"."""
    finite = {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
    return dict(sorted(finite.items(), key=lambda item: _natural(item[0])))


def _natural(name: str) -> list[tuple[int, str]]:
    """Split a name into words and numbers, so that epe_at_4 comes before epe_at_16."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
