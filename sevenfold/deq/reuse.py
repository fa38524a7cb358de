"""Fixed-point reuse: start a frame of a sequence where the previous one ended."""

from collections.abc import Callable, Hashable, Sequence

import torch

from sevenfold.deq.base import State


class Reuse:
    """Carry the solution of one call to the next, sample by sample, as long as its sequence stays the same.

    Args:
        parts: the positions of the parts of the state to carry, the others start afresh; None for all.
        project: maps the carried state to where it should be on the next frame (for flow: moves it along
            itself); None to carry it as it is.

    Example:
        >>> reuse = Reuse()
        >>> fresh = (torch.zeros(2, 3),)
        >>> reuse.store((torch.ones(2, 3),), ["a", "b"])
        >>> reuse.start(fresh, ["a", "c"])[0][:, 0].tolist()
        [1.0, 0.0]
    """

    def __init__(
        self, *, parts: Sequence[int] | None = None, project: Callable[[State], State] | None = None
    ) -> None:
        self.parts, self.project = parts, project
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next start is fresh."""
        self.state: State | None = None
        self.sequence: list[Hashable] = []

    def start(self, fresh: State, sequence: Sequence[Hashable]) -> State:
        """Return the initial state: carried where the sample's sequence continues, ``fresh`` elsewhere.

        ``sequence`` names the sequence of each sample. A sample continues if the last stored batch had one of
        the same name (wherever it stood); all start afresh when the shapes of the state changed. Parts that
        are not finite are not carried.
        """
        self._check(fresh, sequence)
        if self.state is None or any(
            a.shape[1:] != b.shape[1:] for a, b in zip(self.state, fresh, strict=True)
        ):
            return fresh
        # z_0 of frame t + 1 is z* of frame t: fixed-point reuse (Bai et al. 2022).
        places = [self.sequence.index(name) if name in self.sequence else -1 for name in sequence]
        index = torch.tensor(places, device=fresh[0].device)
        carried = tuple(part[index.clamp(min=0)] for part in self.state)
        if self.project is not None:
            carried = self.project(carried)
        goes_on = index >= 0
        for part in carried:
            goes_on = goes_on & part.reshape(len(part), -1).isfinite().all(1)
        parts = range(len(fresh)) if self.parts is None else self.parts
        return tuple(
            torch.where(goes_on.view(-1, *[1] * (new.dim() - 1)), old, new) if i in parts else new
            for i, (old, new) in enumerate(zip(carried, fresh, strict=True))
        )

    def store(self, state: State, sequence: Sequence[Hashable]) -> None:
        """Keep a solution (detached) with the names of its samples' sequences for the next start."""
        self._check(state, sequence)
        self.state, self.sequence = tuple(part.detach() for part in state), list(sequence)

    @staticmethod
    def _check(state: State, sequence: Sequence[Hashable]) -> None:
        if len(sequence) != len(state[0]):
            raise ValueError(f"{len(sequence)} sequence names were given for a batch of {len(state[0])}")
