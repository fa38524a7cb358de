"""Samples of differentiable representations to be drawn, by representation, view noise and method."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from datamodules.nas import Items
from datamodules.sampling import placement
from sevenfold.config import ConfigError, build
from sevenfold.diffreps import METHODS, PRIORS, REPRESENTATIONS, SOURCES, VIEW_NOISES
from sevenfold.diffreps.methods.base import Method
from sevenfold.diffreps.priors.base import Prior
from sevenfold.diffreps.representations.base import Representation
from sevenfold.diffreps.sources import Images
from sevenfold.diffreps.task import Task, make_task
from sevenfold.diffreps.view_noise import ViewNoise
from sevenfold.records import read_folder
from sevenfold.seeding import stream_seed

POOL = {"pool": {"name": "pool"}}


@dataclass(frozen=True)
class Setting:
    """A prior with a representation and a kind of view noise; ``views`` is the size of the pool."""

    label: str
    prior: Prior
    representation: Representation
    noise: ViewNoise
    views: int
    seed: int
    real: Images | None = field(default=None, repr=False)

    def task(
        self, samples: list[int], labels: list[int], dtype: torch.dtype, device: torch.device | str
    ) -> Task:
        """Return the task of drawing some samples: sample k has the stream (seed, k)."""
        return make_task(
            self.representation, self.prior, self.noise,
            seeds=[stream_seed(self.seed, "sample", k) for k in samples], labels=labels,
            views=self.views, views_seed=self.seed, dtype=dtype, device=device,
        )  # fmt: skip


@dataclass(frozen=True)
class SampleTrial:
    """Some samples of one method in one setting, asked for ``labels`` (-1: none)."""

    setting: Setting
    label: str
    methods: dict[str, Method]
    samples: list[int]
    labels: list[int]

    @property
    def method(self) -> Method:
        """Return its method."""
        return self.methods[self.label]

    def by(self, label: str) -> "SampleTrial":
        """Return the same samples by another method."""
        return replace(self, label=label)

    @property
    def group(self) -> str:
        """Return what the samples' records are averaged under."""
        return f"{self.setting.label}/{self.label}"

    @property
    def keys(self) -> list[str]:
        """Return the keys of the samples' records."""
        return [f"{self.group}/{k:05d}" for k in self.samples]

    @property
    def file(self) -> str:
        """Return the name of the file that holds the samples."""
        first = self.samples[0] if self.samples else 0
        return f"{self.group.replace('/', '--')}--{first:05d}.pt"


class SampleTrials(Items):
    """Samples by every method, of every representation under every kind of view noise.

    Args:
        prior: a component of ``PRIORS``.
        representations: components of ``REPRESENTATIONS`` by label; null removes one of a base file.
        methods: components of ``METHODS`` by label; null removes one.
        view_noises: components of ``VIEW_NOISES`` by label; null removes one.
        views: cameras (crops, shifts) in the pool; representations with one view have that one.
        samples: how many of each; sample k begins from the same noise in all methods.
        conditions: classes asked for, in turn; none if empty.
        real: a component of ``SOURCES``: what samples are compared with, or null.
        root: folder of files; configurations refer to it as ${data.root}.
        chunk: samples drawn side by side; results do not depend on it but for rounding.
        seed: of all samples.

    A chunk whose samples all have their records is done and left out.
    """

    def __init__(
        self,
        *,
        prior: dict[str, Any],
        representations: dict[str, Any],
        methods: dict[str, Any],
        view_noises: dict[str, Any] = POOL,
        views: int = 1,
        samples: int = 40,
        conditions: list[int] = [],  # noqa: B006 (never changed)
        real: dict[str, Any] | None = None,
        root: str = "data",
        chunk: int = 40,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in {"samples": samples, "chunk": chunk, "views": views}.items():
            if value < 1:
                raise ConfigError(name, f"must be at least 1, got {value}")
        self.methods: dict[str, Method] = _parts(METHODS, methods, "methods")
        shapes = _parts(REPRESENTATIONS, representations, "representations")
        noises = _parts(VIEW_NOISES, view_noises, "view_noises")
        self.prior: Prior = build(PRIORS, prior, "prior")
        self.real: Images | None = None if real is None else build(SOURCES, real, "real")
        for asked in conditions:
            if not -1 <= asked < max(self.prior.classes, 0):
                raise ConfigError(
                    "conditions", f"{asked} is none of the prior's {self.prior.classes} classes, 0 onwards"
                )
        self.settings = [
            Setting(
                label if len(noises) == 1 else f"{label}-{kind}",
                self.prior, representation, noise, views, seed, self.real,
            )
            for label, representation in shapes.items()
            for kind, noise in noises.items()
        ]  # fmt: skip
        self.samples, self.chunk, self.conditions = samples, chunk, conditions
        for setting in self.settings:
            self._check(setting)

    def _check(self, setting: Setting) -> None:
        """Refuse what does not fit together."""
        task = setting.task([0], self._labels([0]), torch.float32, "cpu")
        for label, method in self.methods.items():
            try:
                method.check(task)
            except ConfigError as error:
                raise ConfigError(f"methods.{label}.{error.key}", error.message) from None

    def _labels(self, samples: list[int]) -> list[int]:
        asked = self.conditions or [-1]
        return [asked[k % len(asked)] for k in samples]

    def setup(self, stage: str) -> None:
        """List the chunks that are still to be drawn; every device gets at least an empty one.

        A chunk that was cut off is drawn whole again, from its last snapshot.
        """
        done = set()
        if self.trainer is not None:
            done = {record["key"] for record in read_folder(Path(self.trainer.default_root_dir) / "records")}
        trials = [
            self._trial(setting, label, list(range(at, min(at + self.chunk, self.samples))))
            for label in self.methods
            for setting in self.settings
            for at in range(0, self.samples, self.chunk)
        ]
        rest = [trial for trial in trials if not set(trial.keys) <= done]
        idle = self._trial(self.settings[0], next(iter(self.methods)), [])
        self.items = rest + [idle] * (placement(self)["world_size"] - len(rest))

    def _trial(self, setting: Setting, label: str, samples: list[int]) -> SampleTrial:
        return SampleTrial(setting, label, self.methods, samples, self._labels(samples))


def _parts(table: dict[str, str], nodes: dict[str, Any], key: str) -> dict[str, Any]:
    """Build the components that are not removed, by label."""
    kept = {label: node for label, node in nodes.items() if node is not None}
    if not kept:
        raise ConfigError(key, "needs at least one")
    return {label: build(table, node, f"{key}.{label}") for label, node in kept.items()}
