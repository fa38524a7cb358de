"""Named, order-free random streams: the same (seed, names) gives the same numbers everywhere."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

# torch is imported where it is used: processes that draw only NumPy's numbers start without it.


def stream_seed(seed: int, *names: str | int) -> int:
    """Derive a 63-bit seed from a base seed and any number of names or indices.

    The value depends on nothing but its arguments (not on process, rank, worker or call order), so trials and
    samples may be computed anywhere and in any order. Names are hashed with their type: ``1`` and ``"1"``
    differ.
    """
    text = repr((int(seed), *((type(name).__name__, name) for name in names)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def torch_generator(seed: int, *names: str | int, device: "str | torch.device" = "cpu") -> "torch.Generator":
    """Return a ``torch.Generator`` for the stream ``(seed, *names)``."""
    import torch

    return torch.Generator(device=device).manual_seed(stream_seed(seed, *names))


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a ``numpy.random.Generator`` for the stream ``(seed, *names)``."""
    return np.random.default_rng(stream_seed(seed, *names))


@contextmanager
def seeded(seed: int, *names: str | int, device: "str | torch.device" = "cpu") -> Iterator[None]:
    """Let what draws from torch's global generators (initial weights, dropout) draw from a named stream.

    The generators of the CPU and of ``device`` are as before when the block is left.
    """
    import torch

    place = torch.device(device)
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
        torch.manual_seed(stream_seed(seed, *names))
        yield
