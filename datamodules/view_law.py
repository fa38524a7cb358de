"""Rows of the table of view noises."""

from datamodules.nas import Items
from sevenfold.config import ConfigError
from sevenfold.diffreps.worlds.law import Setup


class ViewLaws(Items):
    """Rings of cameras whose law is computed.

    Args:
        setup: scenes, cameras, noise levels.
        views: sizes of the rings.
        rounds: of resampling, for the first ring only.
    """

    def __init__(
        self,
        *,
        setup: Setup = Setup(),
        views: list[int] = [8, 16, 32],  # noqa: B006 (never changed)
        rounds: list[int] = [1, 3, 10],  # noqa: B006
    ) -> None:
        super().__init__()
        if not views or min(views) < 1 or min(rounds, default=0) < 0:
            raise ConfigError(
                "views", f"needs rings of at least 1 camera, and rounds >= 0, got {views}, {rounds}"
            )
        self.items = [(setup, count, rounds if count == views[0] else []) for count in views]
