"""What tests of jobs share: where toy runs leave their files, and when two checkpoints are equal."""

import json
from pathlib import Path
from typing import Any

import torch

from sevenfold.checkpoint import read_checkpoint


def results(name: str, version: int = 0) -> dict[str, Any]:
    return json.loads(Path(f"runs/{name}/version_{version}/results.json").read_text())


def last(name: str, version: int = 0) -> Path:
    return Path(f"runs/{name}/version_{version}/checkpoints/last.ckpt")


def assert_equal(one: Path, two: Path) -> None:
    """Assert that two checkpoints hold the same weights, averages and optimizer, to the last bit."""
    first, second = read_checkpoint(one), read_checkpoint(two)
    assert (first["global_step"], first["epoch"]) == (second["global_step"], second["epoch"])
    for part in ("state_dict", "optimizer_states", "current_model_state"):
        assert flat(first.get(part)) == flat(second.get(part)), part


def flat(value: Any) -> Any:
    """Return nested values with every tensor as its bytes."""
    if isinstance(value, torch.Tensor):
        return value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: flat(item) for key, item in value.items()}
    return [flat(item) for item in value] if isinstance(value, list | tuple) else value
