"""What identifies the run of a folder (``run.json``), and whether it has finished (``results.json``)."""

import hashlib
import json
from pathlib import Path

from sevenfold.config import Node
from sevenfold.files import write_text


def configuration_hash(config: Node) -> str:
    """Return what tells configurations apart; where a run is written is no part of it."""
    rest = {key: value for key, value in config.items() if key not in ("output_dir", "executor", "logger")}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, default=str).encode()).hexdigest()[:16]


def read_identity(folder: Path) -> Node:
    """Return the content of a folder's ``run.json``; empty where there is none or it is damaged."""
    try:
        content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def amend_identity(folder: Path, **facts: str) -> None:
    """Add facts to a folder's ``run.json``, such as the id of a tracker's run."""
    write_text(folder / "run.json", json.dumps({**read_identity(folder), **facts}, indent=2) + "\n")


def finished(folder: Path) -> bool:
    """Tell whether the run of a folder has finished."""
    try:
        return bool(json.loads((folder / "results.json").read_text())["status"] == "finished")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def versions(root: Path) -> list[Path]:
    """Return the run folders of one name, in the order of their numbers."""
    folders = [path for path in root.glob("version_*") if path.name.removeprefix("version_").isdigit()]
    return sorted(folders, key=number_of)


def number_of(folder: Path) -> int:
    """Return the number of a run folder."""
    return int(folder.name.removeprefix("version_"))
