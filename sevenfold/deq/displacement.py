"""Residuals in pixels, for states one part of which holds coordinates."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sevenfold.deq.base import Measured, State


@dataclass(frozen=True)
class Displacement:
    """Measure a state whose part ``coords``, (B, 2, ...), holds positions on a grid of ``cell`` pixels.

    Absolute positions grow with the image and would hide the error of a motion in a relative residual; the
    norm of f(z) is therefore taken after subtracting ``origin``, (1 or B, 2, ...), from the positions (None:
    subtract nothing, the definition of published logs). ``pixels`` is the mean length of a step in pixels,
    ``rest`` the relative residual of all other parts. Pass an instance as ``measure`` together with
    ``Stop(mode="pixel")``.
    """

    coords: int = 1
    cell: float = 8.0
    origin: Tensor | None = None

    def __call__(self, z: State, fz: State, index: Tensor | None = None) -> Measured:
        """Measure one step z -> f(z); ``index`` says which samples of the batch remain."""
        step = [after - before for before, after in zip(z, fz, strict=True)]
        shown = list(fz)
        if self.origin is not None:
            whole = index is None or len(self.origin) == 1
            shown[self.coords] = shown[self.coords] - (self.origin if whole else self.origin[index])
        rest = [i for i in range(len(fz)) if i != self.coords]
        hidden = Measured(_norm([step[i] for i in rest]), _norm([shown[i] for i in rest]))
        # Pixels per step: cell |c' - c|, averaged over positions. The relative residual of the rest is
        # |f(h) - h| / |f(h)|, as the logs of DEQ-Flow print it (Bai et al. 2022).
        moved = torch.linalg.vector_norm(step[self.coords].float(), dim=1).flatten(1).mean(1)
        return Measured(_norm(step), _norm(shown), pixels=self.cell * moved, rest=hidden.rel)


def _norm(parts: list[Tensor]) -> Tensor:
    """Return the Euclidean norm over several parts, (B,), in at least float32."""
    squares = [
        part.to(torch.promote_types(part.dtype, torch.float32)).reshape(part.shape[0], -1).square().sum(1)
        for part in parts
    ]
    return torch.stack(squares).sum(0).sqrt()
