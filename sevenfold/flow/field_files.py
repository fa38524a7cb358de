"""Estimated fields as files: in the layout of a benchmark, as colored pictures and animations."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from sevenfold.flow.drawing import colored
from sevenfold.flow.formats import write_flow, write_image
from sevenfold.flow.formats.animation import write_animation
from sevenfold.flow.formats.layout import Layout, path_of
from sevenfold.flow.sequence_scale import SequenceScale


class FieldFiles:
    """Writes fields into ``predictions/`` and pictures of them into ``colors/`` of a folder.

    Args:
        folder: in which both lie.
        layout: of the files of fields.
        color: whether pictures are drawn.
        radius: speed in px of the most saturated color; None: one scale a sequence.
        animation: whether each sequence becomes a GIF.

    Example:
        >>> import tempfile, torch
        >>> files = FieldFiles(Path(tempfile.mkdtemp()))
        >>> files.write({"name": "walk/1"}, torch.ones(2, 8, 8))
        >>> files.close("walk")
        >>> sorted(path.name for path in files.folder.rglob("*.*"))
        ['1.flo', '1.png', 'walk.gif']
    """

    def __init__(
        self,
        folder: Path,
        *,
        layout: Layout = "plain",
        color: bool = True,
        radius: float | None = None,
        animation: bool = True,
    ) -> None:
        self.folder, self.color, self.radius, self.animation = folder, color, radius, animation
        self.layout: Layout = layout
        self._begin()

    def _begin(self) -> None:
        self._pictures: list[Path] = []
        self._scale = SequenceScale[tuple[str, Tensor]](self._draw, self.radius)

    def write(self, item: Mapping[str, str], field: Tensor) -> None:
        """Write a field (2, H, W) of an item with ``name``; in a sequence, ``sequence`` and ``frame`` too."""
        field = field.detach().float().cpu()
        write_flow(self.folder / "predictions" / path_of(dict(item), self.layout), field, clip=True)
        if self.color:
            self._scale.add((item["name"], field), field.norm(dim=0))

    def _draw(self, item: tuple[str, Tensor], scale: float) -> None:
        path = self.folder / "colors" / f"{item[0]}.png"
        write_image(path, colored(item[1], scale))
        self._pictures.append(path)

    def close(self, sequence: str | None) -> None:
        """End a sequence: draw what waits for its scale, animate it; None: pairs that are none."""
        self._scale.flush()
        if sequence is not None and self.animation and self._pictures:
            write_animation(self.folder / "colors" / f"{sequence}.gif", self._pictures)
        self._begin()
