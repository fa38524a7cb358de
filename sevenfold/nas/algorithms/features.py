"""Encodings as inputs of a model; a space that can be listed is encoded once."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from sevenfold.config import ConfigError, build, schema
from sevenfold.errors import InputError
from sevenfold.nas.algorithms.acquisition import Acquisition
from sevenfold.nas.algorithms.surrogate import Model, Targets
from sevenfold.nas.encodings import ENCODINGS
from sevenfold.nas.spaces.base import Enumerable, Ints, Space
from sevenfold.tables import component

LISTED = 50_000
"""Spaces of up to so many architectures are encoded whole."""

_TABLES: WeakKeyDictionary[Space, dict[tuple[str, int | None], NDArray[np.float32]]] = WeakKeyDictionary()


class Features:
    """An encoding of ``ENCODINGS``, cut to ``cutoff`` coordinates where it is a truncated one."""

    def __init__(self, encoding: str, cutoff: int | None = None) -> None:
        if "cutoff" not in schema(component(ENCODINGS, encoding, "encoding")) and cutoff is not None:
            raise ConfigError("cutoff", f"belongs to a truncated encoding, not to '{encoding}'")
        self.encoding, self.cutoff = encoding, cutoff

    def check(self, space: Space) -> None:
        """Raise ``ConfigError`` where the space has no such encoding."""
        self._encode(space, space.sample(np.random.default_rng(0), 1))

    def of(self, space: Space, archs: Ints) -> NDArray[np.float32]:
        """Return the rows of a population, (n, d)."""
        if not isinstance(space, Enumerable) or (space.size or LISTED + 1) > LISTED:
            return self._encode(space, archs)
        # The encoding-dependent step `train predictor` of White, Neiswanger, Nolen and Savani 2020: rows of a
        # listed space are computed once.
        tables = _TABLES.setdefault(space, {})
        key = (self.encoding, self.cutoff)
        if key not in tables:
            tables[key] = self._encode(space, space.archs(np.arange(space.size or 0)))
        return tables[key][space.index(archs)]

    def each(self, space: Space, populations: Sequence[Ints]) -> list[NDArray[np.float32]]:
        """Return the rows of several populations, encoded as one."""
        rows = self.of(space, np.concatenate(populations))
        return np.split(rows, np.cumsum([len(archs) for archs in populations])[:-1])

    def _encode(self, space: Space, archs: Ints) -> NDArray[np.float32]:
        cut = {} if self.cutoff is None else {"cutoff": self.cutoff}
        try:
            rows = build(ENCODINGS, {"name": self.encoding, **cut}, "encoding", space=space, archs=archs)
        except InputError as error:
            raise ConfigError("encoding", str(error)) from None
        return np.asarray(rows, np.float32)


class EncodedModel(Model):
    """A model of the loss as a function of an encoding.

    Args:
        encoding: encoding of the architectures that the model learns from.
        cutoff: coordinates that a truncated encoding keeps, the leading ones; null: its default.
    """

    def __init__(
        self, encoding: str, cutoff: int | None, *, targets: Targets, acquisition: Acquisition
    ) -> None:
        super().__init__(targets=targets, acquisition=acquisition)
        self.features = Features(encoding, cutoff)

    def check(self, space: Space) -> None:
        """Refuse a space without the encoding."""
        self.features.check(space)


def padded(rows: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
    """Stack (m, d) arrays of different length, (T, longest, d), repeating each one's first row."""
    longest = max(map(len, rows))
    return np.stack([np.concatenate([r, np.repeat(r[:1], longest - len(r), axis=0)]) for r in rows])
