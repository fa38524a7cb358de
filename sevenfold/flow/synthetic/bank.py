"""What rendered scenes are made of: colored textures and outlines, stored in the user's cache."""

import hashlib
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sevenfold.environment import user_cache
from sevenfold.files import replace_file
from sevenfold.flow.synthetic import leaves, outlines, shapes, textures
from sevenfold.flow.synthetic.leaves import colored_noise, dead_leaves
from sevenfold.flow.synthetic.outlines import outline_bank
from sevenfold.flow.synthetic.textures import texture_bank
from sevenfold.seeding import numpy_generator

SIZE = 160  # side of a texture in texels


class Bank(NamedTuple):
    """Textures (N, 3, S, S) in [0, 1] and maps of distance to outlines (M, C, C) in radii."""

    textures: Tensor
    outlines: Tensor

    def to(self, device: torch.device) -> "Bank":
        """Return the bank on a device."""
        return Bank(self.textures.to(device), self.outlines.to(device))


@lru_cache(maxsize=4)
def scene_bank(seed: int, part: str, count: int = 160) -> Bank:
    """Return ``count`` textures and as many outlines, the same for the same arguments; do not write into it.

    Of the textures 60 % are dead leaves, 20 % those of the first edition in one color, 20 % colored noise.
    Textures are stored in bytes, in a file of the user's cache (``~/.cache/sevenfold``) that is named by the
    arguments and by the code that makes it, and carries a checksum; a damaged file is replaced.
    """
    name = hashlib.sha256(repr((seed, part, count, _code())).encode()).hexdigest()[:16]
    path = user_cache() / f"scenes-{name}.npz"
    stored = _read(path)
    if stored is None:
        stored = _make(seed, part, count)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replace_file(path) as file:
                np.savez(
                    file,
                    textures=stored["textures"],
                    outlines=stored["outlines"],
                    checksum=_checksum(stored),
                )
        except OSError:
            pass  # a cache that cannot be written costs seconds, nothing else
    return Bank(torch.from_numpy(stored["textures"]).float() / 255, torch.from_numpy(stored["outlines"]))


def _make(seed: int, part: str, count: int) -> dict[str, np.ndarray]:
    random = numpy_generator(seed, "scene bank", part)
    old, noise = count // 5, count // 5
    gray = texture_bank(int(random.integers(2**31)), max(1, old), SIZE)[:old]
    base = torch.from_numpy(random.uniform(0.25, 0.75, (old, 3, 1, 1)))
    contrast = torch.from_numpy(
        random.uniform(0.08, 0.35, (old, 1, 1, 1)) * random.choice([-1, 1], (old, 3, 1, 1))
    )
    colors = torch.cat(
        [
            dead_leaves(count - old - noise, SIZE, random),
            (base + contrast * gray).clamp(0, 1).float(),
            colored_noise(noise, SIZE, random),
        ]
    )
    return {
        "textures": (colors * 255).round().to(torch.uint8).numpy(),
        "outlines": outline_bank(count, random).numpy(),
    }


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """Return a stored bank; None where there is none, or a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {name: file[name] for name in ("textures", "outlines")}
            return stored if _checksum(stored) == str(file["checksum"]) else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _checksum(stored: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in ("textures", "outlines"):
        digest.update(np.ascontiguousarray(stored[name]).tobytes())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _code() -> str:
    """Return the text of what makes a bank, so that a change of it gives another one."""
    modules = (leaves, outlines, shapes, textures)
    files = [Path(__file__), *(Path(str(module.__file__)) for module in modules)]
    return "".join(file.read_text() for file in files)
