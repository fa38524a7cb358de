"""The contract of a search space."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from sevenfold.config import suggest
from sevenfold.errors import InputError
from sevenfold.ranges import Checked

Ints = NDArray[np.integer]
"""Architectures: one row of small integers each, (n, width), int8 unless the caller made them otherwise."""


class Part(NamedTuple):
    """Consecutive coordinates of an adjacency encoding, ``values`` of shape (n, k).

    With ``levels`` 0 they are bits. Else they are codes 0..levels-1: in the compact form each becomes the
    number ``unit`` * code, in the one-hot form a vector of ``levels`` bits. If they are ``members`` of a set
    (padded with 0, which is never a member), the one-hot form is one vector of ``levels`` bits for all of
    them.

    With ``places`` (levels,) the codes are numbers: the compact form is their place in [0, 1], the one-hot
    form the hat functions around it, and their distance twice that of the places. ``active`` (n,) tells
    where a conditional coordinate counts; elsewhere both forms are 0, and a choice has one more level for it
    unless it is ``bare``.
    """

    values: Ints
    levels: int = 0
    unit: float = 1.0
    members: bool = False
    places: NDArray[np.float64] | None = None
    active: NDArray[np.bool_] | None = None
    bare: bool = False


class Graph(NamedTuple):
    """Architectures as graphs with operations on the vertices, all padded to V vertices.

    ``adjacency`` (n, V, V) holds 1 where an edge leads from row to column, ``nodes`` (n, V, labels) one-hot
    labels and ``mask`` (n, V) 1 for real vertices; all uint8. Padding is zero everywhere.
    """

    adjacency: NDArray[np.uint8]
    nodes: NDArray[np.uint8]
    mask: NDArray[np.uint8]


class Space(Checked, ABC):
    """A set of architectures, each a row of ``width`` small integers; every operation takes a population.

    The class attributes list the known names, the default first. Methods given an unknown name raise
    ``InputError`` with the known ones, and all randomness comes from the generator that is passed in.
    """

    width: int
    size: int | None = None
    """How many architectures there are, as the benchmark counts them; None where that is not known."""

    samplings: tuple[str, ...]
    mutations: tuple[str, ...]
    neighborhoods: tuple[str, ...]
    notations: tuple[str, ...]

    path_blocks: int = 1
    """Equal blocks that a path encoding consists of, each ordered by path length."""
    path_cutoff: int
    """How many leading coordinates of every block the truncated path encoding keeps by default."""
    path_slots: int
    """How many different paths an architecture can have, at most."""

    @abstractmethod
    def sample(self, rng: Generator, n: int, *, method: str = ...) -> Ints:
        """Draw ``n`` valid architectures, (n, width); ``method`` is one of ``samplings``."""

    @abstractmethod
    def mutate(self, archs: Ints, rng: Generator, *, rate: float = 1.0, kind: str = ...) -> Ints:
        """Return one valid child of each row, (n, width); ``kind`` is one of ``mutations``.

        The number of changes grows with ``rate``; a child may equal its parent, so the caller removes
        repeats by key.
        """

    @abstractmethod
    def neighbors(self, arch: ArrayLike, *, kind: str = ...) -> Ints:
        """Return all different rows one step away from ``arch``, (m, width), itself excluded.

        ``kind`` is one of ``neighborhoods``. The order is fixed.
        """

    @abstractmethod
    def keys(self, archs: Ints) -> NDArray[np.int64]:
        """Name each architecture by a number, (n,): equal for those that are the same network."""

    @abstractmethod
    def is_valid(self, archs: Ints) -> NDArray[np.bool_]:
        """Return which rows are architectures of the space, (n,)."""

    @abstractmethod
    def to_strings(self, archs: Ints, *, notation: str = ...) -> list[str]:
        """Write each row in one of ``notations``."""

    @abstractmethod
    def from_strings(self, strings: Iterable[str], *, notation: str = ...) -> Ints:
        """Read what ``to_strings`` writes, (n, width); ``InputError`` names the first wrong string."""

    @abstractmethod
    def parts(self, archs: Ints) -> list[Part]:
        """Return the coordinates of the adjacency encoding in order."""

    @abstractmethod
    def from_parts(self, values: Sequence[Ints]) -> Ints:
        """Return the architectures whose ``parts`` have these values, (n, width)."""

    @abstractmethod
    def graph(self, archs: Ints) -> Graph:
        """Return the architectures as graphs with operations on the vertices."""

    @property
    def has_paths(self) -> bool:
        """Whether a path encoding is defined."""
        return type(self).path_bits is not Space.path_bits

    def path_bits(self, archs: Ints) -> NDArray[np.uint8]:
        """Return which operation sequences lead from input to output, (n, paths), as 0 and 1.

        Raises ``InputError`` where no path encoding is defined.
        """
        raise InputError(
            f"a path encoding is not defined on {type(self).__name__}; use an adjacency encoding"
        )

    def trunc_path_bits(self, archs: Ints, cutoff: int | None) -> NDArray[np.uint8]:
        """Return the leading coordinates of every block of ``path_bits``, by default ``path_cutoff``."""
        return self.truncated(self.path_bits(archs), cutoff)

    def truncated(self, bits: NDArray[np.uint8], cutoff: int | None) -> NDArray[np.uint8]:
        """Return the leading ``cutoff`` coordinates of every block of path bits; None: ``path_cutoff``."""
        width = bits.shape[1] // self.path_blocks
        keep = self.path_cutoff if cutoff is None else cutoff
        if not 1 <= keep <= width:
            raise InputError(f"a path cutoff must be 1..{width} on {type(self).__name__}, got {keep}")
        return flat(bits.reshape(len(bits), self.path_blocks, width)[:, :, :keep])

    def from_path_bits(self, bits: NDArray[np.integer]) -> Ints:
        """Return an architecture with exactly these paths for each row, (n, width).

        Raises ``InputError`` where none has them, and on a space without a table from paths to architectures.
        """
        raise InputError(f"paths cannot be turned into architectures of {type(self).__name__}")

    def checked(self, archs: ArrayLike) -> Ints:
        """Return a population as an array, refusing any other shape or type than (n, width) integers."""
        array = np.asarray(archs)
        if array.ndim != 2 or array.shape[1] != self.width or array.dtype.kind not in "iu":
            raise InputError(
                f"{type(self).__name__} needs integer architectures of shape (n, {self.width}), got shape "
                f"{array.shape} of {array.dtype}"
            )
        return array


class Enumerable(Space):
    """A space small enough to be listed: its architectures have numbers 0..len-1."""

    @abstractmethod
    def index(self, archs: Ints) -> NDArray[np.int64]:
        """Return the number of each architecture, (n,)."""

    @abstractmethod
    def archs(self, indices: ArrayLike) -> Ints:
        """Return the architectures with these numbers, (n, width)."""

    @abstractmethod
    def neighbor_table(self) -> NDArray[np.int32]:
        """Return the numbers of all neighbors, (len, degree), rows padded with -1."""


def choose(name: str, known: Sequence[str], what: str) -> str:
    """Return ``name`` if it is known, else raise ``InputError`` with a suggestion."""
    if name not in known:
        raise InputError(f"{what} '{name}' is not known. {suggest(name, known)}")
    return name


def flat(array: NDArray) -> NDArray:
    """Return (n, ...) as rows (n, d), for n = 0 too."""
    return array.reshape(len(array), math.prod(array.shape[1:]))


def one_hot(codes: Ints, levels: int) -> NDArray[np.uint8]:
    """Expand codes (..., k) in 0..levels-1 to one-hot vectors (..., k, levels)."""
    return (np.asarray(codes)[..., None] == np.arange(levels)).astype(np.uint8)
