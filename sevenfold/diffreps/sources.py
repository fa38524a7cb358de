"""Sets of real images, which priors are fitted to and samples are compared with."""

import gzip
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.errors import InputError, one_line
from sevenfold.ranges import LARGEST, Count, Finite, Range, Size
from sevenfold.seeding import torch_generator


@dataclass(frozen=True)
class Images:
    """Images (N, C, H, W) with labels (N,) and the range of their values."""

    name: str
    images: Tensor
    labels: Tensor
    range: tuple[float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (C, H, W)."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def onto(self, span: tuple[float, float]) -> "Images":
        """Return the images with their range mapped linearly onto ``span``.

        Example:
            >>> images = Images("two", torch.tensor([0.0, 255.0]).view(2, 1, 1, 1), torch.zeros(2), (0, 255))
            >>> images.onto((-1.0, 1.0)).images.flatten().tolist()
            [-1.0, 1.0]
        """
        (low, high), (first, last) = self.range, span
        mapped = first + (self.images - low) * ((last - first) / (high - low))
        return replace(self, images=mapped, range=span)


def digits(*, size: Annotated[int, Range(4, LARGEST)] = 16) -> Images:
    """Return scikit-learn's 1,797 digits in [-1, 1], resized bilinearly from 8x8; no download.

    From the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998).

    Args:
        size: side of images in px.

    Example:
        >>> digits(size=8).images.shape
        torch.Size([1797, 1, 8, 8])
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    # values 0..16 to [-1, 1]
    images = torch.as_tensor(data.images, dtype=torch.float64)[:, None] / 8 - 1
    if size != 8:
        images = torch.nn.functional.interpolate(images, size=(size, size), mode="bilinear")
    return Images(f"digits{size}", images.float(), torch.as_tensor(data.target), (-1.0, 1.0))


def mnist(*, root: str = "data") -> Images:
    """Return the 10,000 test images of MNIST in [0, 1] from its files, gzipped or not.

    Args:
        root: folder of the files.
    """
    images = _idx(Path(root), "mnist-t10k-images-idx3-ubyte", "t10k-images-idx3-ubyte")
    labels = _idx(Path(root), "mnist-t10k-labels-idx1-ubyte", "t10k-labels-idx1-ubyte")
    return Images("mnist", images[:, None].float() / 255, labels.long(), (0.0, 1.0))


def folder(
    *,
    path: str,
    size: tuple[Size, Size] = (32, 32),
    channels: Size = 3,
    span: tuple[Finite, Finite] = (-1.0, 1.0),
    most: Count = 10_000,
) -> Images:
    """Return the pictures of a folder, their centers cropped to the shape of ``size`` and resized.

    Labels are the numbers of subfolders in the order of their names, 0 without any.

    Args:
        path: the folder of .png and .jpg files.
        size: rows and columns in px.
        channels: 3, or 1 for gray.
        span: values of black and white.
        most: number of pictures, the first in the order of their names.
    """
    from PIL import Image, ImageOps

    if channels not in (1, 3):
        raise ConfigError("channels", f"must be 1 or 3, got {channels}")
    kinds = (".png", ".jpg", ".jpeg")
    files = sorted(file for file in Path(path).rglob("*") if file.suffix.lower() in kinds)[:most]
    if not files:
        raise InputError(f"no pictures ({', '.join(kinds)}) in '{path}'; set 'path'")
    groups = sorted({file.parent for file in files})
    pictures = []
    for file in files:
        try:
            with Image.open(file) as opened:
                picture = ImageOps.exif_transpose(opened)
        except OSError as error:
            raise InputError(f"'{file}' cannot be read as a picture: {one_line(error)}") from None
        if picture.mode[0] in "IF":  # converted they would be clipped to white
            raise InputError(f"'{file}' has more than 8 bits a channel ({picture.mode}); convert it")
        fitted = ImageOps.fit(picture.convert("L" if channels == 1 else "RGB"), size[::-1])
        pictures.append(torch.frombuffer(bytearray(fitted.tobytes()), dtype=torch.uint8))
    raw = torch.stack(pictures).view(-1, *size, channels).movedim(-1, 1).float()
    labels = torch.tensor([groups.index(file.parent) for file in files])
    return Images(Path(path).name, raw, labels, (0.0, 255.0)).onto(span)


def photos(
    *,
    size: Annotated[int, Range(4, LARGEST)] = 12,
    channels: Size = 3,
    count: Count = 3000,
    shrink: Count = 4,
) -> Images:
    """Return random crops of scikit-learn's two photographs in [-1, 1], labeled by photograph; no download.

    Args:
        size: side of a crop in px.
        channels: 3, or 1 for gray.
        count: crops.
        shrink: factor by which the photographs are made smaller before.
    """
    from sklearn.datasets import load_sample_images

    if channels not in (1, 3):
        raise ConfigError("channels", f"must be 1 or 3, got {channels}")
    generator, crops = torch_generator(0, "photo crops"), []
    photographs = load_sample_images().images
    for photo in photographs:
        image = torch.as_tensor(photo.copy()).float().permute(2, 0, 1) / 127.5 - 1
        # Shrunk by block means: crops of the full resolution would show little but texture.
        small = torch.nn.functional.avg_pool2d(
            image.mean(0, keepdim=True) if channels == 1 else image, shrink
        )
        rows, columns = (int(side) - size + 1 for side in small.shape[1:])
        if min(rows, columns) < 1:
            raise ConfigError("size", f"{size} pixels are more than a photograph shrunk by {shrink} has")
        for _ in range(count // len(photographs)):
            top, left = (int(torch.randint(n, (), generator=generator)) for n in (rows, columns))
            crops.append(small[:, top : top + size, left : left + size])
    labels = torch.arange(len(photographs)).repeat_interleave(count // len(photographs))
    return Images(f"photos{size}", torch.stack(crops), labels, (-1.0, 1.0))


def _idx(root: Path, *names: str) -> Tensor:
    """Read the first of the named idx files of bytes that exists, gzipped or not."""
    for path in (root / (name + suffix) for name in names for suffix in (".gz", "")):
        if path.is_file():
            raw = path.read_bytes()
            raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
            sizes = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
            return torch.frombuffer(bytearray(raw[4 + 4 * len(sizes) :]), dtype=torch.uint8).view(sizes)
    raise InputError(f"no {names[0]}[.gz] in '{root}'; set 'root' to the folder of the MNIST files")
