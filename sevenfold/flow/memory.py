"""How much memory an estimate takes, before anything is computed."""

import torch

from sevenfold.flow.correlation import AUTO_SHARE, CHUNK
from sevenfold.flow.network import FlowNetwork
from sevenfold.measuring import free_bytes

FLOAT = 4


def estimate_bytes(network: FlowNetwork, height: int, width: int, *, directions: int, free: int) -> int:
    """Return about how many bytes an evaluation of one pair of this size takes beside the weights.

    The largest of its three stages, each with what stays of the ones before: encoders, whose first maps have
    half the picture's resolution; steps with their correlation; upsampling.
    """
    widths, pixels = network.widths, height * width
    cells = pixels // network.stride**2
    stem = pixels / 4 * widths.stem * FLOAT
    encoders = 2 * 3.0 * stem
    volume = directions * cells**2 * FLOAT * 4 / 3
    kind = network.design.correlation
    stored = kind == "all_pairs" or (kind == "auto" and volume <= AUTO_SHARE * free)
    lookup = volume if stored else 3.0 * CHUNK * FLOAT
    features = 2 * cells * widths.features * FLOAT * (1 if stored else 3)
    channels = 8 * widths.hidden + 3 * widths.correlation_channels + 3 * widths.motion + widths.context
    steps = features + lookup + directions * cells * channels * FLOAT
    upsampling = directions * pixels * FLOAT * (9 * 2 * 2 + 9 * 3 if widths.mask else 6)
    return int(max(encoders, steps, features + lookup + upsampling) + 12 * pixels * FLOAT)


def largest_tile(
    network: FlowNetwork, height: int, width: int, *, directions: int, free: int, share: float
) -> int | None:
    """Return the side of the largest square tile for a share of ``free`` bytes; None if the whole fits."""
    if estimate_bytes(network, height, width, directions=directions, free=free) <= share * free:
        return None
    side = max(height, width) // network.stride * network.stride
    while side > network.stride:
        part = (min(side, height), min(side, width))
        if estimate_bytes(network, *part, directions=directions, free=free) <= share * free:
            break
        side -= network.stride
    return side


def free_on(network: torch.nn.Module) -> int:
    """Return the free memory of the device that holds a network."""
    return free_bytes(next(network.parameters()).device)
