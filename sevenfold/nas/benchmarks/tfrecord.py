"""Read the records of a TFRecord file without TensorFlow.

A record is the length of its payload (8 bytes, little-endian), the masked CRC-32C of those 8 bytes (4), the
payload, and the payload's masked CRC-32C (4).
"""

import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.crc32c import crc32c, crc32c_short, masked

HEAD, TAIL = struct.Struct("<QI"), struct.Struct("<I")
BATCH = 4096
LONGEST = 1 << 26
"""No benchmark's record is longer; a larger length means that the file is something else."""


class _Record(NamedTuple):
    offset: int
    payload: bytes
    tail: bytes


def records(path: str | Path, *, strict: bool = False) -> Iterator[bytes]:
    """Yield the payloads one by one, keeping at most a few thousand in memory.

    A file that ends inside a record raises ``InputError`` with the byte offset where the record begins. With
    ``strict`` the checksums of lengths and payloads are compared too.
    """
    frames = _frames(Path(path), strict)
    # CRCs of a whole batch are computed side by side, as one at a time would be slow in Python.
    while batch := list(islice(frames, BATCH)):
        if strict:
            _check(path, batch)
        for record in batch:
            yield record.payload


def _frames(path: Path, strict: bool) -> Iterator[_Record]:
    if not path.is_file():
        raise InputError(f"record file '{path}' does not exist")
    offset, size = 0, path.stat().st_size
    with open(path, "rb") as file:
        while offset < size:
            head = file.read(HEAD.size)
            end = offset + HEAD.size
            if len(head) == HEAD.size:
                length, stored = HEAD.unpack(head)
                if strict and masked(crc32c_short(head[:8])) != stored:
                    raise InputError(f"'{path}': wrong checksum of the length at byte {offset}")
                # Before reading: a foreign file could ask for any amount of memory here.
                if length > LONGEST:
                    raise InputError(f"'{path}': a record of {length} bytes at byte {offset}; no TFRecord?")
                end += length + TAIL.size
            if len(head) < HEAD.size or end > size:
                raise InputError(
                    f"'{path}' is truncated: the record at byte {offset} ends behind byte {size}"
                )
            yield _Record(offset, file.read(length), file.read(TAIL.size))
            offset = end


def _check(path: str | Path, batch: list[_Record]) -> None:
    sums = crc32c([record.payload for record in batch])
    for record, computed in zip(batch, sums.tolist(), strict=True):
        if masked(computed) != TAIL.unpack(record.tail)[0]:
            raise InputError(f"'{path}': wrong checksum of the record at byte {record.offset}")
