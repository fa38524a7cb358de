"""Random numbers of a batch of samples, one stream for each, so that no sample depends on the others."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sevenfold.seeding import torch_generator


class Streams:
    """One generator for each sample, all for one purpose; numbers are drawn on the CPU and then moved."""

    def __init__(self, seeds: Sequence[int], purpose: str, like: Tensor) -> None:
        self.like = like
        # A generator of the batch would make sample k depend on the number of samples before it.
        self.generators = [torch_generator(seed, "diffreps", purpose) for seed in seeds]

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers (B, *shape)."""
        numbers = [torch.randn(shape, generator=g, dtype=self.like.dtype) for g in self.generators]
        return torch.stack(numbers).to(self.like.device)

    def uniform(self) -> Tensor:
        """Draw one number in [0, 1) for each sample, (B,)."""
        numbers = [torch.rand((), generator=g, dtype=self.like.dtype) for g in self.generators]
        return torch.stack(numbers).to(self.like.device)

    def state(self) -> Tensor:
        """Return the state of the generators."""
        return torch.stack([generator.get_state() for generator in self.generators])

    def restore(self, state: Tensor) -> None:
        """Set the generators to a state returned by :meth:`state`."""
        for generator, saved in zip(self.generators, state, strict=True):
            generator.set_state(saved.clone())
