"""The study of a prior's configuration: its error on real images, and every other reading of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import torch

from sevenfold.config import ConfigError, build, overlay, prepare
from sevenfold.diffreps import PRIORS, SOURCES
from sevenfold.diffreps.nodes import ImagesNode, PriorNode
from sevenfold.diffreps.prior_check import (
    CERTAIN,
    JUDGED,
    Trial,
    behaviour,
    class_gain,
    curve,
    reading_of,
    score,
    search,
    too_high,
)
from sevenfold.diffreps.priors.base import Prior
from sevenfold.diffreps.priors.network import NetworkPrior
from sevenfold.diffreps.sources import Images
from sevenfold.diffreps.studies.check_prior_summary import draw, headline, scalars, trial_table, verdict
from sevenfold.diffreps.studies.sampling_study import SamplingStudy
from sevenfold.diffreps.studies.tiny import mapping, tiny_samples
from sevenfold.ranges import MOST, Range
from sevenfold.records import Record
from sevenfold.seeding import torch_generator
from sevenfold.study import Context, Piece, Report, Section

FITTED = 4000


class CheckPriorStudy(SamplingStudy[Piece]):
    """Whether a prior is configured as its network was trained.

    Its error at predicting noise stands beside that of the best linear denoiser, which a right prior never
    exceeds between .1 and 2 standard deviations of the data; then every alternative of a single convention is
    compared with it on the same images and noise, and named where it is certainly better.

    Args:
        prior: a component of ``PRIORS``.
        real: a component of ``SOURCES``, images of its domain; null: only what needs none.
        images: number of images that are denoised; the others fit the linear denoiser.
        root: folder of files; configurations refer to it as ${study.root}.

    Example:
        >>> study = CheckPriorStudy(prior={"name": "gmm"}, real={"name": "digits"})
        >>> [piece.group for piece in study.pieces()]
        ['behaviour', 'curve', 'search']
    """

    running = ("score",)

    def __init__(
        self,
        *,
        prior: PriorNode,
        real: ImagesNode | None = None,
        images: Annotated[int, Range(8, MOST)] = 24,
        root: str = "data",
    ) -> None:
        self._prior, self._real, self.count = prior, real, images
        prepare(PRIORS, prior, "prior")
        if real is not None:
            prepare(SOURCES, real, "real")

    @cached_property
    def prior(self) -> Prior:
        """The prior in float32."""
        prior: Prior = build(PRIORS, self._prior, "prior")
        return prior.to("cpu", torch.float32)

    @cached_property
    def real(self) -> Images | None:
        """Real images in an order of chance, in their own range."""
        if self._real is None:
            return None
        images: Images = build(SOURCES, self._real, "real")
        order = torch.randperm(len(images.images), generator=torch_generator(0, "prior check order"))
        rows = order[: self.count + FITTED]
        return replace(images, images=images.images[rows].float(), labels=images.labels[rows])

    def check(self) -> None:
        """Load prior and images; raise ``ConfigError`` where their shapes differ or images are too few."""
        if self.real is None:
            _ = self.prior
            return
        if self.real.shape != tuple(self.prior.shape):
            raise ConfigError(
                "real", f"has images of shape {self.real.shape}, the prior's are {tuple(self.prior.shape)}"
            )
        if len(self.real.images) < 3 * self.count:
            raise ConfigError(
                "images", f"{self.count} of {len(self.real.images)} leave too few to fit a linear denoiser to"
            )

    def pieces(self) -> Sequence[Piece]:
        """Return the parts of the check; without images only the first."""
        names = ("behaviour", "curve", "search") if self._real is not None else ("behaviour",)
        return [Piece((name,), name) for name in names]

    def run(self, piece: Piece, context: Context) -> list[Record]:
        """Compute one part."""
        prior = self.prior.to(context.device)
        facts: dict[str, Any] = {"behaviour": self._behaviour, "curve": self._curve, "search": self._search}
        return [{"key": piece.group, "group": piece.group, **facts[piece.group](prior)}]

    def _behaviour(self, prior: Prior) -> dict[str, Any]:
        return behaviour(prior)

    def _curve(self, prior: Prior) -> dict[str, Any]:
        assert self.real is not None
        # an exact prior without a range has its images as they are
        real = self.real if prior.range is None else self.real.onto(prior.range)
        rows, gain = curve(prior, real, self.count), class_gain(prior, real, self.count)
        facts = {"fitted": len(real.images) - self.count, "values": real.images[0].numel()}
        return {"rows": rows, "too_high": too_high(rows), "class_gain": gain, **facts}

    def _search(self, prior: Prior) -> dict[str, Any]:
        assert self.real is not None
        if not isinstance(prior, NetworkPrior):
            return {"steps": [], "trials": []}
        few = replace(self.real, images=self.real.images[: self.count], labels=self.real.labels[: self.count])
        reading = reading_of(prior)
        steps, others = search(reading, few)
        return {
            "score": float(score(reading, few).mean()),
            "steps": [_plain(trial) for trial in steps],
            "trials": [_plain(trial) for trial in others],
        }

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return the verdict with the line that sets what is wrong, the curve, and all alternatives."""
        by_key = {record["key"]: record for record in records}
        path = folder / "images/check_prior.png"
        trials = by_key.get("search", {}).get("trials", [])
        text = (
            "ratio: squared error over that of the best linear denoiser; at most 1 in a right prior between "
            f"{JUDGED[0]:g} and {JUDGED[1]:g} standard deviations of the data. Above 10 the network's own "
            "floor dominates, which is not judged."
        )
        about = (
            "Each changes one convention; difference of ln(error), with its standard error over images "
            f"(certain below -{CERTAIN:g} of them and -2 %). 'undecided': nearer to 0 than that."
        )
        return Report(
            "Is the prior read as it was trained?",
            headline(by_key),
            verdict(by_key),
            [Section("Curve", [text])]
            + ([Section("Alternatives", [about], trial_table(trials))] if trials else []),
            [path] if draw(by_key, path) else [],
            scalars(by_key),
        )

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options with an exact prior of digits in place of files, and few images."""
        small = tiny_samples({**options, "real": options.get("real") or {"name": "digits"}})
        names = ("prior", "real", "root")
        if "count" in mapping(small["real"]):
            small["real"] = overlay(small["real"], {"count": 64})
        return {**options, "images": 8, **{name: small[name] for name in names if name in small}}


def _plain(trial: Trial) -> dict[str, Any]:
    """Return a trial as plain values; a reading that the network refuses has no score."""
    certain = trial.score < float("inf")
    return {
        "line": trial.reading.line,
        "score": trial.score if certain else None,
        "difference": trial.difference if certain and trial.difference > -float("inf") else None,
        "error": trial.error,
        "undecided": trial.undecided,
    }
