"""Sets of pairs as a configuration declares them: where files lie, which are held out, how they are mixed."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Literal

from sevenfold.config import ConfigError, locate, schema
from sevenfold.errors import InputError, suggest
from sevenfold.flow.augment import Augmentation
from sevenfold.flow.batch import FlowItem
from sevenfold.flow.data import FLOW_SETS
from sevenfold.flow.data.checks import HEADER, examine
from sevenfold.flow.data.layouts import Pair
from sevenfold.flow.data.mix import Endless, Part, Pool
from sevenfold.flow.data.phases import Phase, SceneBatches, render_batch
from sevenfold.flow.data.sintel import Pass
from sevenfold.flow.media.pair_table import read_pair_table
from sevenfold.flow.synthetic import Drift, scene_bank
from sevenfold.ranges import Limit, NonNegative, NonNegativeInt, Positive, Range, Share, check_arguments
from sevenfold.report.text import aligned

Exponent = Annotated[float, Range(-10, 10, note="a logarithm: half the size, or the same")]
OWN = ("files", "csv", "frames")
# Sets with a held-out split of their own; of the others, whose test flow is secret, training pairs are used.
HELD_OUT = {"chairs": "val", "things": "test"}


@dataclass(frozen=True, kw_only=True)
class FlowSet:
    """A set of pairs, how a training takes it, and what of it is held out.

    Args:
        layout: how files lie: by patterns, in a table, as frames, as in a public set; or synthetic: none.
        image1: pattern of the first pictures below the root, for ``files``; stars of all patterns must agree.
        image2: pattern of the second pictures.
        flow: pattern of the true flow; without one there is none.
        valid: pattern of masks that are black where the flow is not known.
        file: name of the table, or of the video or folder of frames.
        passes: of Sintel and FlyingThings3D.
        weight: share of the samples, in proportion to those of other sets; the set is exhausted before it
            repeats. Sets with copies share a weight of 1.
        copies: how often each pair comes in a pass through all sets with copies; 0: for evaluation alone.
        val: share of sequences that are held out, or a table or a pattern of first pictures.
        supervised: false: learn from the pictures alone (``sevenfold.flow.selfsup``); colors stay, no boxes.
        sparse: the truth has gaps, so that it is moved and never interpolated.
        flip: probabilities of a flip along x and y.
        log_scale: range of the scale's logarithm to base 2.
        stretch: largest logarithm of the scale of one axis alone.
        eraser: probability that boxes of the second picture are erased.
        jitter: factor of the changes of color.
        noise: largest standard deviation of noise, in gray levels of 255.
        max_flow: speed in px from which on a flow counts as unknown.
        scale: stored values times this are px.
    """

    layout: Literal[
        "files", "csv", "frames", "synthetic", "chairs", "things", "sintel", "kitti", "kitti2012", "hd1k",
        "spring", "tartanair", "viper", "middlebury",
    ] = "files"  # fmt: skip
    image1: str | None = None
    image2: str | None = None
    flow: str | None = None
    valid: str | None = None
    file: str | None = None
    passes: list[Pass] = field(default_factory=lambda: ["clean", "final"])
    weight: Positive | None = None
    copies: NonNegativeInt | None = None
    val: str = "0"
    supervised: bool = True
    sparse: bool = False
    flip: tuple[Share, Share] = (0.5, 0.1)
    log_scale: tuple[Exponent, Exponent] = (-0.2, 0.6)
    stretch: Annotated[float, Range(0, 10, note="none")] = 0.2
    eraser: Share = 0.5
    jitter: NonNegative = 1.0
    noise: NonNegative = 0.0
    max_flow: Limit = 400.0
    scale: Positive = 1.0

    def __post_init__(self) -> None:
        check_arguments(type(self).__init__, (None,), vars(self))

    def augmentation(self, crop: tuple[int, int]) -> Augmentation:
        """Return how pairs are augmented to crops of a size."""
        return Augmentation(
            crop=crop,
            log_scale=self.log_scale,
            sparse=self.sparse,
            flip_x=self.flip[0],
            flip_y=self.flip[1],
            noise=self.noise,
            stretch=self.stretch,
            # Both pictures must look alike where they are compared with each other.
            eraser=self.eraser if self.supervised else 0.0,
            jitter=self.jitter if self.supervised else 0.0,
            max_flow=self.max_flow,
        )


class Declared:
    """The pairs of declared sets below a folder: those to train on and those held out.

    Args:
        sets: by name.
        root: the folder.
        evaluate_on: names of the sets to evaluate on; by default those that hold something out.
    """

    def __init__(
        self, sets: Mapping[str, FlowSet], root: str, evaluate_on: Sequence[str] | None = None
    ) -> None:
        if not sets:
            raise ConfigError("sets", "needs at least one set, such as own: {layout: csv, file: pairs.csv}")
        self.sets, self.root = dict(sets), root
        held = [name for name, each in sets.items() if each.val != "0"]
        self.evaluate_on = held if evaluate_on is None else list(evaluate_on)
        for name in self.evaluate_on:
            if name not in sets:
                raise ConfigError("evaluate_on", f"'{name}' is none of the sets. {suggest(name, sets)}")
        for name, each in self.sets.items():
            if (each.weight is None) == (each.copies is None):
                raise ConfigError(f"sets.{name}", "needs exactly one of weight and copies")
            if each.weight is None and (each.layout == "synthetic" or not each.supervised):
                raise ConfigError(
                    f"sets.{name}.copies", "scenes and sets without truth need a weight instead"
                )
            if not each.val.endswith((".csv", ".tsv")) and "*" not in each.val:
                _share(name, each.val)

    def examined(self) -> tuple[str, list[str]]:
        """Return a table of what the sets to train on hold, and warnings of what seems wrong with them."""
        names = [n for n, each in self.sets.items() if each.layout != "synthetic" and each.copies != 0]
        seen = {name: examine(name, self.training(name)) for name in names}
        table = aligned([HEADER, *(each.row(name) for name, each in seen.items())])
        return table, [warning for each in seen.values() for warning in each.warnings]

    def training(self, name: str) -> list[Pair]:
        """Return the pairs of a set that are not held out."""
        held = {pair.image1 for pair in self._held(name)}
        return [pair for pair in self.listed(name, "train") if pair.image1 not in held]

    def evaluated(self) -> list[Pair]:
        """Return all pairs on which models are evaluated, set after set."""
        return [pair for name in self.evaluate_on for pair in self.held_out(name)]

    def held_out(self, name: str) -> list[Pair]:
        """Return the pairs of a set on which models are evaluated: those held out, or its own split for that.

        A public set whose test flow is secret gives its training pairs.
        """
        each = self.sets[name]
        if each.val != "0":
            if not (held := self._held(name)):
                raise ConfigError(
                    f"sets.{name}.val", f"'{each.val}' holds out no sequence; give a larger share"
                )
            return held
        pairs = self.listed(name, HELD_OUT.get(each.layout, "train"))
        if each.layout in OWN and not any(pair.truth is not None for pair in pairs):
            raise ConfigError("evaluate_on", f"set '{name}' has no true flow to evaluate on")
        return pairs

    def listed(self, name: str, split: str) -> list[Pair]:
        """Return all pairs of a split of a set."""
        each = self.sets[name]
        if each.layout == "synthetic":
            return []
        function = locate(FLOW_SETS[each.layout])
        known = {option.name for option in fields(each)} & schema(function).keys()
        try:
            pairs = function(
                root=self.root, split=split, **{option: getattr(each, option) for option in known}
            )
        except InputError as error:
            raise ConfigError(f"sets.{name}", str(error)) from None
        if each.layout in OWN:
            pairs = [replace(pair, dataset=name, name=f"{name}/{pair.name}") for pair in pairs]
        return [replace(pair, scale=each.scale) for pair in pairs] if each.scale != 1 else pairs

    def pools(self, crop: tuple[int, int], seed: int) -> list[tuple[float, Endless]]:
        """Return what a training draws from, by weight: one pool for all copies, one for each other set."""
        pools: list[tuple[float, Endless]] = []
        copied: list[Part] = []
        for name, each in self.sets.items():
            if each.layout == "synthetic":
                pools.append((each.weight or 1.0, Scenes(crop, seed, name)))
            elif each.copies != 0:
                if not (pairs := self.training(name)):
                    raise ConfigError(f"sets.{name}", "has no pair to train on")
                part = (pairs, each.copies or 1, each.augmentation(crop))
                if each.weight is None:
                    copied.append(part)
                else:
                    pool = Pool([part], seed=seed, label=(name,), supervised=each.supervised)
                    pools.append((each.weight, pool))
        if copied:
            pools.insert(0, (1.0, Pool(copied, seed=seed)))
        if not pools:
            raise ConfigError("sets", "none of them is to train on: give one a weight, or copies above 0")
        return pools

    def _held(self, name: str) -> list[Pair]:
        """Return the pairs that ``val`` holds out; sequences stay whole."""
        each = self.sets[name]
        if each.val == "0":
            return []
        pairs = self.listed(name, "train")
        if each.val.endswith((".csv", ".tsv")):
            chosen = {row.image1.resolve() for row in read_pair_table(Path(self.root) / each.val)}
            return [pair for pair in pairs if pair.image1.resolve() in chosen]
        if "*" in each.val:
            chosen = {path.resolve() for path in Path(self.root).glob(each.val)}
            return [pair for pair in pairs if pair.image1.resolve() in chosen]
        share = _share(name, each.val)
        return [pair for pair in pairs if _place(pair, self.root) < share]


class Scenes:
    """Rendered scenes of one size, by number.

    Args:
        crop: height and width in px.
        seed: of textures and scenes.
        label: separates their random streams from those of other sets.
    """

    supervised = True

    def __init__(self, crop: tuple[int, int], seed: int, label: str) -> None:
        self.bank = scene_bank(seed, "train")
        phase = Phase(crop=crop, batch_size=1, motion=Drift(speed=3.0))
        self.numbers = SceneBatches(
            self.bank, [phase], split=f"train/{label}", steps=1, epoch_batches=1, seed=seed
        )

    def item(self, number: int) -> FlowItem:
        """Return a scene."""
        batch = render_batch(self.numbers[number, 0], self.bank, occlusion=False)
        return {key: part[0] for key, part in batch.items()}  # type: ignore[return-value, index]


def _share(name: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise ConfigError(
            f"sets.{name}.val", f"expected a share below 1, a table (.csv) or a pattern with *, got '{text}'"
        )
    return share


def _place(pair: Pair, root: str) -> float:
    """Return a number in [0, 1) that depends on the pair's sequence alone, wherever the folder lies."""
    sequence = pair.sequence or str(pair.image1.parent)
    if Path(sequence).is_relative_to(root):
        sequence = Path(sequence).relative_to(root).as_posix()
    return int(hashlib.sha256(sequence.encode()).hexdigest()[:8], 16) / 2**32
