"""Read pickles without running what they say: an allow-list of harmless names, each with our own stand-in.

Nothing a pickle names is ever imported. A name on the list stands for a function of this file that checks its
arguments and cannot be changed; every other name, persistent ids and extension codes are refused with the
offender in the message, before anything of theirs is called.
"""

import bz2
import copyreg
import io
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError

EXTENSIONS = ("EXT1", "EXT2", "EXT4")


class UnsafePickleError(InputError):
    """A pickle asks for something that is not on the allow-list."""


class _Function:
    """A stand-in: can be called, but is no class and takes no attributes, so a pickle cannot alter it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise UnsafePickleError("the pickle sets attributes of a function, which is refused")


class _Dtype:
    """Stand-in of numpy.dtype: plain numbers and text only, no objects, fields or flags."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if not isinstance(code, str) or np.dtype(code).kind not in "biufcSU":
            raise UnsafePickleError(f"numpy type {code!r} is refused; only plain numbers and text are read")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise UnsafePickleError(f"numpy type with state {state!r} is refused")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray[Any, Any]):
    """Stand-in of numpy.ndarray under reconstruction: filled from raw bytes of a plain type only."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, raw = state
        plain = _dtype(dtype)
        if not isinstance(raw, bytes) or len(raw) != plain.itemsize * int(np.prod(shape)):
            raise UnsafePickleError(f"numpy array of shape {shape!r} does not match its bytes")
        super().__setstate__((1, tuple(shape), plain, bool(fortran), raw))  # type: ignore[arg-type]


def _dtype(value: Any) -> np.dtype[Any]:
    if not isinstance(value, _Dtype):
        raise UnsafePickleError(f"numpy data of type {type(value).__name__} are refused")
    return value.dtype


def _scalar(dtype: Any, raw: Any) -> Any:
    """Stand-in of numpy's scalar constructor."""
    plain = _dtype(dtype)
    if not isinstance(raw, bytes) or len(raw) != plain.itemsize:
        raise UnsafePickleError("a numpy number does not match its bytes")
    return np.frombuffer(raw, plain)[0]


def _reconstruct(kind: Any, shape: Any, code: Any) -> NDArray[Any]:
    """Stand-in of numpy's array constructor; the contents follow as state."""
    if kind is not _NDARRAY:
        raise UnsafePickleError("an array that is no plain numpy.ndarray is refused")
    return np.empty((0,), np.uint8).view(_Array)


def _encode(text: Any, codec: Any = "latin1") -> bytes:
    """Stand-in of codecs.encode, by which protocol 2 writes bytes."""
    if codec not in ("latin1", "latin-1") or not isinstance(text, str):
        raise UnsafePickleError(f"encoding with {codec!r} is refused")
    return text.encode("latin1")


def _ndarray(*arguments: Any) -> None:
    raise UnsafePickleError("numpy.ndarray is refused as a function")


_NDARRAY = _Function(_ndarray)

ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): _Function(_Dtype),
    ("numpy", "ndarray"): _NDARRAY,
    ("_codecs", "encode"): _Function(_encode),
    **{
        (f"numpy.{core}.multiarray", name): _Function(stand_in)
        for core in ("core", "_core")
        for name, stand_in in (("scalar", _scalar), ("_reconstruct", _reconstruct))
    },
}


def numpy_types() -> list[Any]:
    """Return the classes of stand-ins that take a state, as an unpickler must know them."""
    return [_Dtype, _Array]


class SafeUnpickler(pickle.Unpickler):
    """An unpickler that knows the names of ``ALLOWED`` and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of an allowed name; refuse any other."""
        if (module, name) not in ALLOWED:
            raise UnsafePickleError(f"the pickle names '{module}.{name}', which is refused")
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse objects stored outside the pickle."""
        raise UnsafePickleError(f"the pickle has the persistent id {pid!r}, which is refused")


def loads(content: bytes, source: str, *, trust: bool = False) -> Any:
    """Read one pickle; ``source`` says where it is from in messages.

    Raises ``UnsafePickleError`` for a name that is not allowed and ``InputError`` for damage. ``trust`` runs
    whatever the pickle says: only for a process that may be lost.
    """
    if trust:
        return pickle.loads(content)
    try:
        _refuse_extensions(content)
        return SafeUnpickler(io.BytesIO(content)).load()
    except UnsafePickleError as error:
        raise UnsafePickleError(f"'{source}': {error}; convert it with --trust if you trust it") from None
    except InputError:
        raise
    except Exception as error:  # damaged bytes can fail in any way, inside stand-ins too
        text = " ".join(str(error).split())
        if "extension code" in text:
            raise UnsafePickleError(f"'{source}': the pickle has an {text}, which is refused") from None
        raise InputError(f"'{source}' is no readable pickle: {type(error).__name__}: {text}") from None


def _refuse_extensions(content: bytes) -> None:
    """Refuse extension codes: any that this process has used before would bypass ``find_class``."""
    if not getattr(copyreg, "_inverted_registry", None):
        return  # no code is known, so the unpickler refuses every one
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in EXTENSIONS:
            raise UnsafePickleError(f"the pickle has the extension code {argument}, which is refused")


def load(path: str | Path, *, trust: bool = False) -> Any:
    """Read a pickle file, compressed with bz2 if its name ends in ``.pbz2``."""
    opener: Callable[..., IO[bytes]] = bz2.open if str(path).endswith(".pbz2") else open
    try:
        with opener(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError) as error:
        raise InputError(f"'{path}' cannot be read: {error}") from None
    return loads(content, str(path), trust=trust)
