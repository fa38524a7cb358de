"""The task of drawing a batch of samples: representation, prior, view noise, classes and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.priors.base import UNCONDITIONAL, Prior
from sevenfold.diffreps.random_streams import Streams
from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.representations.base import Representation
from sevenfold.diffreps.view_noise import ViewNoise
from sevenfold.seeding import torch_generator


@dataclass(frozen=True)
class Task:
    """A batch of B samples to draw.

    ``noise`` is bound to the ``pool`` (K, d) of views; ``labels`` (B,) are the classes of samples, -1 for
    none; ``seeds`` (B) those of each sample. ``views_seed`` determines the subset of views of every step: it
    belongs to the run, so that a sample does not depend on the others in its batch.
    """

    representation: Representation
    prior: Prior
    noise: ViewNoise
    pool: Tensor
    labels: Tensor
    seeds: Sequence[int]
    views_seed: int = 0

    def __len__(self) -> int:
        return len(self.seeds)

    def part(self, rows: slice) -> "Task":
        """Return some of the samples."""
        return replace(self, labels=self.labels[rows], seeds=self.seeds[rows])

    def streams(self, purpose: str) -> Streams:
        """Return the random streams of the samples for a purpose."""
        return Streams(self.seeds, purpose, self.pool)

    def start(self) -> Tensor:
        """Draw initial parameters (B, p)."""
        # initial parameters are drawn on the CPU in float32, whatever dtype and device the task has
        generators = self.streams("parameters").generators
        return torch.stack([self.representation.initial(g) for g in generators]).to(self.pool)

    def all_views(self) -> Tensor:
        """Return the places (K,) of all views in the pool."""
        return torch.arange(len(self.pool), device=self.pool.device)

    def some_views(self, count: int | None, step: int) -> Tensor:
        """Return the places of the views of one step: all, or ``count`` drawn without repetition."""
        if count is None or count >= len(self.pool):
            return self.all_views()
        # a generator for each step, so that a resumed run draws the same views
        generator = torch_generator(self.views_seed, "diffreps views", step)
        return torch.randperm(len(self.pool), generator=generator)[:count].sort().values.to(self.pool.device)

    def rendering(self, index: Tensor, weights: Tensor | None = None) -> Rendering:
        """Return the map to the views at places ``index``; ``weights`` (C, H, W) are those of each view."""
        roots = None if weights is None else weights.sqrt().flatten().repeat(len(index))
        return Rendering(self.representation, self.pool[index], roots)


def make_task(
    representation: Representation,
    prior: Prior,
    noise: ViewNoise,
    *,
    seeds: Sequence[int],
    labels: Sequence[int] | None = None,
    views: int = 1,
    views_seed: int = 0,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Task:
    """Return a task after checking that prior and representation fit; draws the pool of ``views``.

    A task has one sample a seed: labels (B,), views (K, d). Every method of Savani et al. 2024 and its
    baselines begin with the same noise of a seed.

    Example:
        >>> from sevenfold.diffreps import Pixels, Pool, gmm
        >>> prior = gmm(source={"name": "digits", "size": 8})
        >>> task = make_task(Pixels(size=8), prior, Pool(), seeds=range(3))
        >>> len(task)
        3
    """
    check_fit(representation, prior)
    representation = representation.to(device, dtype)
    pool = representation.views(views, torch_generator(views_seed, "diffreps pool")).to(device, dtype)
    classes = torch.tensor([UNCONDITIONAL] * len(seeds) if labels is None else labels, device=device)
    prior = prior.to(device, dtype)
    return Task(
        representation, prior, noise.bind(representation, pool), pool, classes, list(seeds), views_seed
    )


def check_fit(representation: Representation, prior: Prior) -> None:
    """Raise ``ConfigError`` where shape or range of a representation's images do not fit the prior."""
    if representation.shape != prior.shape:
        raise ConfigError(
            "representation",
            f"renders images of shape {representation.shape}, the prior knows {tuple(prior.shape)}; "
            f"set size and channels alike",
        )
    values, known = representation.range, prior.range
    if values is not None and known is not None and (values[0] > known[0] or values[1] < known[1]):
        raise ConfigError(
            "representation",
            f"renders values from {values[0]:g} to {values[1]:g}, the prior's images go from {known[0]:g} to "
            f"{known[1]:g}; set its range",
        )
