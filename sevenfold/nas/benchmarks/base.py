"""The contract of a benchmark."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sevenfold.config import suggest
from sevenfold.errors import InputError
from sevenfold.nas.spaces.base import Ints, Space

logger = logging.getLogger(__name__)

Archs = Ints | Sequence[str]
"""A population (n, width), or strings in the first notation of the space."""

Seed = int | Literal["mean"]
Epoch = int | Literal["last"]


@dataclass(frozen=True)
class Curves:
    """Learning curves, ``values`` (n, R, E) with NaN where nothing was measured."""

    values: NDArray[np.float64]
    seeds: tuple[int | str, ...]
    epochs: tuple[Epoch, ...]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Return where a value was measured, (n, R, E)."""
        return ~np.isnan(self.values)

    def counts(self) -> dict[str, int]:
        """Count values and runs: how many there are, how many values are missing and how many runs are empty
        or partial.
        """
        known = self.mask.sum(axis=2)
        return {
            "values": self.values.size,
            "missing": int(self.values.size - known.sum()),
            "runs": known.size,
            "empty": int((known == 0).sum()),
            "partial": int(((known > 0) & (known < self.values.shape[2])).sum()),
        }


class Optimum(NamedTuple):
    """The best value of a series and all architectures that have it, (m, width)."""

    value: float
    archs: Ints


