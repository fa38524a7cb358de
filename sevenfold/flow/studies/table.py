"""The study that scores estimators of flow side by side, with every measure on every pair."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from sevenfold.config import ConfigError, merge
from sevenfold.errors import InputError
from sevenfold.flow.bootstrap import interval
from sevenfold.flow.data.layouts import Pair, find_pairs
from sevenfold.flow.data.pairs import PairDataset
from sevenfold.flow.data.phases import Held, render_batch
from sevenfold.flow.estimator import Estimator, load
from sevenfold.flow.figures import draw_errors
from sevenfold.flow.formats import read_image
from sevenfold.flow.measures import measure
from sevenfold.flow.rivals import RIVALS
from sevenfold.flow.synthetic import scene_bank
from sevenfold.ranges import Count, NonNegativeInt
from sevenfold.records import Record, summarize
from sevenfold.study import Context, Piece, Report, Section, Study

HEADLINE = ("epe", "1px", "ause", "occlusion_f1")


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
        scenes: procedural pairs.
        size: their side in px.
        steps: of f for all networks; null: each one's own.
    """

    gradients = False
    timing = ("seconds",)
    running = ("epe",)

    def __init__(
        self,
        *,
        estimators: list[str] = ["zero", "constant", "scenes"],  # noqa: B006 (never changed)
        weights: dict[str, str] = {},  # noqa: B006
        root: str | None = None,
        scenes: NonNegativeInt = 8,
        size: Count = 256,
        steps: Count | None = None,
    ) -> None:
        if not estimators or len(set(estimators)) < len(estimators):
            raise ConfigError("estimators", f"needs at least one and none twice, got {estimators}")
        if root is None and not scenes:
            raise ConfigError("root", "needs a folder of pairs, or scenes above 0")
        if size % 32:
            raise ConfigError("size", f"must be a multiple of 32, got {size}")
        self.estimators, self.weights, self.root = estimators, weights, root
        self.scenes, self.size, self.steps = scenes, size, steps

    def check(self) -> None:
        """List the pairs and open every estimator."""
        if self.root is not None and not self._pairs:
            raise ConfigError("root", f"'{self.root}' holds no pair with a true flow")
        for number, name in enumerate(self.estimators):
            if name not in RIVALS:
                try:
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
        """Estimate the pair; return its measures and the time."""
        item = self._item(piece.pair, context.seed)
        first, second, truth, valid = (item[name] for name in ("image1", "image2", "flow", "valid"))
        began = time.perf_counter()
        extra: dict[str, Tensor] = {}
        if piece.estimator in RIVALS:
            flow = RIVALS[piece.estimator](first, second, truth, valid)
        else:
            estimator = _loaded(piece.estimator, self.weights.get(piece.estimator), self.steps)
            estimator.network.to(context.device)
            result = estimator(first, second)
            flow = result.flow
            extra = {"expected": result.expected_error, "confidence": result.confidence}
            extra |= {} if result.occluded is None else {"hidden": result.occluded}
        seconds = time.perf_counter() - began
        numbers = measure(flow, truth, valid, occluded=item.get("occluded"), **extra)
        return [{"key": piece.keys[0], "group": piece.group, **numbers, "seconds": seconds}]

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return means over pairs by estimator and data set, with intervals where there are five pairs."""
        groups: dict[str, list[Record]] = {}
        for record in records:
            groups.setdefault(str(record["group"]), []).append(record)
        rows = [["estimator", "data", "pairs", *HEADLINE, "95 %"]]
        every = [["estimator", "data", "measure", "mean"]]
        errors: dict[str, dict[str, float]] = {}
        for group, members in sorted(groups.items()):
            label, _, dataset = group.partition("|")
            means = {name: _mean(members, name) for name in sorted({n for m in members for n in m})}
            if (mean := means.get("epe")) is not None:
                errors.setdefault(label, {})[dataset] = mean
            between = interval([float(m["epe"]) for m in members if "epe" in m])
            spread = f"{between[0]:.3f} to {between[1]:.3f}" if between else ""
            shown = [_shown(means.get(name)) for name in HEADLINE]
            rows.append([label, dataset, str(len(members)), *shown, spread])
            every += [
                [label, dataset, name, _shown(value)] for name, value in means.items() if value is not None
            ]
        text = (
            "Means over pairs of errors in px and shares in percent; 1px: right within 1 px; intervals "
            "of EPE are bootstraps over pairs, for five or more."
        )
        picture = folder / "images/errors.png"
        draw_errors(errors, picture)
        return Report(
            "Estimators of flow on the same pairs",
            rows,
            [text],
            [Section("All measures", ["Means over pairs."], every)],
            [picture],
            summarize(records),
        )

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return two estimators without weights on two small scenes."""
        small: dict[str, Any] = {
            "root": None,
            "scenes": 2,
            "size": 64,
            "weights": {},
            "estimators": ["zero", "constant"],
        }
        return merge(options, small)

    @cached_property
    def _pairs(self) -> list[Pair]:
        """Pairs with a truth below ``root``, listed once."""
        return [] if self.root is None else [p for p in find_pairs(self.root) if p.truth is not None]

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


@lru_cache(maxsize=8)
def _loaded(name: str, weights: str | None, steps: int | None) -> Estimator:
    return load(name, weights=weights, steps=steps, device="cpu")


def _mean(records: Sequence[Record], name: str) -> float | None:
    values = [record[name] for record in records if isinstance(record.get(name), int | float)]
    return sum(values) / len(values) if values else None


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
