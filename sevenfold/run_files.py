"""What identifies the run of a folder (``run.json``), and whether it has finished (``results.json``)."""

import hashlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Literal

from sevenfold.config import Node
from sevenfold.files import write_text
from sevenfold.run_lock import is_live

Resume = Literal["no", "yes", "must"]


def configuration_hash(config: Node) -> str:
    """Return what tells configurations apart; where a run is written is no part of it."""
    # Where and how pieces are computed or logged changes no record either.
    rest = {key: value for key, value in config.items() if key not in ("output_dir", "executor", "logger")}
    # Neither does the length of the pieces in which a training is done.
    if isinstance(rest.get("trainer"), dict):
        rest["trainer"] = {key: value for key, value in rest["trainer"].items() if key != "max_time"}
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
    # By number: as texts version_10 would come before version_2.
    folders = [path for path in root.glob("version_*") if path.name.removeprefix("version_").isdigit()]
    return sorted(folders, key=number_of)


def number_of(folder: Path) -> int:
    """Return the number of a run folder."""
    return int(folder.name.removeprefix("version_"))


def matches(folder: Path, config: Node, resume: Resume, shard: tuple[int, int], job: Node) -> bool:
    """Tell whether a run may go on in a folder: same configuration and shards, unfinished, not held.

    ``job`` is this process's SLURM job: a requeued job continues in the folder that it created.
    """
    run = read_identity(folder)
    if run.get("configuration") != configuration_hash(config) or run.get("shards") != shard[1]:
        return False
    # Shards share one folder by intention; a single job must have it to itself.
    if finished(folder) or (shard == (1, 1) and is_live(folder / "run.lock")):
        return False
    return "study" in config or resume != "no" or (bool(job) and run.get("slurm") == job)


def identity(config: Node, shard: tuple[int, int], job: Node) -> Node:
    """Return the content of ``run.json``: what a later job compares to go on with the run."""
    return {
        "configuration": configuration_hash(config),
        "name": config["name"],
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "shards": shard[1],
        "slurm": job,
    }
