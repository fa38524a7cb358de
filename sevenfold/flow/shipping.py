"""What makes shipped weights of a finished training: float16 weights and a card."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sevenfold
from sevenfold.checkpoint import read_checkpoint
from sevenfold.errors import InputError
from sevenfold.flow.calibration import fit_calibration
from sevenfold.flow.network import FlowNetwork
from sevenfold.flow.shipped import FOLDER, write_model
from sevenfold.run_files import configuration_hash


def install(
    run: str | Path, name: str, *, folder: Path = FOLDER, carry: str = "nothing", averaged: bool = True
) -> dict[str, Any]:
    """Write the weights of a finished run as ``name.pt`` and ``name.json``; return the card.

    ``averaged``: the average over the training where the run has one, else the last weights. An average with
    a decay of .999 holds much of the first weights where a training has few thousand steps.

    Raises ``InputError`` where the run has not ended its schedule: weights are the last ones of a fixed
    number of steps, or none.
    """
    run = Path(run)
    results = json.loads((run / "results.json").read_text()) if (run / "results.json").is_file() else {}
    if results.get("status") != "finished":
        raise InputError(
            f"{run}: the schedule has not ended (status {results.get('status')}); go on by --resume"
        )
    module = sevenfold.load(run)
    network: FlowNetwork = module.network
    content = read_checkpoint(run / "checkpoints/last.ckpt")
    last = content.get("current_model_state", {})
    # The maps of the error's law are trained in the last fifth alone, too short a time for an average.
    chosen = {k: v for k, v in last.items() if not averaged or ".scale_predictor." in k}
    module.load_state_dict({**module.state_dict(), **chosen})
    steps, config = module.evaluation.iterations, module.config
    state = {key: value.half() for key, value in network.state_dict().items()}
    # Scores and calibration are those of the rounded weights.
    network.load_state_dict({key: value.float() for key, value in state.items()})
    calibration = fit_calibration(network, steps=steps)
    facts = {
        "name": name,
        "network": config["model"]["network"],
        "steps": steps,
        "carry": carry,
        "trained_on": "procedural scenes only, no photograph",
        "licence": "MIT, that of the project",
        "recipe": config["name"],
        "recipe_hash": configuration_hash(config),
        "seed": config["seed"],
        "training_steps": config["trainer"]["max_steps"],
        "weights": "average" if averaged and "current_model_state" in content else "last",
        "pairs_seen": pairs_seen(config),
        "seconds": results.get("seconds"),
        "device": _device(run),
    }
    return write_model(folder / f"{name}.pt", network, calibration, facts)


def _device(run: Path) -> str:
    """Return the name of the accelerator that a run used, or "CPU"."""
    path = run / "environment.json"
    devices = json.loads(path.read_text()).get("devices") if path.is_file() else None
    return devices[0] if devices else "CPU"


def pairs_seen(config: Mapping[str, Any]) -> int:
    """Return how many pairs a training by phases sees on one device."""
    phases, steps = config["data"]["phases"], config["trainer"]["max_steps"]
    total = sum(phase["share"] for phase in phases)
    return round(sum(phase["share"] / total * steps * phase["batch_size"] for phase in phases))