class Benchmark(ABC):
    """Answers queries for results of trainings, for whole populations; there are no silent defaults.

    Accuracies are percent, losses as trained, seconds simulated. Epochs count from 1: epoch e is the state
    after e complete epochs. A value that was not measured (an absent seed, a run that broke off) is NaN, and
    its number is logged; asking for a split, metric, epoch, seed or architecture the benchmark does not have
    at all raises ``InputError`` with what it has.
    """

    def __init__(
        self,
        space: Space,
        series: Mapping[str, tuple[Epoch, ...]],
        *,
        dataset: str,
        datasets: Sequence[str],
        seeds: tuple[int | str, ...],
        epochs: tuple[int, ...],
        minimize: Sequence[str] = ("loss",),
        separate_runs: bool = False,
    ) -> None:
        """Describe a benchmark: ``series`` maps "split/metric" to the epochs at which it is known, ("last",)
        where that is the end of each run's schedule only.

        ``minimize`` names the metrics of which less is better; with ``separate_runs`` every epoch of
        ``epochs`` is a separate training, not a point of one curve.
        """
        self.space, self.series = space, dict(series)
        self.dataset, self.datasets = dataset, tuple(datasets)
        self.seeds, self.epochs = seeds, epochs
        self.minimize, self.separate_runs = tuple(minimize), separate_runs

    @property
    def splits(self) -> tuple[str, ...]:
        """Return the names of the splits."""
        return tuple(dict.fromkeys(key.partition("/")[0] for key in self.series))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the names of the metrics; not every split need have every one."""
        return tuple(dict.fromkeys(key.partition("/")[2] for key in self.series))

    @abstractmethod
    def read(self, archs: Ints, series: str, seeds: slice, epochs: slice) -> NDArray[np.float64]:
        """Return values of "split/metric" at positions of the seeds and the series' epochs, (n, R, E)."""

    @abstractmethod
    def seconds(self, archs: Ints) -> NDArray[np.float64]:
        """Return the seconds that training until each of ``epochs`` takes, (n, R or 1, E)."""

    def lengths(self, archs: Ints) -> NDArray[np.integer] | None:
        """Return the epochs of each architecture's schedule, (n, R or 1), or None if all have all epochs."""
        return None

    @property
    @abstractmethod
    def archs(self) -> Ints:
        """Return all architectures, (N, width); ``InputError`` where they are not listed."""

    def checked(self, archs: Archs) -> Ints:
        """Return a population as an array; strings are read, unknown ones raise ``InputError``."""
        if len(archs) and isinstance(archs[0], str):
            return self.space.from_strings(archs)
        return self.space.checked(archs)

    def query(
        self, archs: Archs, *, split: str, metric: str, epoch: Epoch, seed: Seed
    ) -> NDArray[np.float64]:
        """Return one value for each architecture, (n,).

        ``seed`` is the number of a run or "mean", the average over the runs that were measured. ``epoch`` is
        a number or "last", the end of each run's schedule: a run that broke off before it has no last value.
        """
        archs = self.checked(archs)
        key, epochs = self._series(split, metric)
        seeds = self._seeds(seed)
        if epoch == "last":
            values = self._last(archs, key, epochs, seeds)
        else:
            place = find(epoch, epochs, f"epoch of {self.dataset}, {key},")
            values = self.read(archs, key, seeds, slice(place, place + 1))[:, :, 0]
        return self._told(average(values, axis=1), key)

    def curves(self, archs: Archs, *, split: str, metric: str, seed: Seed | Literal["all"]) -> Curves:
        """Return curves of one run, of the mean over runs (R = 1) or of "all" runs."""
        key, epochs = self._series(split, metric)
        values = self.read(self.checked(archs), key, self._seeds(seed), slice(None))
        if seed == "mean":
            return Curves(average(values, axis=1)[:, None], ("mean",), epochs)
        return Curves(values, self.seeds if seed == "all" else (seed,), epochs)

    def cost(self, archs: Archs, *, epoch: Epoch, seed: Seed) -> NDArray[np.float64]:
        """Return the simulated seconds that one training until ``epoch`` takes, (n,).

        For the seed "mean" it is the mean time of one training. NaN where no time is known.
        """
        archs = self.checked(archs)
        seconds = self.seconds(archs)
        if seconds.shape[1] > 1:
            seconds = seconds[:, self._seeds(seed)]
        if epoch == "last":
            return average(self._ends(seconds, self.lengths(archs), self.epochs), axis=1)
        place = find(epoch, self.epochs, f"epoch of {self.dataset}")
        return average(seconds[:, :, place], axis=1)

    def optimum(self, *, split: str, metric: str, epoch: Epoch, seed: Seed) -> Optimum:
        """Return the best value of a series and every architecture that reaches it."""
        archs = self.archs
        values = self.query(archs, split=split, metric=metric, epoch=epoch, seed=seed)
        if np.isnan(values).all():
            raise InputError(f"{self.dataset}, {split}/{metric}: no value was measured")
        # Exact equality below is meant: all architectures with the very best value are optima.
        best = np.nanmin(values) if metric in self.minimize else np.nanmax(values)
        return Optimum(float(best), archs[values == best])

    def optima(self, *, epoch: Epoch, seed: Seed) -> dict[str, Optimum]:
        """Return the optimum of every series that has this epoch, by "split/metric"."""
        keys = [key for key, epochs in self.series.items() if epoch == "last" or epoch in epochs]
        parts = {key: key.partition("/") for key in keys}
        return {
            key: self.optimum(split=split, metric=metric, epoch=epoch, seed=seed)
            for key, (split, _, metric) in parts.items()
        }

    def _series(self, split: str, metric: str) -> tuple[str, tuple[Epoch, ...]]:
        key = f"{split}/{metric}"
        if key not in self.series:
            raise InputError(f"{self.dataset} has no '{key}'; it has {', '.join(self.series)}")
        return key, self.series[key]

    def _seeds(self, seed: Seed | Literal["all"]) -> slice:
        """Return the positions of runs; a table that holds only means has one, "mean"."""
        # The mean is taken by the caller, over the runs that were measured.
        if seed in ("all", "mean"):
            return slice(None)
        place = find(seed, self.seeds, f"seed of {self.dataset}")
        return slice(place, place + 1)

    def _last(self, archs: Ints, key: str, epochs: tuple[Epoch, ...], seeds: slice) -> NDArray[np.float64]:
        # One length for all: the last entry is each run's end, and one column is read instead of all.
        lengths = self.lengths(archs)
        if lengths is None or epochs != self.epochs:
            return self.read(archs, key, seeds, slice(len(epochs) - 1, None))[:, :, 0]
        lengths = lengths[:, seeds] if lengths.shape[1] > 1 else lengths
        return self._ends(self.read(archs, key, seeds, slice(None)), lengths, self.epochs)

    @staticmethod
    def _ends(
        values: NDArray[np.float64], lengths: NDArray[np.integer] | None, epochs: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """Return the value at the end of each run's schedule, (n, R)."""
        if lengths is None:
            return values[:, :, -1]
        # The number of epochs is also the epoch at which a run ends.
        places = np.broadcast_to(np.searchsorted(epochs, lengths), values.shape[:2])
        return np.take_along_axis(values, places[:, :, None], axis=2)[:, :, 0]

    def _told(self, values: NDArray[np.float64], key: str) -> NDArray[np.float64]:
        if missing := int(np.isnan(values).sum()):
            logger.info("%s, %s: %d of %d values are missing", self.dataset, key, missing, len(values))
        return values


def find(item: object, known: Sequence[object], what: str) -> int:
    """Return the position of an item among the known ones, or raise ``InputError`` that lists them."""
    # True equals 1 in Python, and would be taken for seed or epoch 1.
    if item in known and not isinstance(item, bool):
        return list(known).index(item)
    shown = ", ".join(map(str, known if len(known) <= 12 else [*known[:5], "...", *known[-5:]]))
    raise InputError(f"{what} {item!r} is not known; known: {shown or 'none'}")


def average(values: NDArray[np.float64], *, axis: int) -> NDArray[np.float64]:
    """Return the mean of what is no NaN, NaN where nothing is."""
    if values.shape[axis] == 1:
        return np.squeeze(values, axis=axis)
    known = ~np.isnan(values)
    # np.nanmean gives the same and warns about empty rows, which are usual here.
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(count, total / np.maximum(count, 1), np.nan)


def only(name: str | None, known: Sequence[str], what: str) -> str:
    """Return the chosen name, or the only one there is; ``InputError`` lists them where a choice is due."""
    if name is None and len(known) == 1:
        return known[0]
    if name is None:
        raise InputError(f"say which {what}: {', '.join(known)}")
    if name not in known:
        raise InputError(f"{what} '{name}' is not known. {suggest(name, known)} All: {', '.join(known)}")
    return name
