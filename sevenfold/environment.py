"""The environment of a run: versions, commit, machine, devices."""

import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from sevenfold.errors import InputError, one_line

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "omegaconf", "wandb", "fairlearn",
            "numpy", "scipy", "scikit-learn")  # fmt: skip


def environment(device_ids: Sequence[int]) -> dict[str, Any]:
    """Return versions, commit and devices of this process; ``device_ids`` are the trainer's."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: installed_version(name) for name in PACKAGES},
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
        "devices": [
            torch.cuda.get_device_name(i) if torch.cuda.is_available() else "cpu" for i in device_ids
        ],
        "threads": torch.get_num_threads(),
    }


def installed_version(package: str) -> str | None:
    """Return the installed version; None of a package without metadata."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def user_cache() -> Path:
    """Return the folder in which what was computed once may be stored for later runs of any project."""
    return Path.home() / ".cache" / "sevenfold"


def _git(*arguments: str) -> str | None:
    """Return what git says about the project's checkout, or None outside one."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def usable_device(name: str | torch.device) -> torch.device:
    """Return a device by name, "auto" a GPU where there is one; ``InputError`` where it cannot be used.

    >>> usable_device("cpu").type
    'cpu'
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # unknown, or not here
        raise InputError(f"device '{name}' cannot be used: {one_line(error)[:120]}") from None
