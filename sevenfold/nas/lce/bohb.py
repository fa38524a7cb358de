"""BOHB (Falkner et al. 2018), Hyperband with networks that a density model proposes."""

from collections import deque

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.nas.lce.filtered import Trace
from sevenfold.nas.lce.hyperband import Hyperband
from sevenfold.nas.lce.tables import CurveTable
from sevenfold.nas.spaces.base import Ints
from sevenfold.ranges import AtLeastTwo, Count, OpenShare, Share

LEAST_BANDWIDTH = 1e-3


class BOHB(Hyperband):
    """Hyperband with networks that are likelier under a density of good networks than under that of others.

    Both densities are products of kernels over unordered codes (Aitchison and Aitken), fitted at the highest
    rung with at least ``width`` + 1 networks in each part. Of several samples from the good density the one
    with the largest ratio is trained.

    Args:
        top: share of a rung's networks that count as good, at least ``width`` + 1 of them.
        samples: samples from the good density, of which one is trained.
        random: share of networks that are drawn at random instead.
        memory: latest results of a rung that the densities are fitted to.
    """

    def __init__(
        self,
        *,
        eta: AtLeastTwo = 3,
        least: Count = 4,
        resume: bool = True,
        top: OpenShare = 0.1,
        samples: Count = 128,
        random: Share = 0.2,
        memory: Count = 300,
    ) -> None:
        super().__init__(eta=eta, least=least, resume=resume)
        self.top, self.samples, self.share, self.memory = top, samples, random, memory
        self.results: dict[int, deque[tuple[float, int]]] = {}

    def run(self, table: CurveTable, stream: Generator, budget: int) -> Trace:
        """Begin without memory."""
        self.results = {}
        return super().run(table, stream, budget)

    def learn(self, table: CurveTable, row: int, epochs: int) -> None:
        """Remember a result of a rung."""
        rung = self.results.setdefault(epochs, deque(maxlen=self.memory))
        rung.append((float(table.curves[row, epochs - 1]), row))

    def draw(self, table: CurveTable, stream: Generator, count: int, taken: set[int]) -> list[int]:
        """Draw by the model where it has enough to learn from."""
        parts = self._parts(table)
        if parts is None or stream.random() < self.share:
            return super().draw(table, stream, count, taken)
        assert table.archs is not None and table.space is not None
        good, bad = (Density(table.archs[rows], table.archs) for rows in parts)
        drawn = good.sample(stream, self.samples)
        # The largest ratio good / bad first, which maximizes expected improvement (Bergstra et al. 2011).
        order = np.argsort(bad.logs(drawn) - good.logs(drawn), kind="stable")
        candidates = [row for row in table.rows(drawn[order]) if row is not None and row not in taken]
        return candidates[:count] or super().draw(table, stream, count, taken)

    def _parts(self, table: CurveTable) -> tuple[list[int], list[int]] | None:
        """Return good and other networks of the highest rung with enough of both."""
        assert table.archs is not None
        least = table.archs.shape[1] + 1
        # The longest trainings tell most about the end, as soon as there are enough of them.
        for epochs in sorted(self.results, reverse=True):
            ranked = [row for _, row in sorted(self.results[epochs], reverse=True)]
            good = max(least, int(self.top * len(ranked)))
            if len(ranked) - good >= least:
                return ranked[:good], ranked[good:]
        return None


class Density:
    """A product over coordinates of Aitchison-Aitken kernels around networks, mixed evenly."""

    def __init__(self, archs: Ints, every: Ints) -> None:
        self.archs, self.levels = archs, every.max(axis=0).astype(int) + 1
        # The normal reference rule by coordinate, 1.06 s n^(-1 / (4 + d)).
        spread = archs.std(axis=0) * 1.06 * len(archs) ** (-1 / (4 + archs.shape[1]))
        self.width = np.clip(spread, LEAST_BANDWIDTH, 1 - 1 / np.maximum(self.levels, 2))

    def logs(self, archs: Ints) -> NDArray[np.float64]:
        """Return log densities, (n,)."""
        same = archs[:, None] == self.archs[None]
        other = self.width / np.maximum(self.levels - 1, 1)
        logs = np.where(same, np.log(1 - self.width), np.log(other)).sum(axis=2)
        return np.asarray(np.log(np.exp(logs).mean(axis=1) + 1e-300))

    def sample(self, stream: Generator, n: int) -> Ints:
        """Draw networks: one that is known, every code changed with the kernel's probability."""
        archs = self.archs[stream.integers(len(self.archs), size=n)].copy()
        change = stream.random(archs.shape) < self.width
        shift = 1 + (stream.random(archs.shape) * np.maximum(self.levels - 1, 1)).astype(archs.dtype)
        return np.where(change & (self.levels > 1), (archs + shift) % self.levels, archs).astype(archs.dtype)
