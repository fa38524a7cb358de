"""Between the tuple of tensors that f sees and the flat (B, D) matrix that solvers see."""

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from sevenfold.deq.base import State


@dataclass(frozen=True)
class Layout:
    """Shapes and dtypes of one sample's parts, and the precision solvers use: float64 if any is, or 32."""

    shapes: tuple[torch.Size, ...]
    dtypes: tuple[torch.dtype, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, state: State) -> "Layout":
        """Read the layout of a state, or say what is wrong with it (``TypeError`` or ``ValueError``)."""
        if not isinstance(state, tuple) or not state or not all(isinstance(part, Tensor) for part in state):
            raise TypeError(f"a state is a non-empty tuple of tensors, not {_describe(state)}")
        if any(part.dim() == 0 or not part.is_floating_point() for part in state):
            raise ValueError(
                f"every part needs a batch dimension and a real floating dtype: {_describe(state)}"
            )
        if len({(len(part), part.device) for part in state}) > 1:
            raise ValueError(f"all parts need the same batch size and device: {_describe(state)}")
        dtypes = tuple(part.dtype for part in state)
        return cls(
            shapes=tuple(part.shape[1:] for part in state),
            dtypes=dtypes,
            dtype=torch.float64 if torch.float64 in dtypes else torch.float32,
        )

    @property
    def bounds(self) -> list[int]:
        """Return the column at which each part begins, and last the number of columns."""
        return [0, *accumulate(shape.numel() for shape in self.shapes)]

    def pack(self, state: State, out: Tensor) -> Tensor:
        """Copy a state into the rows of ``out`` (B, D); f must have returned the shapes it was given."""
        expected = tuple((len(out), *shape) for shape in self.shapes)
        if not isinstance(state, tuple) or tuple(getattr(part, "shape", None) for part in state) != expected:
            raise ValueError(f"f must return a tuple of tensors of shapes {expected}, not {_describe(state)}")
        for part, start, stop in zip(state, self.bounds, self.bounds[1:], strict=False):
            out[:, start:stop] = part.reshape(len(out), -1)
        return out

    def unpack(self, flat: Tensor) -> State:
        """View (or, for lower precisions, convert) the rows of a (B, D) matrix as a state."""
        bounds = self.bounds
        return tuple(
            flat[:, start:stop].unflatten(1, shape or (1,)).reshape(len(flat), *shape).to(dtype)
            for start, stop, shape, dtype in zip(bounds, bounds[1:], self.shapes, self.dtypes, strict=False)
        )


def _describe(state: object) -> str:
    if not isinstance(state, tuple | list):
        return f"a {type(state).__name__}"
    parts = (
        f"{part.dtype} {tuple(part.shape)}" if isinstance(part, Tensor) else type(part).__name__
        for part in state
    )
    return f"{type(state).__name__} of " + ", ".join(parts)
