"""The study of the law of volumes under each kind of view noise: exact covariances for rings of cameras."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sevenfold.config import ConfigError, merge
from sevenfold.diffreps.studies.view_noise_summary import draw, headline, table
from sevenfold.diffreps.worlds.view_noise_covariance import KINDS, Order, Setup, Spread, ViewLaw
from sevenfold.ranges import Count, NonNegativeInt
from sevenfold.records import Record, summarize
from sevenfold.study import Context, Piece, Report, Section, Study

ORDERS: tuple[Order, ...] = ("heun", "euler")
RESAMPLED = ("independent", "object", "canonical")


@dataclass(frozen=True)
class Ring(Piece):
    """A ring of ``views`` cameras, with several numbers of ``rounds`` of resampling."""

    views: int
    rounds: tuple[int, ...]


class ViewNoiseStudy(Study[Ring]):
    """The spread of volumes relative to the truth under every kind of view noise: 1 is right.

    Args:
        setup: scenes, cameras, noise levels.
        views: sizes of the rings.
        rounds: of resampling, for the first ring only.
    """

    devices = "cpu"
    gradients = False
    running = ("total",)

    def __init__(
        self,
        *,
        setup: Setup = Setup(),
        views: list[Count] = [8, 16, 32],  # noqa: B006 (never changed)
        rounds: list[NonNegativeInt] = [1, 3, 10],  # noqa: B006
    ) -> None:
        if not views or len(set(views)) < len(views):
            raise ConfigError("views", f"needs at least one ring of cameras, and none twice, got {views}")
        if len(set(rounds)) < len(rounds):
            raise ConfigError("rounds", f"needs no number twice, got {rounds}")
        self.setup, self.views, self.rounds = setup, views, tuple(rounds)

    def pieces(self) -> Sequence[Ring]:
        """Return the rings."""
        rings = [(views, self.rounds if views == self.views[0] else ()) for views in self.views]
        return [
            Ring((f"{views}/overlap", *(f"{views}/{name}" for name in names(rounds))), f"{views}_views",
                 views, rounds)
            for views, rounds in rings
        ]  # fmt: skip

    def run(self, piece: Ring, context: Context) -> list[Record]:
        """Return a record for every kind of noise, and one for the overlap of views."""
        law = ViewLaw(self.setup, piece.views)
        overlap = {"key": piece.keys[0], "group": piece.group, "overlap": law.overlap()}
        return [overlap] + [
            {"key": key, "group": f"{piece.group}/{name}", **vars(spread)}
            for key, (name, spread) in zip(piece.keys[1:], spreads(law, piece.rounds).items(), strict=True)
        ]

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return spreads by noise and ring, and their picture."""
        text = (
            "Root of the variance of held-out renders relative to the true one's: 1 is right, less is lost "
            "diversity. Steps of Heun's method without resampling."
        )
        path = folder / "images/view_noise_law.png"
        return Report(
            "The law of volumes by the noise of their views",
            headline(records),
            [text],
            [Section("All figures", [PARTS], table(records))],
            [path] if draw(records, path) else [],
            summarize(records),
        )

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return a ring of two cameras and few scenes on a coarse grid."""
        return merge(
            options, {"views": [2], "rounds": [1], "setup": {"count": 20, "resolution": 3, "levels": 3}}
        )


def names(rounds: Sequence[int]) -> list[str]:
    """Return the names of a ring's records, in order."""
    kinds = [
        name
        for kind in KINDS
        for name in [
            *(f"{kind}/{order}" for order in ORDERS),
            *(f"{kind}/heun_rounds{n}" for n in rounds if kind in RESAMPLED),
        ]
    ]
    return ["product_of_views", *kinds, *(["joint_prior/heun"] if rounds else [])]


def spreads(law: ViewLaw, rounds: Sequence[int]) -> dict[str, Spread]:
    """Return the spread of every kind of noise, and after ``rounds`` of resampling, by name."""
    # The map from noise to parameters does not depend on the kind of noise: Cov(theta) = M Cov(e) M^T.
    maps = {order: law.split(order) for order in ORDERS}
    by_name = {"product_of_views": law.spread(law.product())}
    for kind in KINDS:
        noise = law.noise(kind)
        by_name |= {f"{kind}/{order}": law.spread(t @ noise @ t.T) for order, t in maps.items()}
        if kind in RESAMPLED:
            by_name |= {f"{kind}/heun_rounds{n}": law.spread(law.resampled(noise, "heun", n)) for n in rounds}
    if rounds:
        joint = law.split("heun", joint=True)
        by_name["joint_prior/heun"] = law.spread(joint @ joint.T)
    return by_name


PARTS = (
    "total: all components; top: the leading ones, with 95 % of the true variance; rest: the others. "
    "Overlap: mean number of views that show a direction of scene space. Product of views: "
    "the limit of many rounds of resampling."
)
