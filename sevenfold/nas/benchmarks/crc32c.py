"""CRC-32C (Castagnoli) as TFRecord files use it, for many byte strings at once."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x82F63B78  # reflected


@cache
def _table() -> NDArray[np.uint32]:
    """Return the remainder of every byte, (256,)."""
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ np.uint32(POLYNOMIAL), values >> 1)
    return values


def crc32c(strings: Sequence[bytes]) -> NDArray[np.uint32]:
    """Return the checksum of every byte string, (n,): one table look-up a byte position for all of them."""
    lengths = np.array([len(string) for string in strings])
    order = np.argsort(-lengths, kind="stable")
    longest = int(lengths.max(initial=0))
    padded = b"".join(strings[i].ljust(longest, b"\0") for i in order)
    columns = np.ascontiguousarray(np.frombuffer(padded, np.uint8).reshape(-1, longest or 1).T)
    alive = np.searchsorted(-lengths[order], -np.arange(longest), side="left")  # strings longer than position
    crc = np.full(len(strings), 0xFFFFFFFF, np.uint32)
    table = _table()
    for column, count in zip(columns, alive, strict=False):
        part = crc[:count]
        crc[:count] = table[(part ^ column[:count]) & 0xFF] ^ (part >> 8)
    result = np.empty_like(crc)
    result[order] = crc ^ np.uint32(0xFFFFFFFF)
    return result


def crc32c_short(string: bytes) -> int:
    """Return the checksum of a few bytes, where an array would cost more than the work."""
    table, crc = _list(), 0xFFFFFFFF
    for byte in string:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@cache
def _list() -> list[int]:
    return [int(value) for value in _table()]


def masked(crc: int) -> int:
    """Return a checksum as it is stored: rotated right by 15 bits, plus a constant, modulo 2^32."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
