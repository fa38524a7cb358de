"""A third party's small DDPM for MNIST (Franfee, MIT license), rebuilt for its published weights."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sevenfold.ranges import Count

CHANNELS = (10, 20, 40)
TIME = 128


class Residual(nn.Module):
    """ReLU(conv2(ReLU(conv1(LayerNorm(x)))) + skip(x)), the norm over the whole (C, H, W) block."""

    def __init__(self, before: int, after: int, side: int) -> None:
        super().__init__()
        self.ln = nn.LayerNorm((before, side, side))
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.residual_conv = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, after, side, side)."""
        return F.relu(self.conv2(F.relu(self.conv1(self.ln(x)))) + self.residual_conv(x))


class TimeTable(nn.Module):
    """A frozen table of time embeddings, one row a step."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(steps, TIME)
        # part of the published weights: the sines of Ho et al. 2020, as a table
        self.embedding.weight.requires_grad_(False)


def _time_layer(outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(TIME, outputs), nn.ReLU(), nn.Linear(outputs, outputs))


class MnistUNet(nn.Module):
    """A U-Net that predicts the noise of 28x28 images at whole times, without classes.

    Args:
        steps: number of times, which start at 0.
    """

    def __init__(self, *, steps: Count = 1000) -> None:
        super().__init__()
        sides, inputs = (28, 14, 7), (1, *CHANNELS)
        self.pe = TimeTable(steps)
        self.pe_linears_en = nn.ModuleList(_time_layer(inputs[i]) for i in range(3))
        self.encoders = nn.ModuleList(
            nn.Sequential(Residual(inputs[i], c, side), Residual(c, c, side))
            for i, (c, side) in enumerate(zip(CHANNELS, sides, strict=True))
        )
        self.downs = nn.ModuleList(nn.Conv2d(c, c, 2, stride=2) for c in CHANNELS)
        self.pe_mid = nn.Linear(TIME, 40)
        self.mid = nn.Sequential(Residual(40, 80, 3), Residual(80, 80, 3))
        before = (80, 40, 20)
        self.pe_linears_de = nn.ModuleList(nn.Linear(TIME, c) for c in before)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(c, c // 2, 2, stride=2) for c in before)
        self.decoders = nn.ModuleList(
            nn.Sequential(Residual(c, c // 2, side), Residual(c // 2, c // 2, side))
            for c, side in zip(before, reversed(sides), strict=True)
        )
        self.conv_out = nn.Conv2d(10, 1, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the noise (N, 1, 28, 28) in images ``x`` at ``time`` (N,); ``labels`` are ignored."""
        t, skips = self.pe.embedding(time.long()), []
        for embed, encoder, down in zip(self.pe_linears_en, self.encoders, self.downs, strict=True):
            x = encoder(x + embed(t)[..., None, None])
            skips.append(x)
            x = down(x)
        x = self.mid(x + self.pe_mid(t)[..., None, None])
        for embed, up, decoder in zip(self.pe_linears_de, self.ups, self.decoders, strict=True):
            skip, raised = skips.pop(), up(x)
            # 28 -> 14 -> 7 -> 3: the coarsest map of 3 pixels is padded back to 7 on the way up
            rows, columns = (skip.shape[d] - raised.shape[d] for d in (2, 3))
            raised = F.pad(raised, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
            x = decoder(torch.cat([skip, raised], 1) + embed(t)[..., None, None])
        return self.conv_out(x)
