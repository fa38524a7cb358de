"""A surrogate with the call signature of the authors' package."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.x11.surrogate import Surrogate


class DropIn:
    """``predict(config, representation, with_noise)`` as in ``nas_bench_x11``."""

    def __init__(self, surrogate: Surrogate) -> None:
        self.surrogate = surrogate

    def predict(
        self,
        config: Any,
        representation: str,
        with_noise: bool = False,
        search_space: str | None = None,
        components: bool = False,
        *,
        seed: int = 0,
    ) -> NDArray[np.float64]:
        """Return the curve (E,) of one architecture, or (n, E) of a list or array of rows.

        ``representation`` is a notation of the space (``arch_str`` and ``genotype`` are its first) or
        anything else for a ready encoding, (d,). ``with_noise`` gives the training of ``seed``; the same
        call gives the same curve.
        ``components`` gives coefficients (k,) instead, of an SVD the coordinates in U. ``search_space`` is
        accepted and must name the surrogate's space, if anything.
        """
        space = self.surrogate.ensemble.space
        self._check_space(search_space)
        single = not isinstance(config, list | np.ndarray) or np.ndim(config) == 1 and not _strings(config)
        notation = space.notations[0] if representation in ("arch_str", "genotype") else representation
        if notation in space.notations:
            archs = space.from_strings([config] if single else list(config), notation=notation)
            x = self.surrogate.ensemble.encode(archs)
        else:
            x = np.atleast_2d(np.asarray(config, float))
            archs = np.frombuffer(np.ascontiguousarray(x).tobytes(), np.int64).reshape(len(x), -1)
        if components:
            result = self.surrogate.ensemble.coefficients(x)
        else:
            seeds = [seed] * len(x) if with_noise else None
            result = self.surrogate.curves_encoded(x, archs, seeds=seeds)[:, :, 0]
        return result[0] if single else result

    def _check_space(self, search_space: str | None) -> None:
        own = type(self.surrogate.ensemble.space).__name__.lower()
        if search_space is not None and search_space.lower().replace("nasbench", "nb") != own:
            raise InputError(f"search_space is '{search_space}'; this surrogate is of '{own}'")


def _strings(config: Any) -> bool:
    return len(config) > 0 and isinstance(config[0], str)
