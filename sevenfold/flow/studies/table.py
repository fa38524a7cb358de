"""The study that scores estimators of flow side by side, with every measure on every pair."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sevenfold.config import ConfigError, merge
from sevenfold.errors import InputError
from sevenfold.flow.comparison import (
    all_rows,
    by_group,
    draw_widest,
    fact_rows,
    headline_rows,
    keep_pictures,
    mean,
    robust_rows,
    write_tables,
)
from sevenfold.flow.data.declared import Declared, FlowSet
from sevenfold.flow.data.layouts import Pair, find_pairs
from sevenfold.flow.data.pairs import PairDataset
from sevenfold.flow.data.phases import Held, render_batch
from sevenfold.flow.estimator import Estimator, load
from sevenfold.flow.figures import draw_errors
from sevenfold.flow.formats import read_image
from sevenfold.flow.measures import measure
from sevenfold.flow.metrics import end_point_error
from sevenfold.flow.rivals import RIVALS
from sevenfold.flow.robustness import robustness as measure_robustness
from sevenfold.flow.synthetic import scene_bank
from sevenfold.measuring import peak_bytes, reset_peak
from sevenfold.ranges import Count, NonNegativeInt
from sevenfold.records import Record, summarize
from sevenfold.seeding import torch_generator
from sevenfold.study import Context, Piece, Report, Section, Study

LICENCES = {"dis": "Apache 2.0 (OpenCV)", "deepflow": "Apache 2.0 (OpenCV)"}
ROBUST = (
    "Still: mean speed where both pictures are the same. Swapped: mean distance of the backward flow to "
    "the flow of the swapped pair. The others: EPE as a multiple of that on the pairs as they are (noise of "
    "5 and 15 gray levels, blur of 1.5 px, JPEG of quality 30, gamma .7 on the second picture, half and "
    "double size)."
)


@dataclass(frozen=True)
class Scored(Piece):
    """One pair, estimated by one estimator; ``pair`` is its place in the list of all."""

    estimator: str
    pair: int


class FlowTable(Study[Scored]):
    """Every measure of several estimators on the same pairs: real ones of a folder, procedural scenes.

    Args:
        estimators: names of rivals ("zero", "constant", "dis", "deepflow"), of shipped models ("scenes"), of
            networks with ``weights`` ("raft_small"), run folders or checkpoints.
        weights: files of published weights by the name of their network.
        root: folder with real pairs and their truths, as ``data.name=pairs`` reads it; null: none.
        sets: declared sets below ``root`` (as those of data ``flow_mix``), in place of whatever lies there.
        scenes: procedural pairs.
        size: their side in px.
        steps: of f for all networks; null: each one's own.
        robustness: whether each pair is estimated on harder pictures too, which takes ten times as long.
    """

    gradients = False
    timing = ("seconds", "peak_mib")
    running = ("epe",)

    def __init__(
        self,
        *,
        estimators: list[str] = ["zero", "constant", "scenes"],  # noqa: B006 (never changed)
        weights: dict[str, str] = {},  # noqa: B006
        root: str | None = None,
        sets: dict[str, FlowSet] = {},  # noqa: B006
        scenes: NonNegativeInt = 8,
        size: Count = 256,
        steps: Count | None = None,
        robustness: bool = False,
    ) -> None:
        if not estimators or len(set(estimators)) < len(estimators):
            raise ConfigError("estimators", f"needs at least one and none twice, got {estimators}")
        if root is None and not scenes and not sets:
            raise ConfigError("root", "needs a folder of pairs, or scenes above 0")
        if size % 32:
            raise ConfigError("size", f"must be a multiple of 32, got {size}")
        self.estimators, self.weights, self.root = estimators, weights, root
        self.scenes, self.size, self.steps = scenes, size, steps
        self.robustness = robustness
        # Nothing is trained on, so neither weight nor copies are needed.
        given = {name: each if each.weight else replace(each, copies=0) for name, each in sets.items()}
        self.declared = Declared(given, root or ".", list(given)) if given else None

    def check(self) -> None:
        """List the pairs and open every estimator."""
        if self.root is not None and not self._pairs:
            raise ConfigError("root", f"'{self.root}' holds no pair with a true flow")
        for number, name in enumerate(self.estimators):
            try:
                if name in RIVALS:
                    RIVALS[name](*_blank())  # an absent package is noticed before anything is computed
                else:
                    _loaded(name, self.weights.get(name), self.steps)
            except InputError as error:
                raise ConfigError(f"estimators[{number}]", str(error)) from None

    def pieces(self) -> Sequence[Scored]:
        """Return every estimator with every pair."""
        names = [(i, pair.dataset, pair.name) for i, pair in enumerate(self._pairs)]
        names += [(len(names) + i, "scenes", f"scenes/{i:04d}") for i in range(self.scenes)]
        return [
            Scored((f"{name}|{label}",), f"{label}|{group}", label, place)
            for label in self.estimators
            for place, group, name in names
        ]

    def run(self, piece: Scored, context: Context) -> list[Record]:
        """Estimate the pair; return its measures, the time, and how the estimator bears harder pictures."""
        item = self._item(piece.pair, context.seed)
        first, second, truth, valid = (item[name] for name in ("image1", "image2", "flow", "valid"))
        reset_peak()
        began = time.perf_counter()
        extra: dict[str, Tensor] = {}
        numbers: dict[str, Any] = {}
        if piece.estimator in RIVALS:
            rival = RIVALS[piece.estimator]

            def estimate(a: Tensor, b: Tensor) -> Tensor:
                return rival(a, b, truth, valid)

            flow = estimate(first, second)
            seconds = time.perf_counter() - began
            facts = {"parameters": 0, "trained_on": "nothing", "licence": LICENCES.get(piece.estimator, "-")}
        else:
            estimator = _loaded(piece.estimator, self.weights.get(piece.estimator), self.steps)
            estimator.network.to(context.device)

            def estimate(a: Tensor, b: Tensor) -> Tensor:
                return estimator(a, b).flow

            result = estimator(first, second)
            seconds = time.perf_counter() - began
            flow, numbers["status"] = result.flow, result.status
            extra = {"expected": result.expected_error, "confidence": result.confidence}
            extra |= {} if result.occluded is None else {"hidden": result.occluded}
            if self.robustness and result.backward is not None:
                apart = end_point_error(result.backward, estimate(second, first))
                numbers["swapped"] = float(apart.mean())
            facts = estimator.facts()
        peak = peak_bytes() / 2**20
        numbers |= measure(flow, truth, valid, occluded=item.get("occluded"), **extra)
        if self.robustness:
            stream = torch_generator(context.seed, "robustness", piece.pair)
            numbers |= measure_robustness(estimate, first, second, truth, valid, stream)
        pair = piece.keys[0].partition("|")[0]
        keep_pictures(context.folder, pair, piece.estimator, first, flow, truth)
        key = {"key": piece.keys[0], "group": piece.group, "sequence": self._sequence(piece)}
        return [{**key, **numbers, **facts, "seconds": seconds, "peak_mib": peak}]

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return means over pairs by estimator and data set, with intervals where there are five pairs."""
        groups = by_group(records)
        errors: dict[str, dict[str, float]] = {}
        for (label, dataset), members in groups.items():
            if (error := mean(members, "epe")) is not None:
                errors.setdefault(label, {})[dataset] = error
        picture = folder / "images/errors.png"
        draw_errors(errors, picture)
        text = [
            "Means over pairs of errors in px and shares in percent; 1px: right within 1 px; intervals "
            "of EPE are bootstraps over pairs, for five or more."
        ]
        pictures = [picture]
        if (widest := draw_widest(records, folder)) is not None:
            pictures.insert(0, widest[1])
            text.append(f"The estimates differ most on {widest[0]}, which the first picture shows.")
        every = all_rows(groups)
        write_tables(every, folder)
        sections = [
            Section(
                "Estimators",
                ["Time and memory are those of this machine, in one process."],
                fact_rows(records),
            ),
            Section("All measures", ["Means over pairs, also in measures.csv and measures.md."], every),
        ]
        if rows := robust_rows(groups):
            sections.insert(0, Section("Robustness", [ROBUST], rows))
        return Report(
            "Estimators of flow on the same pairs",
            headline_rows(groups),
            text,
            sections,
            pictures,
            # Times stand in their table: results are the same from run to run.
            summarize([{k: v for k, v in record.items() if k not in self.timing} for record in records]),
        )

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return two estimators without weights on two small scenes."""
        small: dict[str, Any] = {
            "root": None,
            "sets": {},
            "scenes": 2,
            "size": 64,
            "weights": {},
            "estimators": ["zero", "constant"],
            "robustness": True,
        }
        return merge(options, small)

    @cached_property
    def _pairs(self) -> list[Pair]:
        """Pairs with a truth below ``root``, listed once."""
        if self.declared is not None:
            pairs = self.declared.evaluated()
        else:
            pairs = [] if self.root is None else find_pairs(self.root)
        return [pair for pair in pairs if pair.truth is not None]

    def _sequence(self, piece: Scored) -> str:
        """Return what a piece's pair is drawn together with: its sequence where the set has any."""
        pair = self._pairs[piece.pair] if piece.pair < len(self._pairs) else None
        if pair is None or not (pair.sequence or pair.dataset.startswith("sintel")):
            return piece.keys[0].partition("|")[0]
        return pair.sequence or pair.image1.parent.name

    def _item(self, place: int, seed: int) -> dict[str, Any]:
        """Return a pair: pictures, truth, validity, and the true occlusion where it is known."""
        pairs = self._pairs
        if place < len(pairs):
            item: dict[str, Any] = dict(PairDataset([pairs[place]])[0])
            mask = occlusion_file(pairs[place])
            return item if mask is None else {**item, "occluded": read_image(mask)[0] > 0.5}
        held = Held(size=self.size, test_pairs=self.scenes)
        numbers = held.batches("test", self.scenes, seed)[place - len(pairs)]
        batch = render_batch(numbers, scene_bank(seed, "held out"))
        names = ("image1", "image2", "flow", "valid", "occluded")
        return {name: batch[name][0] for name in names}  # type: ignore[literal-required]


def occlusion_file(pair: Pair) -> Path | None:
    """Return Sintel's mask of a pair's hidden pixels; None where there is none."""
    if pair.truth is None or not pair.dataset.startswith("sintel"):
        return None
    path = pair.truth.parents[2] / "occlusions" / pair.truth.parent.name / f"{pair.truth.stem}.png"
    return path if path.is_file() else None


def _blank() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return a pair without content: pictures, flow and validity."""
    image = torch.zeros(3, 64, 64)
    return image, image, image[:2], image[0].bool()


@lru_cache(maxsize=8)
def _loaded(name: str, weights: str | None, steps: int | None) -> Estimator:
    return load(name, weights=weights, steps=steps, device="cpu")
