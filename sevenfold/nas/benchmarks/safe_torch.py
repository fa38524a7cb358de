"""Read ``.pth`` files of plain results without running what they say."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.safe_pickle import ALLOWED, UnsafePickleError, numpy_types

# Under these names torch's own restricted unpickler finds our stand-ins, never numpy's constructors.
_GLOBALS: list[Any] = [
    (stand_in, f"{module}.{name}")
    for (module, name), stand_in in ALLOWED.items()
    if module.startswith("numpy")
]


def load(path: str | Path, *, trust: bool = False) -> Any:
    """Read a file of either of torch's formats with ``weights_only=True``.

    Numbers and arrays of numpy are read as by :mod:`safe_pickle`; any other name raises
    ``UnsafePickleError``, damage ``InputError``. ``trust`` runs whatever the file says.
    """
    if not Path(path).is_file():
        raise InputError(f"'{path}' does not exist")
    try:
        # As a context, so that nothing else in this process may load these names.
        with torch.serialization.safe_globals([*_GLOBALS, *numpy_types()]):
            return torch.load(path, map_location="cpu", weights_only=not trust)
    except UnsafePickleError as error:
        raise UnsafePickleError(f"'{path}': {error}; convert it with --trust if you trust it") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError, KeyError) as error:
        if offender := re.search(r"(?:GLOBAL|global) ([\w.]*\w)", str(error)):
            raise UnsafePickleError(
                f"'{path}' names '{offender[1]}', which is refused; convert it with --trust if you trust it"
            ) from None
        text = " ".join(str(error).split())[:200]
        raise InputError(f"'{path}' is no readable torch file: {text}") from None
