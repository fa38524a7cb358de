"""Read NAS-Bench-101's record file (Ying et al. 2019) without TensorFlow.

Every record is one training: JSON ``[module hash, epochs, adjacency bits, operations, metrics]`` where
metrics is a protocol-buffer message in base64. Its fields, by number: ModelMetrics 1 repeated EvaluationData
(at the start, half-way, at the end), 2 trainable parameters, 3 total seconds; EvaluationData 1 epoch,
2 seconds, 3 training, 4 validation and 5 test accuracy (fractions), 6 checkpoint path.
"""

import base64
import binascii
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.tfrecord import records
from sevenfold.nas.spaces.nb101 import NB101

EPOCHS = (4, 12, 36, 108)
REPEATS = 3
# Wire types of protocol buffers; 3 and 4 (groups) are not used by these files.
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
Field = tuple[int, int | float | bytes]


class Training(NamedTuple):
    """One record: ``evaluations`` (points, 5) are epoch, seconds, train, val and test accuracy in percent."""

    module_hash: str
    epochs: int
    cell: str
    parameters: int
    evaluations: NDArray[np.float64]


def fields(message: bytes) -> Iterator[Field]:
    """Yield (number, value) of a protocol-buffer message: integers, doubles and byte strings."""
    place = 0
    while place < len(message):
        # A tag is the field's number with its wire type in the three lowest bits.
        tag, place = _varint(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        size = 8 if kind == FIXED64 else 4
        if kind == BYTES:
            size, place = _varint(message, place)
        elif kind not in (FIXED64, FIXED32):
            raise ValueError(f"wire type {kind} is not known")
        content, place = message[place : place + size], place + size
        if len(content) < size:
            raise ValueError("the message ends inside a field")
        yield number, struct.unpack("<d", content)[0] if kind == FIXED64 else content


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(message) or shift > 63:
            raise ValueError("the message ends inside a number")
        byte = message[place]
        # Seven bits a byte, the lowest first; the eighth says whether another byte follows.
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def decode(payload: bytes) -> Training:
    """Read the payload of one record; anything unexpected raises ``InputError``."""
    try:
        module_hash, epochs, adjacency, operations, raw = json.loads(payload)
        parameters, rows = 0, []
        for number, value in fields(base64.b64decode(raw, validate=True)):
            if number == 1 and isinstance(value, bytes):
                point: dict[int, Any] = dict(fields(value))
                # A field that is absent has the value zero: so the format leaves out the epoch of the start.
                rows.append([point.get(field, 0.0) for field in (1, 2, 3, 4, 5)])
            elif number == 2 and isinstance(value, int):
                parameters = value
        evaluations = np.array(rows, float).reshape(-1, 5) * [1, 1, 100, 100, 100]
        return Training(str(module_hash), int(epochs), f"{adjacency}|{operations}", parameters, evaluations)
    except (ValueError, TypeError, struct.error, binascii.Error) as error:
        raise InputError(f"{payload[:40]!r}... is no NAS-Bench-101 record: {error}") from None


class _Packed:
    """Arrays that grow by cells: ``acc`` (N, repeats, budgets, half-way or end, split) and ``seconds``."""

    def __init__(self, rows: int = 1 << 12) -> None:
        self.number: dict[bytes, int] = {}
        self.cells: list[str] = []
        self.params = np.zeros(rows, np.int64)
        self.filled = np.zeros((rows, len(EPOCHS)), np.int8)
        self.acc = np.full((rows, REPEATS, len(EPOCHS), 2, 3), np.nan, np.float32)
        self.seconds = np.full((rows, REPEATS, len(EPOCHS)), np.nan, np.float32)

    def add(self, training: Training) -> None:
        # 16 bytes instead of 32 characters, for 423,624 cells.
        name = bytes.fromhex(training.module_hash)
        row = self.number.setdefault(name, len(self.cells))
        if row == len(self.cells):
            self.cells.append(training.cell)
            self._reserve(row)
        if training.epochs not in EPOCHS or len(training.evaluations) != 3:
            raise InputError(
                f"cell {training.module_hash}: {len(training.evaluations)} evaluations of "
                f"{training.epochs} epochs; expected 3 of {', '.join(map(str, EPOCHS))}"
            )
        budget = EPOCHS.index(training.epochs)
        repeat = self.filled[row, budget]
        if repeat == REPEATS:
            raise InputError(f"cell {training.module_hash} has more than {REPEATS} runs of one budget")
        self.acc[row, repeat, budget] = training.evaluations[1:, 2:]
        self.seconds[row, repeat, budget] = training.evaluations[2, 1]
        self.params[row] = training.parameters
        self.filled[row, budget] += 1

    def _reserve(self, row: int) -> None:
        # Doubled, so that n cells cost O(n) copies.
        if row >= len(self.params):
            for name in ("params", "filled", "acc", "seconds"):
                old = getattr(self, name)
                missing = np.nan if old.dtype.kind == "f" else 0
                setattr(self, name, np.concatenate([old, np.full_like(old, missing)]))


def pack(path: str | Path, *, strict: bool = False) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Convert the record file of NAS-Bench-101; return description and arrays of the compact form.

    Budgets and repeats that the file lacks are left out where no cell has them, else missing.

    Args:
        path: ``.tfrecord`` file.
        strict: compare the checksums of records, and every cell's MD5 name with that of its graph.
    """
    packed = _Packed()
    for payload in records(path, strict=strict):
        packed.add(decode(payload))
    if not packed.cells:
        raise InputError(f"'{path}' holds no records")
    space, rows = NB101(), len(packed.cells)
    archs = space.from_strings(packed.cells)
    if strict:
        _check_names(space, archs, list(packed.number))
    # The published file of 108 epochs alone has one budget of the four.
    budgets = np.flatnonzero(packed.filled[:rows].any(axis=0))
    repeats = int(packed.filled[:rows].max())
    acc = packed.acc[:rows, :repeats][:, :, budgets]
    arrays = {
        "archs": archs,
        "keys": space.keys(archs),
        "module_hash": np.frombuffer(b"".join(packed.number), np.uint8).reshape(rows, 16),
        "acc": np.ascontiguousarray(acc[:, :, :, 1]),
        "halfway_acc": np.ascontiguousarray(acc[:, :, :, 0]),
        "seconds": np.ascontiguousarray(packed.seconds[:rows, :repeats][:, :, budgets]),
        "params": packed.params[:rows],
    }
    return describe([EPOCHS[i] for i in budgets], repeats), arrays


def describe(epochs: list[int], repeats: int) -> dict[str, Any]:
    """Describe the packed arrays; ``halfway_acc`` at budget e was measured after e / 2 epochs of that run."""
    series = {
        f"{split}/{metric}": {"array": metric, "axes": "nrek", "k": k}
        for metric in ("acc", "halfway_acc")
        for k, split in enumerate(("train", "val", "test"))
    }
    cifar10 = {
        "seeds": list(range(repeats)),
        "epochs": epochs,
        "separate_runs": True,
        "series": series,
        "seconds": {"array": "seconds", "per": "until"},
        "properties": {"params": {"array": "params", "axes": "n"}},
    }
    return {
        "space": {"name": "nb101"},
        "archs": "archs",
        "keys": "keys",
        "datasets": {"cifar10": cifar10},
    }


def _check_names(space: NB101, archs: NDArray[np.integer], names: list[bytes]) -> None:
    for computed, name in zip(space.module_hashes(archs), names, strict=True):
        if bytes.fromhex(computed) != name:
            raise InputError(
                f"cell {name.hex()} has the MD5 name {computed} by its graph; the file is damaged"
            )
