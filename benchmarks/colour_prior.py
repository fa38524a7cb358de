"""Figures of a colour prior: errors beside the best linear denoiser, sharpness of samples, closed panoramas.

``PYTHONPATH=. python benchmarks/colour_prior.py [FILE.pth] [--pictures FOLDER]``; by default the shipped one.
"""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from sevenfold.diffreps.guidance import Guidance
from sevenfold.diffreps.methods.pullback import Pullback
from sevenfold.diffreps.methods.reference import Reference
from sevenfold.diffreps.priors.base import Condition
from sevenfold.diffreps.priors.network import NetworkPrior
from sevenfold.diffreps.priors.shipped import FOLDER, opened
from sevenfold.diffreps.representations.panorama import WideCanvas
from sevenfold.diffreps.representations.pixels import Pixels
from sevenfold.diffreps.run import run
from sevenfold.diffreps.sampling_task import make_task
from sevenfold.diffreps.scapes import KINDS, scapes
from sevenfold.diffreps.view_noise import Anchored, Pool
from sevenfold.seeding import stream_seed, torch_generator

LEVELS = (0.1, 0.2, 0.5, 1.0, 2.0)  # of the data's standard deviation
WEIGHT, SCREENS, VIEWS = 1.5, 6, 24
SCHEDULE = {"name": "karras", "sigma_min": 0.02, "sigma_max": 80.0}


class Linear:
    """The best linear denoiser of images with the mean and covariance of others."""

    def __init__(self, images: Tensor) -> None:
        flat = images.flatten(1)
        self.mean = flat.mean(0)
        centered = (flat - self.mean) / len(flat) ** 0.5
        # Fewer images than values: the covariance's eigenvectors follow from the smaller Gram matrix.
        values, vectors = torch.linalg.eigh(centered @ centered.T)
        large = values > values.max() * 1e-6
        self.variances = values[large]
        self.basis = centered.T @ vectors[:, large] / self.variances.sqrt()

    def __call__(self, z: Tensor, sigma: float) -> Tensor:
        """Return m + S (S + sigma^2 I)^-1 (z - m)."""
        inner = (z.flatten(1) - self.mean) @ self.basis
        shrunk = inner * self.variances / (self.variances + sigma**2)
        return (self.mean + shrunk @ self.basis.T).view(z.shape)


def ratios(prior: NetworkPrior, count: int = 128) -> dict[str, float]:
    """Return the squared error over that of the linear denoiser, the same noise for both."""
    others, pictures = scapes(count=2048, seed=11).images, scapes(count=count, seed=12)
    linear, std, result = Linear(others), float(others.std()), {}
    for level in LEVELS:
        sigma = level * std
        noise = torch.randn(pictures.images.shape, generator=torch_generator(0, "colour", str(level)))
        z = pictures.images + sigma * noise
        with torch.no_grad():
            image = prior.denoise(z, torch.full((count,), sigma), Condition(pictures.labels))
        errors = [(estimate - pictures.images).square().mean() for estimate in (image, linear(z, sigma))]
        result[f"error over linear at {level:g} std"] = float(errors[0] / errors[1])
    return result


def edges(images: Tensor) -> Tensor:
    """Return the energy of the Laplacian of each image (N,)."""
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]).expand(3, 1, 3, 3)
    return F.conv2d(images, kernel, groups=3).square().flatten(1).mean(1)


def sharpness(prior: NetworkPrior, each: int = 8) -> tuple[float, Tensor]:
    """Return the median over kinds of the Laplacian energy of samples over drawn images, and the samples."""
    labels = [k % len(KINDS) for k in range(each * len(KINDS))]
    task = make_task(
        Pixels(size=32, channels=3), prior, Pool(),
        seeds=[stream_seed(0, "denoiser sample", k) for k in range(len(labels))], labels=labels,
    )  # fmt: skip
    # First-order steps blur: with them the energy is a quarter less (.64 instead of .86).
    sampler = Reference(
        schedule={**SCHEDULE, "levels": 30}, guidance=Guidance(weight=WEIGHT, clip=True), order="heun"
    )
    samples = run(sampler, task).images[:, 0]
    drawn = scapes(count=512, seed=13)
    kinds = torch.tensor(labels)
    each_kind = [
        edges(samples[kinds == k]).mean() / edges(drawn.images[drawn.labels == k]).mean()
        for k in range(len(KINDS))
    ]
    return float(torch.stack(each_kind).median()), samples


def panoramas(prior: NetworkPrior, kinds: list[int]) -> tuple[dict[str, float], Tensor]:
    """Return figures of the columns' jumps of rings of six screens, and the rings (N, 3, 32, 192)."""
    canvas = WideCanvas(size=32, channels=3, length=32 * SCREENS, wrap=True)
    task = make_task(canvas, prior, Anchored(), seeds=range(len(kinds)), labels=kinds, views=VIEWS)
    method = Pullback(
        schedule={**SCHEDULE, "levels": 25},
        solver={"name": "cg", "damping": 0.0},
        guidance=Guidance(weight=WEIGHT, clip=True),
    )
    rings = run(method, task).theta.view(-1, 3, 32, 32 * SCREENS)
    jumps = (rings - rings.roll(1, 3)).abs().mean((1, 2))  # at place 0: from the last column to the first
    median = jumps.median(1).values
    return {
        "closure over median jump, worst ring": float((jumps[:, 0] / median).max()),
        "largest jump elsewhere over median, same ring": float(
            (jumps[:, 1:].max(1).values / median)[int((jumps[:, 0] / median).argmax())]
        ),
    }, rings


def show(figures: dict[str, float]) -> None:
    """Print figures as soon as they are known."""
    print(json.dumps(figures, indent=1), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("file", type=Path, nargs="?", default=FOLDER / "scapes.pth")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--kinds", type=int, nargs="*", default=[0, 2, 6])
    options = parser.parse_args()
    prior = opened(options.file)
    show({"bytes": float(options.file.stat().st_size), **ratios(prior)})
    energy, samples = sharpness(prior)
    show({"edges of samples over drawn images": energy})
    closing, rings = panoramas(prior, options.kinds)
    show(closing)
    if options.pictures:
        from torchvision.utils import save_image

        options.pictures.mkdir(parents=True, exist_ok=True)
        save_image(samples / 2 + 0.5, options.pictures / "samples.png", nrow=8, padding=1)
        save_image(rings / 2 + 0.5, options.pictures / "panoramas.png", nrow=1, padding=1)


if __name__ == "__main__":
    main()
