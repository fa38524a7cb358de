"""One ordinary network with a cell of NAS-Bench-201, written with the library's own layers."""

import torch
from torch import Tensor, nn

from sevenfold.nas.digits.network import Networks, live_ops
from sevenfold.nas.spaces.nb201_keys import EDGES, OPS


def operation(op: str, channels: int) -> nn.Module:
    if op == "none":
        return nn.Module()
    if op == "skip_connect":
        return nn.Identity()
    if op == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    size = 3 if op == "nor_conv_3x3" else 1
    convolution = nn.Conv2d(channels, channels, size, padding=size // 2, bias=False)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(channels))


class Plain(nn.Module):
    """A stem, a cell and a head for images (B, 1, 8, 8)."""

    def __init__(self, arch: list[int], channels: int) -> None:
        super().__init__()
        self.arch = live_ops([arch])[0].tolist()
        self.stem = nn.Sequential(nn.Conv2d(1, channels, 2, stride=2, bias=False), nn.BatchNorm2d(channels))
        self.edges = nn.ModuleList(operation(OPS[code], channels) for code in self.arch)
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, 10)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        nodes = [self.stem(images)]
        for target in (1, 2, 3):
            parts = [
                self.edges[edge](nodes[source])
                for edge, (source, end) in enumerate(EDGES)
                if end == target and self.arch[edge]
            ]
            nodes.append(sum(parts) if parts else torch.zeros_like(nodes[0]))
        return self.head(self.norm(nodes[3]).relu().mean((2, 3)))

    @torch.no_grad()
    def take_weights(self, networks: Networks, m: int) -> None:
        """Copy the weights of network m of a stack."""
        for weight, own in zip(self.weights(), drawn(networks, m), strict=True):
            weight.copy_(own.view_as(weight))

    def weights(self) -> list[Tensor]:
        """Return the convolution weights and the head, in the order in which a stack draws them."""
        middle = [module[1].weight for module in self.edges if isinstance(module, nn.Sequential)]
        return [self.stem[0].weight, *middle, self.head.weight]


def drawn(networks: Networks, m: int) -> list[Tensor]:
    """Return what network m of a stack draws, in order."""
    return [weight[rows[owners == m]][0] for weight, rows, owners in networks.filters() if m in owners]
