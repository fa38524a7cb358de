"""The study of volumes in a multi-view world: several arms and seeds, with scores in held-out views."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from sevenfold.config import ConfigError, below, build, overlay, prepare, validate
from sevenfold.diffreps import METHODS, REPRESENTATIONS, VIEW_NOISES
from sevenfold.diffreps.methods.base import Method
from sevenfold.diffreps.nodes import ArmNode, MethodNode, RepresentationNode, ViewNoiseNode, WorldPriorNode
from sevenfold.diffreps.priors.base import UNCONDITIONAL, Prior
from sevenfold.diffreps.representations.volume import Volume
from sevenfold.diffreps.sampling_task import Task, make_task
from sevenfold.diffreps.studies.sampling_study import SamplingStudy, chunk_file, draw_or_load
from sevenfold.diffreps.studies.tiny import tiny_volumes
from sevenfold.diffreps.studies.volumes_figures import draw_all
from sevenfold.diffreps.studies.volumes_summary import EXPLAINED, headline, scalars, table, verdict
from sevenfold.diffreps.view_noise import ViewNoise
from sevenfold.diffreps.worlds import WORLD_PRIORS
from sevenfold.diffreps.worlds.depth_maps import depth_agreement, opacity_entropy, render_views
from sevenfold.diffreps.worlds.judge import Judge
from sevenfold.diffreps.worlds.multiview import World
from sevenfold.files import write_text
from sevenfold.ranges import Count, Scale
from sevenfold.records import Record
from sevenfold.seeding import stream_seed
from sevenfold.study import Context, Piece, Report, Section

KDE = {"name": "kde"}
VOXELS = {"name": "voxel_nerf"}
OBJECT = {"name": "object"}
COUNTED = ("calls", "evaluations", "inner", "parameters", "seconds")


@dataclass(frozen=True)
class Scenes(Piece):
    """All samples of one seed (its ``number``, from 0) of an arm."""

    arm: str
    number: int


@dataclass(frozen=True)
class Arm:
    """The parts of an arm; ``views`` is the number of cameras on the ring."""

    method: Method
    noise: ViewNoise
    views: int
    volume: Volume


def arm(
    *,
    method: MethodNode,
    noise: ViewNoiseNode = OBJECT,
    views: int = 32,
    prior: WorldPriorNode = {},  # noqa: B006 (never changed)
    representation: RepresentationNode = {},  # noqa: B006
    seeds: int | None = None,
) -> dict[str, Any]:
    """Return the options of an arm.

    Args:
        method: a component of ``METHODS``.
        noise: a component of ``VIEW_NOISES``.
        views: number of cameras on the ring.
        prior: options that overwrite those of the study's prior.
        representation: options that overwrite those of the study's representation.
        seeds: a smaller number of seeds than the study's; null: the same.
    """
    return locals()


class VolumesStudy(SamplingStudy[Scenes]):
    """Samples of volumes for every arm and seed; a record contains all samples of a seed.

    Images and parameters are saved in ``samples/`` of the run folder.

    Args:
        arms: by label, see :func:`arm`; null removes one of a base file.
        world: scenes and cameras.
        prior: a component of ``WORLD_PRIORS``, for all arms.
        representation: a volume of ``REPRESENTATIONS``, for all arms; its camera must be the world's.
        seeds: number of runs of every arm, each with separate random streams.
        samples: number of samples of a run.
        width: of the kernel in the likelihood.
        snapshot_every: steps between snapshots, from which an interrupted run resumes.
        shown: samples of the first seed in turntables and meshes.
        turn_frames: views of a turntable.
    """

    timing = ("seconds",)
    running = ("nearest", "diversity")

    def __init__(
        self,
        *,
        arms: dict[str, ArmNode | None],
        world: World = World(),
        prior: WorldPriorNode = KDE,
        representation: RepresentationNode = VOXELS,
        seeds: Count = 4,
        samples: Count = 24,
        width: Scale = 0.075,
        snapshot_every: Count = 10,
        shown: Count = 4,
        turn_frames: Count = 24,
    ) -> None:
        self.world, self.seeds, self.samples, self.width = world, seeds, samples, width
        self.snapshot_every, self.shown, self.turn_frames = snapshot_every, shown, turn_frames
        shared = {"prior": prior, "representation": representation}
        self.options = {
            label: self._options(f"arms.{label}", node, shared)
            for label, node in arms.items()
            if node is not None
        }
        if not self.options:
            raise ConfigError("arms", "needs at least one")
        self._priors: dict[str, Prior] = {}

    def _options(self, key: str, node: Any, shared: Mapping[str, Any]) -> dict[str, Any]:
        """Return an arm's options over the shared ones, each component checked against its schema."""
        if not isinstance(node, Mapping):
            raise ConfigError(key, f"expected a mapping with a 'method', got {node!r}")
        options = arm(**validate(arm, node, key))
        options |= {name: overlay(default, options[name]) for name, default in shared.items()}
        prepare(METHODS, options["method"], f"{key}.method")
        prepare(VIEW_NOISES, options["noise"], f"{key}.noise")
        prepare(REPRESENTATIONS, options["representation"], f"{key}.representation")
        prepare(WORLD_PRIORS, options["prior"], f"{key}.prior", world=self.world, views=options["views"])
        return options

    @cached_property
    def arms(self) -> dict[str, Arm]:
        """The arms by label."""
        return {label: self._build_arm(f"arms.{label}", options) for label, options in self.options.items()}

    def _build_arm(self, key: str, options: Mapping[str, Any]) -> Arm:
        volume = build(REPRESENTATIONS, options["representation"], f"{key}.representation")
        # a prior of the world's views says nothing about other cameras
        if not isinstance(volume, Volume) or volume.camera != self.world.camera:
            raise ConfigError(f"{key}.representation", "must be a volume with the world's camera")
        return Arm(
            build(METHODS, options["method"], f"{key}.method"),
            build(VIEW_NOISES, options["noise"], f"{key}.noise"),
            options["views"],
            volume.to("cpu", torch.float32),
        )

    def prior(self, label: str) -> Prior:
        """Return an arm's prior; equal ones are built once."""
        options = self.options[label]
        name = json.dumps([options["prior"], options["views"]], sort_keys=True)
        if name not in self._priors:
            self._priors[name] = build(
                WORLD_PRIORS,
                options["prior"],
                f"arms.{label}.prior",
                world=self.world,
                views=options["views"],
            )
        return self._priors[name]

    @cached_property
    def judge(self) -> Judge:
        """The scores by the world's scenes, rendered in held-out views."""
        return Judge(self.world, width=self.width)

    def __getstate__(self) -> dict[str, Any]:
        """Omit priors as well."""
        return {**super().__getstate__(), "_priors": {}}

    def check(self) -> None:
        """Build the priors; raise ``ConfigError`` for parts that do not fit together."""
        for label, parts in self.arms.items():
            self.prior(label)
            try:
                task = self.task(label, 0, [0], Context(Path()))
            except ConfigError as error:
                part = "noise" if error.key == "view_noise" else "representation"
                raise ConfigError(f"arms.{label}.{part}", error.message) from None
            with below(f"arms.{label}.method"):
                parts.method.check(task)

    def task(self, label: str, number: int, samples: Sequence[int], context: Context) -> Task:
        """Return the task of drawing an arm's samples: sample k has the stream (seed + number, k)."""
        parts, seed = self.arms[label], context.seed + number
        return make_task(
            parts.volume, self.prior(label), parts.noise,
            seeds=[stream_seed(seed, "sample", k) for k in samples], labels=[UNCONDITIONAL] * len(samples),
            views=parts.views, views_seed=seed, dtype=torch.float32, device=context.device,
        )  # fmt: skip

    def pieces(self) -> Sequence[Scenes]:
        """Return every seed of every arm."""
        return [
            Scenes((f"{label}/seed{number}",), label, label, number)
            for label, options in self.options.items()
            for number in range(min(self.seeds, options["seeds"] or self.seeds))
        ]

    def run(self, piece: Scenes, context: Context) -> list[Record]:
        """Draw the samples of one seed and compute their scores in held-out views."""
        # figures of real scenes, saved once, so that the report needs neither world nor priors
        bar = context.folder / "samples/real.json"
        if not bar.is_file():
            bar.parent.mkdir(parents=True, exist_ok=True)
            write_text(bar, json.dumps(self.judge.real()))
        chunk = draw_or_load(
            chunk_file(context.folder, piece.keys[0], 0),
            self.arms[piece.arm].method,
            lambda: self.task(piece.arm, piece.number, range(self.samples), context),
            context,
            every=self.snapshot_every,
        )
        if chunk is None:
            return []
        volume, theta = self.arms[piece.arm].volume.to("cpu", torch.float32), chunk["theta"].float()
        views = self.world.held_out()
        figures = self.judge.summary(render_views(volume, theta, views))
        figures |= depth_agreement(volume, theta, views) | opacity_entropy(volume, theta, views)
        figures |= {name: chunk[name] for name in COUNTED}
        refused = float(chunk["refused"].mean())
        return [{"key": piece.keys[0], "group": piece.group, **figures, "refused": refused}]

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return the table over arms and real scenes, with turntables, depth maps and meshes."""
        bar = folder / "samples/real.json"
        real = json.loads(bar.read_text()) if bar.is_file() else {}
        with torch.inference_mode(False), torch.no_grad():
            pictures = draw_all(self.volumes(records), folder, self.shown, self.turn_frames)
        text = (
            "Held-out views; means over seeds, the standard deviation over seeds in brackets. Nearness to "
            "known scenes must be read together with diversity, because collapse improves it."
        )
        return Report(
            "Volumes",
            headline(records, real, list(self.options)),
            verdict(records, real, list(self.options)) or [text],
            [
                Section("Rows", [text]),
                Section("All figures", EXPLAINED, table(records, real, list(self.options))),
            ],
            pictures,
            scalars(records, real),
        )

    def volumes(self, records: Sequence[Record]) -> dict[str, Volume]:
        """Return the representation of every arm that has records."""
        groups = {record["group"] for record in records}
        return {
            label: parts.volume.to("cpu", torch.float32)
            for label, parts in self.arms.items()
            if label in groups
        }

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options of two samples in few steps, in a world of few scenes, under an exact prior."""
        return tiny_volumes(options)
