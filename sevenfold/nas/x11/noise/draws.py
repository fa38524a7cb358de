"""Random numbers of a curve: the same for an architecture, a seed and a metric in every call."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from sevenfold.nas.spaces.base import Ints

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """Standard normal and uniform numbers of n curves, (n, E + EXTRA) and (n, UNIFORMS).

    Every noise model turns these into curves without drawing more, so that a curve until epoch e is
    the beginning of the curve until a later one.
    """

    normal: Floats
    uniform: Floats


EXTRA = 32  # normals beside those of the epochs, for coefficients and latents
UNIFORMS = 24  # of choices and spikes


def keyed(archs: Ints, seeds: NDArray[np.integer], metric: int, epochs: int) -> Draws:
    """Return the numbers of (architecture, seed) pairs, one row each, by a counter-based generator (Philox)
    whose key is a hash of the architecture's codes, the seed and the metric.
    """
    codes = np.ascontiguousarray(archs, np.int64)
    normal, uniform = np.empty((len(codes), epochs + EXTRA)), np.empty((len(codes), UNIFORMS))
    bits = Philox(key=0)
    generator, fresh = Generator(bits), bits.state
    for row, (code, seed) in enumerate(zip(codes, seeds.tolist(), strict=True)):
        text = code.tobytes() + int(seed).to_bytes(8, "little", signed=True) + bytes([metric])
        fresh["state"]["key"][:] = np.frombuffer(hashlib.blake2b(text, digest_size=16).digest(), np.uint64)
        bits.state = fresh
        generator.standard_normal(out=normal[row])
        generator.random(out=uniform[row])
    return Draws(normal, uniform)


def streamed(n: int, epochs: int, generator: Generator) -> Draws:
    """Return the numbers of n curves from a stream."""
    return Draws(generator.standard_normal((n, epochs + EXTRA)), generator.random((n, UNIFORMS)))
