"""Denoisers whose weights come with the suite."""

import json
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from sevenfold.config import build
from sevenfold.diffreps import NETWORKS
from sevenfold.diffreps.priors.network import NetworkPrior, from_facts
from sevenfold.errors import InputError
from sevenfold.files import file_hash

FOLDER = Path(__file__).parent.parent / "shipped"


def shipped(*, which: Literal["scapes"] = "scapes") -> NetworkPrior:
    """Return a denoiser of the package, which needs no file of yours and no download.

    ``scapes``: 32x32 landscapes in colour of the eight kinds of the source of that name.

    Args:
        which: its name.

    Example:
        >>> prior = shipped()
        >>> prior.shape, prior.classes, prior.range
        ((3, 32, 32), 8, (-1.0, 1.0))
    """
    return opened(FOLDER / f"{which}.pth")


def opened(path: Path) -> NetworkPrior:
    """Return the prior of a file of half-precision weights and the card beside it, its checksum compared."""
    card_path = path.with_suffix(".json")
    for file in (path, card_path):
        if not file.is_file():
            raise InputError(f"'{file}' is missing; install the package again")
    card = json.loads(card_path.read_text())
    if file_hash(path) != card["sha256"]:
        raise InputError(
            f"'{path}' is damaged: its sha256 is not that of its card; install the package again"
        )
    network: nn.Module = build(NETWORKS, card["denoiser"]["network"], "network")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return from_facts(network, card["denoiser"])
