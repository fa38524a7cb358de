"""A class-conditional transformer of images as another project would write it."""

import torch
from torch import Tensor, nn


class Output:
    """What some libraries return."""

    def __init__(self, sample: Tensor) -> None:
        self.sample = sample


class TinyDiT(nn.Module):
    """Patches of 2x2, one block, classes 0 to 2 and 3 for none; ``learned`` adds channels of variances."""

    def __init__(self, size: int = 8, width: int = 16, learned: bool = False, wrap: str = "") -> None:
        super().__init__()
        self.size, self.wrap, out = size, wrap, 8 if learned else 4
        self.patches = nn.Conv2d(1, width, 2, stride=2)
        self.places = nn.Parameter(torch.randn(1, (size // 2) ** 2, width))
        self.classes = nn.Embedding(4, width)
        self.time = nn.Linear(1, width)
        self.mix, self.block = (
            nn.Linear(width, 3 * width),
            nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width)),
        )
        self.last = nn.Linear(width, out)

    def forward(self, sample: Tensor, class_labels: Tensor, timestep: Tensor) -> object:
        """Return the output for images, classes and times, in an order of its own."""
        tokens = self.patches(sample).flatten(2).transpose(1, 2) + self.places
        style = self.classes(class_labels) + self.time(timestep[:, None].float() / 1000)
        tokens = tokens + style[:, None]
        tokens = tokens + nn.functional.scaled_dot_product_attention(*self.mix(tokens).chunk(3, -1))
        tokens = self.last(tokens + self.block(tokens)).transpose(1, 2)
        side = self.size // 2
        image = nn.functional.pixel_shuffle(tokens.reshape(sample.shape[0], -1, side, side), 2)
        return {"": image, "tuple": (image, None), "dict": {"sample": image}, "object": Output(image)}[
            self.wrap
        ]
