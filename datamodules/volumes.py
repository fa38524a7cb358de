"""Volumes to be drawn in a multi-view world: one arm of a study after another, over several seeds."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datamodules.diffreps import SampleTrial, Setting
from datamodules.nas import Items
from datamodules.sampling import placement
from sevenfold.config import ConfigError, build, overlay, prepare, validate
from sevenfold.diffreps import METHODS, REPRESENTATIONS, VIEW_NOISES
from sevenfold.diffreps.methods.base import Method
from sevenfold.diffreps.priors.base import Prior
from sevenfold.diffreps.representations.base import Representation
from sevenfold.diffreps.representations.volume import Volume
from sevenfold.diffreps.view_noise import ViewNoise
from sevenfold.diffreps.worlds import WORLD_PRIORS
from sevenfold.diffreps.worlds.multiview import World
from sevenfold.records import read_folder

KDE = {"name": "kde"}
VOXELS = {"name": "voxel_nerf"}
OBJECT = {"name": "object"}


@dataclass(frozen=True)
class Parts:
    """What an arm is built from; the prior only when it is needed, as it renders many scenes."""

    method: Method
    noise: ViewNoise
    views: int
    representation: Representation
    prior: Callable[[], Prior]
    seeds: int


class VolumeTrials(Items):
    """Samples of every arm and seed; one trial is all samples of one seed.

    Args:
        arms: by label, see :func:`arm`; null removes one of a base file.
        world: scenes and cameras.
        prior: a component of ``WORLD_PRIORS``, for all arms.
        representation: a volume of ``REPRESENTATIONS``, for all arms; its camera must be the world's.
        seeds, samples: so many seeds with so many samples each.
        seed: of all of them.

    A trial that has its record is done and left out.
    """

    def __init__(
        self,
        *,
        arms: dict[str, Any],
        world: World = World(),
        prior: dict[str, Any] = KDE,
        representation: dict[str, Any] = VOXELS,
        seeds: int = 4,
        samples: int = 24,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if min(seeds, samples) < 1:
            raise ConfigError("seeds", f"needs seeds and samples >= 1, got {seeds}, {samples}")
        self.world, self.seeds, self.samples, self.seed = world, seeds, samples, seed
        shared = {"prior": prior, "representation": representation}
        nodes = {label: node for label, node in arms.items() if node is not None}
        if not nodes:
            raise ConfigError("arms", "needs at least one")
        self.arms = {label: self._parts(label, node, shared) for label, node in nodes.items()}
        self._priors: dict[str, Prior] = {}
        self.trials: list[SampleTrial] = []

    def _parts(self, label: str, node: Any, shared: Mapping[str, Any]) -> Parts:
        key = f"arms.{label}"
        if not isinstance(node, Mapping):
            raise ConfigError(key, f"expected a mapping with a 'method', got {node!r}")
        chosen = arm(**validate(arm, node, key))
        volume = build(
            REPRESENTATIONS, overlay(shared["representation"], chosen["representation"]),
            f"{key}.representation",
        )  # fmt: skip
        if not isinstance(volume, Volume) or volume.camera != self.world.camera:
            raise ConfigError(f"{key}.representation", "must be a volume with the world's camera")
        prior = overlay(shared["prior"], chosen["prior"])
        checked = prepare(
            WORLD_PRIORS, prior, f"{key}.prior", world=self.world, views=chosen["views"]
        )  # before rendering
        return Parts(
            build(METHODS, chosen["method"], f"{key}.method"),
            build(VIEW_NOISES, chosen["noise"], f"{key}.noise"),
            chosen["views"], volume,
            lambda: self._kept(json.dumps([prior, chosen["views"]], sort_keys=True), checked),
            min(self.seeds, chosen["seeds"] or self.seeds),
        )  # fmt: skip

    def _kept(self, key: str, make: Callable[[], Prior]) -> Prior:
        if key not in self._priors:
            self._priors[key] = make()
        return self._priors[key]

    def setup(self, stage: str) -> None:
        """List the trials; every device gets at least an empty one."""
        done = set()
        if self.trainer is not None:
            done = {record["key"] for record in read_folder(Path(self.trainer.default_root_dir) / "records")}
        self.trials = [
            self._trial(label, parts, number)
            for label, parts in self.arms.items()
            for number in range(parts.seeds)
        ]
        rest = [trial for trial in self.trials if trial.group not in done]
        idle = replace(self.trials[0], samples=[], labels=[])
        self.items = rest + [idle] * (placement(self)["world_size"] - len(rest))

    def _trial(self, label: str, parts: Parts, number: int) -> SampleTrial:
        setting = Setting(
            label, parts.prior(), parts.representation, parts.noise, parts.views, self.seed + number
        )
        samples = list(range(self.samples))
        name = f"seed{number}"
        return SampleTrial(setting, name, {name: parts.method}, samples, [-1] * self.samples)


def arm(
    *,
    method: dict[str, Any],
    noise: dict[str, Any] = OBJECT,
    views: int = 32,
    prior: dict[str, Any] = {},  # noqa: B006 (never changed)
    representation: dict[str, Any] = {},  # noqa: B006
    seeds: int | None = None,
) -> dict[str, Any]:
    """Return an arm's options: ``method`` and ``noise`` are components of ``METHODS`` and ``VIEW_NOISES``,
    ``views`` the cameras of the ring; ``prior`` and ``representation`` are laid over the study's own;
    ``seeds`` are fewer than the study's.
    """
    return locals()
