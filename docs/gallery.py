"""Draw the pictures of README and pages from recipes and examples (``gallery.yaml``): ``make gallery``."""

import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
LARGEST, TOGETHER = 150_000, 2_000_000  # bytes of a picture, and of all


def draw_script(entry: Mapping[str, Any], folder: Path) -> Path:
    """Run an example and return the file of one of its figures."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    files: list[Path] = []

    def save(*args: object, **options: object) -> None:
        for number in plt.get_fignums():
            files.append(folder / f"{len(files)}.png")
            plt.figure(number).savefig(files[-1], dpi=100)
        plt.close("all")

    plt.show = save
    runpy.run_path(str(ROOT / entry["script"]), run_name="__main__")
    save()
    return files[entry.get("figure", 0)]


def draw_command(entry: Mapping[str, Any], folder: Path) -> Path:
    """Run a recipe and return the file of one of its pictures."""
    command = [sys.executable, str(ROOT / "train.py"), *entry["command"].split(), f"output_dir={folder}"]
    subprocess.run(command, cwd=ROOT, check=True)
    (picture,) = folder.glob(f"*/version_*/{entry['picture']}")
    return picture


def shrink(source: Path, target: Path, width: int) -> None:
    """Write a picture as PNG of at most ``width`` pixels and ``LARGEST`` bytes, fewer colors if needed."""
    with Image.open(source) as opened:
        image = opened.convert("RGB")
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    for colors in (256, 128, 64, 32):
        image.quantize(colors, dither=Image.Dither.NONE).save(target, optimize=True)
        if target.stat().st_size <= LARGEST:
            return
    raise SystemExit(f"{target.name} is larger than {LARGEST} bytes: give it a smaller width")


def main(names: list[str]) -> None:
    entries = yaml.safe_load((DOCS / "gallery.yaml").read_text())
    if unknown := set(names) - set(entries):
        raise SystemExit(f"no entry {sorted(unknown)} in gallery.yaml; there are {', '.join(entries)}")
    images = DOCS / "images"
    images.mkdir(exist_ok=True)
    for name in names or entries:
        entry = entries[name]
        with tempfile.TemporaryDirectory() as folder:
            drawn = (draw_script if "script" in entry else draw_command)(entry, Path(folder))
            shrink(drawn, images / f"{name}.png", entry.get("width", 900))
        print(f"docs/images/{name}.png")
    total = sum(path.stat().st_size for path in images.glob("*.png"))
    if total > TOGETHER:
        raise SystemExit(f"the pictures have {total} bytes together, {TOGETHER} are allowed")


if __name__ == "__main__":
    main(sys.argv[1:])
