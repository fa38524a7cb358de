"""Objectives of one's own: functions in files below the working directory, named ``module:function``."""

import importlib.util
import re
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sevenfold.config import ConfigError
from sevenfold.errors import shown
from sevenfold.files import file_hash

NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Source:
    """Where an objective stands: its ``name``, the file and the file's SHA-256."""

    name: str
    path: Path
    sha256: str


def locate_objective(name: str, folder: Path | None = None) -> Source:
    """Return the file of ``module:function``; nothing is imported.

    Only a Python file counts whose real path lies below the real ``folder`` (the working directory) and in no
    installed distribution. ``ConfigError`` says what was given instead.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigError(
            "objective", f"expected module:function, such as digits_cells:train, got {shown(name)}"
        )
    root = (folder or Path.cwd()).resolve()
    path = root.joinpath(*name.partition(":")[0].split(".")).with_suffix(".py")
    if not path.is_file():
        raise ConfigError("objective", f"{name}: there is no file {path}; name one below {root}")
    # Of a symbolic link, what it leads to counts; a checkout may hold an environment with installed packages.
    real = path.resolve()
    installed = [Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib")]
    if not real.is_relative_to(root) or any(real.is_relative_to(place) for place in installed):
        raise ConfigError(
            "objective", f"{name}: {real} is not a file of yours below {root}; nothing was loaded"
        )
    return Source(name, real, file_hash(real))


def load_objective(source: Source) -> Callable[..., Any]:
    """Import the file of a :class:`Source` and return the function; ``ConfigError`` where it has none.

    A file that changed since it was located is refused: workers of one run begin at different times.
    """
    if file_hash(source.path) != source.sha256:
        raise ConfigError("objective", f"{source.path} changed while the search ran; start it again")
    module_name, _, function = source.name.partition(":")
    spec = importlib.util.spec_from_file_location(module_name, source.path)
    if spec is None or spec.loader is None:
        raise ConfigError("objective", f"{source.path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # Registered, so that what it defines can be pickled.
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    objective = getattr(module, function, None)
    if not callable(objective):
        raise ConfigError("objective", f"{source.path} has no function '{function}'")
    return objective
