"""A fitted surrogate as a benchmark, in which every architecture of its space has learning curves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.base import Archs, Benchmark, Curves, Epoch, Seed, find
from sevenfold.nas.spaces.base import Enumerable, Ints
from sevenfold.nas.x11.drop_in import DropIn
from sevenfold.nas.x11.export import load
from sevenfold.nas.x11.surrogate import Surrogate
from sevenfold.ranges import Count


class X11Benchmark(Benchmark):
    """Queries of a surrogate: the seed ``mean`` is the denoised curve, a number one noisy training.

    Architecture and seed fix the whole curve, in every process; asking for epoch e gives a point of the curve
    that a later epoch continues. ``seeds``: how many trainings each architecture is said to have. No time is
    known.
    """

    def __init__(self, surrogate: Surrogate, *, dataset: str = "surrogate", seeds: int = 100) -> None:
        self.surrogate, ensemble = surrogate, surrogate.ensemble
        epochs = tuple(range(1, ensemble.epochs + 1))
        super().__init__(
            ensemble.space,
            dict.fromkeys(ensemble.metrics, epochs),
            dataset=dataset,
            datasets=[dataset],
            seeds=tuple(range(seeds)),
            epochs=epochs,
        )
        self.predict = DropIn(surrogate).predict
        """The call of the authors' package, see :class:`drop_in.DropIn`."""

    def query(
        self,
        archs: Archs,
        *,
        split: str,
        metric: str,
        epoch: Epoch,
        seed: Seed,
        observed: Mapping[int, Any] | None = None,
    ) -> NDArray[np.float64]:
        """Return one value for each architecture, (n,); with ``observed``, ``{epoch: value or (n,)}``, that
        of a training of which these values of the metric are known.
        """
        curves = self.curves(archs, split=split, metric=metric, seed=seed, observed=observed)
        place = -1 if epoch == "last" else find(epoch, self.epochs, f"epoch of {self.dataset}")
        return curves.values[:, 0, place]

    def curves(
        self,
        archs: Archs,
        *,
        split: str,
        metric: str,
        seed: Seed | Literal["all"],
        observed: Mapping[int, Any] | None = None,
    ) -> Curves:
        """Return denoised curves (``mean``), those of one seed, or of "all" seeds."""
        key, epochs = self._series(split, metric)
        if seed == "all" and observed:
            raise InputError("observed values belong to one training: give a seed or 'mean'")
        if seed == "all":
            return super().curves(archs, split=split, metric=metric, seed=seed)
        archs, place = self.checked(archs), self.surrogate.ensemble.metrics.index(key)
        seeds = None if seed == "mean" else [find_seed(seed, self.seeds)] * len(archs)
        result = self.surrogate.curves(archs, seeds=seeds, observed=observed, metric=place)
        return Curves(result[:, None, :, place], (seed,), epochs)

    def read(self, archs: Ints, series: str, seeds: slice, epochs: slice) -> NDArray[np.float64]:
        """Return noisy values of some seeds, (n, R, E)."""
        place, chosen = self.surrogate.ensemble.metrics.index(series), self.seeds[seeds]
        # All seeds of all architectures in one call, for the cost is in calls and not in rows.
        repeated = np.repeat(archs, len(chosen), axis=0)
        result = self.surrogate.curves(repeated, seeds=[int(seed) for seed in chosen] * len(archs))
        return result[:, epochs, place].reshape(len(archs), len(chosen), -1)

    def seconds(self, archs: Ints) -> NDArray[np.float64]:
        """Return NaN: the surrogate knows no times."""
        return np.full((len(archs), 1, len(self.epochs)), np.nan)

    @property
    def archs(self) -> Ints:
        """Return the whole space, where it can be listed."""
        if not isinstance(self.space, Enumerable):
            raise InputError(f"{type(self.space).__name__} cannot be listed")
        return self.space.archs(np.arange(self.space.size or 0))


def find_seed(seed: Seed, seeds: tuple[int | str, ...]) -> int:
    """Return a seed that the benchmark has."""
    find(seed, seeds, "seed")
    return int(seed)


def x11(*, path: str, seeds: Count = 100) -> X11Benchmark:
    """Surrogate learning curves of any architecture of a space, from an exported surrogate.

    ``load_benchmark("x11:FOLDER")`` opens the same.

    Args:
        path: folder of the exported surrogate.
        seeds: number of noisy trainings that each architecture has.
    """
    return X11Benchmark(load(path), dataset=Path(path).name, seeds=seeds)
