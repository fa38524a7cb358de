"""One color scale for all pictures of a sequence of flow fields."""

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

SCALED_BY = 32  # pairs of a sequence that decide its scale
Item = TypeVar("Item")


class SequenceScale(Generic[Item]):
    """Hands the items of a sequence on with its scale, once that is known; then it never changes.

    The scale is the 99th percentile of speed over the first 32 pairs, at least 1 px, so that noise of still
    frames is not as vivid as motion. Measured at one of four pixels of each axis.

    Args:
        draw: called with an item and the scale in px.
        scale: in px, where it is known beforehand.

    Example:
        >>> drawn = []
        >>> pictures = SequenceScale(lambda item, scale: drawn.append((item, scale)))
        >>> pictures.add("slow", torch.full((8, 8), 2.0)); pictures.add("still", torch.zeros(8, 8)); drawn
        []
        >>> pictures.flush(); drawn
        [('slow', 2.0), ('still', 2.0)]
    """

    def __init__(self, draw: Callable[[Item, float], None], scale: float | None = None) -> None:
        self.draw, self.scale = draw, scale
        self._waiting: list[Item] = []
        self._speeds: list[Tensor] = []

    def add(self, item: Item, speed: Tensor) -> None:
        """Take an item and the speed (H, W) of its flow in px."""
        self._waiting.append(item)
        if self.scale is None:
            self._speeds.append(speed[::4, ::4].flatten())
        if self.scale is not None or len(self._waiting) >= SCALED_BY:
            self.flush()

    def flush(self) -> None:
        """Draw what waits, as at the end of the sequence."""
        if self.scale is None and self._speeds:
            speeds = torch.cat(self._speeds).double().sort().values
            # Linear between the two nearest, as NumPy's quantile is; torch's takes few values only.
            place = 0.99 * (len(speeds) - 1)
            low = int(place)
            high = min(low + 1, len(speeds) - 1)
            self.scale = max(1.0, float(torch.lerp(speeds[low], speeds[high], place - low)))
            self._speeds.clear()
        for item in self._waiting:
            assert self.scale is not None
            self.draw(item, self.scale)
        self._waiting.clear()
