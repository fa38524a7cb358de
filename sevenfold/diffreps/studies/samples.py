"""The study of samples for each representation, view noise and method, with their scores and pictures."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import torch

from sevenfold.config import ConfigError, Node, below, build, prepare
from sevenfold.diffreps import METHODS, PRIORS, REPRESENTATIONS, SOURCES, VIEW_NOISES
from sevenfold.diffreps.methods.base import Method
from sevenfold.diffreps.nodes import ImagesNode, MethodNode, PriorNode, RepresentationNode, ViewNoiseNode
from sevenfold.diffreps.pictures import plane_of
from sevenfold.diffreps.priors.base import UNCONDITIONAL, ExactPrior, Prior
from sevenfold.diffreps.representations.base import Representation
from sevenfold.diffreps.representations.curve import Curve
from sevenfold.diffreps.sample_files import records_of, save
from sevenfold.diffreps.sampling_task import Task, make_task
from sevenfold.diffreps.scores import Scorer
from sevenfold.diffreps.sources import Images
from sevenfold.diffreps.studies.samples_figures import draw_all
from sevenfold.diffreps.studies.samples_summary import (
    REAL,
    Summary,
    explanation,
    headline,
    scalars,
    summary_of,
    table,
    verdict,
)
from sevenfold.diffreps.studies.sampling_study import Chunk, SamplingStudy, chunk_file, draw_or_load
from sevenfold.diffreps.studies.tiny import tiny_samples
from sevenfold.diffreps.view_noise import ViewNoise
from sevenfold.ranges import MOST, Count, NonNegativeInt, Range
from sevenfold.records import Record
from sevenfold.seeding import stream_seed
from sevenfold.study import Context, Piece, Report, Section

POOL: dict[str, Node | None] = {"pool": {"name": "pool"}}
DTYPES = {"float32": torch.float32, "float64": torch.float64}
Nodes = dict[str, Any]


@dataclass(frozen=True)
class Samples(Piece):
    """Some ``samples`` of one representation by one method under one kind of view noise, given by label."""

    setting: str
    representation: str
    noise: str
    method: str
    samples: tuple[int, ...]


class SamplesStudy(SamplingStudy[Samples]):
    """Samples by every method, of every representation, under every kind of view noise.

    The experiments of Savani, Finzi and Kolter 2024. Sample k begins from the same noise in all methods.
    Images, parameters and features are saved in ``samples/`` of the run folder.

    Args:
        prior: a component of ``PRIORS``.
        representations: components of ``REPRESENTATIONS`` by label; null removes one of a base file.
        methods: components of ``METHODS`` by label; null removes one.
        view_noises: components of ``VIEW_NOISES`` by label; null removes one.
        views: number of cameras (crops, shifts) in the pool, for representations with several views.
        samples: number of samples of each.
        conditions: classes that samples are drawn from, in turn; none if empty.
        real: a component of ``SOURCES``, real images for comparison; null: none.
        map_real: map the range of real images linearly onto the prior's; otherwise other ranges are refused.
        root: folder of files; configurations refer to it as ${study.root}.
        reference: label of the method whose images from the same noise are the reference; null: none.
        chunk: samples drawn side by side; results depend on it only by rounding.
        dtype: of parameters, images and solves.
        snapshot_every: steps between snapshots, from which an interrupted run resumes.
        frames: number of samples of a chunk whose sampling is recorded, for animations.
        shown: samples of each group on the contact sheet.

    Example:
        >>> study = SamplesStudy(
        ...     prior={"name": "gmm"}, representations={"siren": {"name": "siren"}}, samples=2,
        ...     methods={"pullback": {"name": "pullback"}}, reference=None)
        >>> len(study.pieces())
        1
    """

    timing = ("seconds", "memory")
    running = ("psnr", "log_likelihood")

    def __init__(
        self,
        *,
        prior: PriorNode,
        representations: dict[str, RepresentationNode | None],
        methods: dict[str, MethodNode | None],
        view_noises: dict[str, ViewNoiseNode | None] = POOL,
        views: Count = 1,
        samples: Count = 40,
        conditions: list[Annotated[int, Range(-1, MOST, note="-1 is no condition")]] = [],  # noqa: B006 (never changed)
        real: ImagesNode | None = None,
        map_real: bool = False,
        root: str = "data",
        reference: str | None = "reference",
        chunk: Count = 40,
        dtype: Literal["float32", "float64"] = "float32",
        snapshot_every: Count = 50,
        frames: NonNegativeInt = 0,
        shown: Count = 16,
    ) -> None:
        self._prior, self._real, self.map_real = prior, real, map_real
        prepare(PRIORS, prior, "prior")
        if real is not None:
            prepare(SOURCES, real, "real")
        self._representations = without_nulls(REPRESENTATIONS, representations, "representations")
        self._noises = without_nulls(VIEW_NOISES, view_noises, "view_noises")
        self._methods = without_nulls(METHODS, methods, "methods")
        if reference is not None and reference not in self._methods:
            raise ConfigError("reference", f"'{reference}' is none of {', '.join(self._methods)}")
        self.reference, self.conditions, self.views = reference, conditions, views
        self.samples, self.chunk, self.dtype = samples, chunk, DTYPES[dtype]
        self.snapshot_every, self.frames, self.shown = snapshot_every, frames, shown

    @cached_property
    def prior(self) -> Prior:
        """The prior, in float32 for every dtype of samples."""
        prior: Prior = build(PRIORS, self._prior, "prior")
        return prior.to("cpu", torch.float32)

    @cached_property
    def representations(self) -> dict[str, Representation]:
        """Representations by label, rounded as the prior is."""
        parts = build_all(REPRESENTATIONS, self._representations, "representations")
        return {label: part.to("cpu", torch.float32) for label, part in parts.items()}

    @cached_property
    def noises(self) -> dict[str, ViewNoise]:
        """Kinds of view noise by label."""
        return build_all(VIEW_NOISES, self._noises, "view_noises")

    @cached_property
    def methods(self) -> dict[str, Method]:
        """Methods by label."""
        return build_all(METHODS, self._methods, "methods")

    @cached_property
    def real(self) -> Images | None:
        """Real images for comparison, in the prior's range."""
        if self._real is None:
            return None
        images: Images = build(SOURCES, self._real, "real")
        if self.prior.range in (None, images.range):
            return images
        # Values of another range would give scores of every kind, all of them wrong.
        if not self.map_real:
            ranges = (f"[{low:g}, {high:g}]" for low, high in (images.range, self.prior.range))
            raise ConfigError(
                "real",
                "lies in {}, the prior's images in {}; set map_real to map the one onto the other".format(
                    *ranges
                ),
            )
        return images.onto(self.prior.range)

    @cached_property
    def scorer(self) -> Scorer | None:
        """A classifier of the real images, if there are any."""
        return None if self.real is None else Scorer(self.real, self.prior)

    def check(self) -> None:
        """Load prior and real images; raise ``ConfigError`` for parts that do not fit together."""
        for condition in self.conditions:
            if not -1 <= condition < max(self.prior.classes, 0):
                known = f"{self.prior.classes} classes, 0 onwards"
                raise ConfigError("conditions", f"{condition} is none of the prior's {known}")
        _ = self.real
        for representation in self.representations:
            for noise in self.noises:
                task = self._checked_task(representation, noise)
                for label, method in self.methods.items():
                    with below(f"methods.{label}"):
                        method.check(task)

    def _checked_task(self, representation: str, noise: str) -> Task:
        """Return a task of one sample; the error of a misfit names the part that has it."""
        try:
            return self.task(representation, noise, [0], Context(Path()))
        except ConfigError as error:
            fits = error.key.startswith("representation")
            key = f"representations.{representation}" if fits else f"view_noises.{noise}"
            raise ConfigError(key, error.message) from None

    def task(self, representation: str, noise: str, samples: Sequence[int], context: Context) -> Task:
        """Return the task of drawing some samples: sample k has the stream (seed, k)."""
        return make_task(
            self.representations[representation], self.prior, self.noises[noise],
            seeds=[stream_seed(context.seed, "sample", k) for k in samples], labels=self.labels(samples),
            views=self.views, views_seed=context.seed, dtype=self.dtype, device=context.device,
        )  # fmt: skip

    def labels(self, samples: Sequence[int]) -> list[int]:
        """Return the classes that samples are drawn from, -1 for none."""
        classes = self.conditions or [UNCONDITIONAL]
        return [classes[k % len(classes)] for k in samples]

    def pieces(self) -> Sequence[Samples]:
        """Return chunks of samples."""
        return [
            Samples(tuple(f"{setting}/{method}/{k:05d}" for k in numbers), f"{setting}/{method}",
                    setting, representation, noise, method, numbers)
            for method in self._methods
            for setting, representation, noise in self.settings()
            for at in range(0, self.samples, self.chunk)
            for numbers in [tuple(range(at, min(at + self.chunk, self.samples)))]
        ]  # fmt: skip

    def settings(self) -> list[tuple[str, str, str]]:
        """Return the label of every pair of a representation and a kind of view noise, and the pair."""
        one = len(self._noises) == 1
        pairs = [(shape, noise) for shape in self._representations for noise in self._noises]
        return [(shape if one else f"{shape}-{noise}", shape, noise) for shape, noise in pairs]

    def run(self, piece: Samples, context: Context) -> list[Record]:
        """Draw a chunk, and the images of the reference."""
        self._keep_artefacts(context.folder)
        # The reference has the same noise, so that PSNR compares samples one by one.
        chunk, reference = self._chunk(piece, context), None
        if chunk is not None and self.reference not in (None, piece.method):
            of_reference = self._chunk(replace(piece, method=self.reference), context)
            chunk, reference = (chunk, of_reference["images"]) if of_reference else (None, None)
        if chunk is None:
            return []
        # latents have no range; their pictures are in [-1, 1]
        low, high = self.prior.range or (-1.0, 1.0)
        rows = records_of(chunk, reference, high - low)
        labels = self.labels(piece.samples)
        return [
            {"key": key, "group": piece.group, "asked": label, **row}
            for key, label, row in zip(piece.keys, labels, rows, strict=True)
        ]

    def _chunk(self, piece: Samples, context: Context) -> Chunk | None:
        return draw_or_load(
            chunk_file(context.folder, f"{piece.setting}/{piece.method}", piece.samples[0]),
            self.methods[piece.method],
            lambda: self.task(piece.representation, piece.noise, piece.samples, context),
            context,
            every=self.snapshot_every,
            frames=self.frames,
            scorer=self.scorer,
        )

    def _keep_artefacts(self, folder: Path) -> None:
        """Save what the report shows beside samples: real images; a curve in the plane and its prior."""
        real, plane = folder / "samples/real.pt", folder / "samples/plane.pt"
        if self.scorer is not None and not real.is_file():
            save(real, self.scorer.real())
        shape = next(iter(self.representations.values()))
        if isinstance(shape, Curve) and isinstance(self.prior, ExactPrior) and not plane.is_file():
            parts = copy.deepcopy(shape).cpu().double(), copy.deepcopy(self.prior).cpu().double()
            save(plane, plane_of(*parts))

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return the table of groups, a contact sheet, residuals, animations."""
        order = [f"{setting}/{method}" for setting, _, _ in self.settings() for method in self._methods]
        summary: Summary = summary_of(records, folder / "samples", order)
        text = (
            f"{self.samples} samples a row, each from the same noise in all methods; "
            f"PSNR is to the images of '{self.reference}', set distances are to the row '{REAL}'."
            if self.reference
            else f"{self.samples} samples a row, each from the same noise in all methods."
        )
        if self.map_real:
            text += " Real images are mapped linearly onto the prior's range."
        return Report(
            "Samples",
            headline(summary.scores),
            verdict(summary.scores) or [text],
            [
                Section("Rows", [text]),
                Section("All figures", explanation(summary.scores), table(summary.scores)),
            ],
            draw_all(summary, folder, self.shown),
            scalars(summary.scores),
        )

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options of two samples in few steps, with exact priors in place of those that need files."""
        return tiny_samples(options)


def without_nulls(table: Mapping[str, str], nodes: Nodes, key: str) -> Nodes:
    """Return the nodes that are not null, each checked against the schema of its component."""
    active = {label: node for label, node in nodes.items() if node is not None}
    if not active:
        raise ConfigError(key, "needs at least one")
    for label, node in active.items():
        prepare(table, node, f"{key}.{label}")
    return active


def build_all(table: Mapping[str, str], nodes: Nodes, key: str) -> dict[str, Any]:
    """Return the components of nodes by label."""
    return {label: build(table, node, f"{key}.{label}") for label, node in nodes.items()}
