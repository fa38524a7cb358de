"""Between the tuple of tensors that f sees and the flat (B, D) matrix that solvers see."""

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from sevenfold.deq.base import State

CHUNK = 2048
"""Sums over a state are taken chunk by chunk; longer states are padded with zeros to a multiple of it."""


@dataclass(frozen=True)
class Layout:
    """Shapes and dtypes of one sample's parts; solvers use float64 if any part does, else float32."""

    shapes: tuple[torch.Size, ...]
    dtypes: tuple[torch.dtype, ...]
    dtype: torch.dtype
    bounds: tuple[int, ...]
    """The column at which each part begins, and last the number of columns they fill."""
    width: int
    """The number of columns of the flat matrix, padding included."""
    plain: bool
    """Whether a state is one tensor that fills the flat matrix."""
    views: bool
    """Whether :meth:`unpack` returns views, no copies of other precisions."""

    @classmethod
    def of(cls, state: State) -> "Layout":
        """Read the layout of a state, or say what is wrong with it (``TypeError`` or ``ValueError``)."""
        if not isinstance(state, tuple) or not state or not all(isinstance(part, Tensor) for part in state):
            raise TypeError(f"a state is a non-empty tuple of tensors, not {_describe(state)}")
        if any(part.dim() == 0 or not part.is_floating_point() for part in state):
            raise ValueError(
                f"every part needs a batch dimension and a real floating dtype: {_describe(state)}"
            )
        # Sizes are compared and not hashed: in a graph they may be symbols.
        first = state[0]
        if any(part.shape[0] != first.shape[0] or part.device != first.device for part in state) or not all(
            part.numel() for part in state
        ):
            raise ValueError(
                f"all parts need the same batch size and device, and elements: {_describe(state)}"
            )
        dtypes = tuple(part.dtype for part in state)
        # Solvers sum many small numbers: half precisions are converted, float64 is kept.
        dtype = torch.float64 if torch.float64 in dtypes else torch.float32
        shapes = tuple(part.shape[1:] for part in state)
        bounds = (0, *accumulate(shape.numel() for shape in shapes))
        size = bounds[-1]
        width = size if size <= CHUNK else -(-size // CHUNK) * CHUNK
        plain, views = len(shapes) == 1 and width == size, set(dtypes) == {dtype}
        return cls(shapes, dtypes, dtype, bounds, width, plain, views)

    def flat(self, state: State) -> Tensor:
        """Return a new flat matrix that holds a state; its padding is zero."""
        return self.pack(state, state[0].new_empty(state[0].shape[0], self.width, dtype=self.dtype))

    def pack(self, state: State, out: Tensor) -> Tensor:
        """Copy a state into the rows of ``out``, zeros into its padding; f must return the shapes given."""
        rows = out.shape[0]
        shapes = [getattr(part, "shape", None) for part in state] if isinstance(state, tuple) else None
        expected = [(rows, *shape) for shape in self.shapes]
        if shapes != expected:
            raise ValueError(f"f must return a tuple of tensors of shapes {expected}, not {_describe(state)}")
        if self.plain:  # one copy: on small states every call counts
            return out.copy_(state[0].reshape(rows, -1))
        for part, start, stop in zip(state, self.bounds, self.bounds[1:], strict=False):
            out[:, start:stop] = part.reshape(rows, -1)
        if self.width > self.bounds[-1]:
            out[:, self.bounds[-1] :] = 0
        return out

    def unpack(self, flat: Tensor) -> State:
        """View (for lower precisions: convert) the rows of a flat matrix as a state."""
        if self.plain and self.views:
            return (flat.view(-1, *self.shapes[0]),)
        columns = zip(self.bounds, self.bounds[1:], self.shapes, self.dtypes, strict=False)
        return tuple(
            flat[:, start:stop].view(flat.shape[0], *shape).to(dtype) for start, stop, shape, dtype in columns
        )


def _describe(state: object) -> str:
    if not isinstance(state, tuple | list):
        return f"a {type(state).__name__}"
    parts = (
        f"{part.dtype} {tuple(part.shape)}" if isinstance(part, Tensor) else type(part).__name__
        for part in state
    )
    return f"a {type(state).__name__} of {', '.join(parts) or 'nothing'}"
