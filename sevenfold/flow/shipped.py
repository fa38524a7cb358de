"""Weights that come with the package, and what is known of them: one card a model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sevenfold.config import build
from sevenfold.errors import InputError, suggest
from sevenfold.files import file_hash, replace_file, write_text
from sevenfold.flow import NETWORKS
from sevenfold.flow.confidence import Calibration
from sevenfold.flow.network import FlowNetwork

FOLDER = Path(__file__).with_name("weights")
SHIPPED = ("scenes",)
"""Models whose weights are in the package."""
KNOWN: dict[str, Mapping[str, Any]] = {
    "raft_small": {"name": "raft", "variant": "small"},
    "raft": {"name": "raft", "variant": "large"},
    "deq_flow": {"name": "deq_flow"},
}
"""Networks by name for weights of the user's."""


@dataclass(frozen=True)
class Card:
    """What is known of a model: steps of f, the calibration of its confidence, what a video carries over."""

    steps: int = 24
    carry: str = "nothing"
    calibration: Calibration | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_card(path: Path) -> Card:
    """Read a card; raises ``InputError`` where it is missing or damaged."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        rows = facts["calibration"]
        calibration = Calibration(rows["rows"], {name: (x, y) for name, (x, y) in rows["curves"].items()})
        return Card(facts["steps"], facts["carry"], calibration, facts)
    except FileNotFoundError:
        raise InputError(f"{path}: no such card") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged card ({error!r}); install the package again") from None


def default_calibration() -> Calibration:
    """Return the calibration of models that have no card: that of RAFT-small on procedural scenes."""
    calibration = read_card(FOLDER / "default.json").calibration
    assert calibration is not None
    return calibration


def load_shipped(name: str) -> tuple[FlowNetwork, Card]:
    """Return a shipped network in float32 with its card.

    Raises ``InputError`` for other names, and where the weights are not those of the card.
    """
    if name not in SHIPPED:
        raise InputError(f"'{name}' is no shipped model. {suggest(name, [*SHIPPED, *KNOWN])}")
    path = FOLDER / f"{name}.pt"
    if not path.is_file():
        raise InputError(
            f"the weights of '{name}' are not in this copy ({path}): train them by configs/flow/ship.yaml "
            "and install them by benchmarks/ship_check.py, or give weights of your own"
        )
    return read_model(path)


def read_model(path: Path) -> tuple[FlowNetwork, Card]:
    """Return the network of a file of weights and of the card beside it, in float32."""
    card = read_card(path.with_suffix(".json"))
    if file_hash(path) != card.facts["sha256"]:
        raise InputError(f"{path} is damaged: its hash is not that of its card; install the package again")
    # Stored in half precision, computed in single.
    network: FlowNetwork = build(NETWORKS, card.facts["network"], "network")
    state = torch.load(path, weights_only=True, map_location="cpu")
    network.load_state_dict({key: value.float() for key, value in state.items()})
    return network, card


def write_model(
    path: Path, network: FlowNetwork, calibration: Calibration, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write weights in float16 and, beside them, the card with hash, calibration and facts; return the card.

    ``facts`` has ``steps``, ``carry`` and ``network``, the options of the network with its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as file:
        torch.save({key: value.half() for key, value in network.state_dict().items()}, file)
    rows = {"rows": calibration.rows, "curves": {k: list(v) for k, v in calibration.curves.items()}}
    card = {**facts, "sha256": file_hash(path), "calibration": rows}
    write_text(path.with_suffix(".json"), json.dumps(card, indent=1) + "\n")
    return card
