"""Checkpoints as data from somebody else: read with ``weights_only=True``, explained when they do not fit."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sevenfold.errors import InputError

Checkpoint = dict[str, Any]
"""The content of a checkpoint: plain values and tensors."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Load a checkpoint file on CPU, tensors and plain values only.

    Raises ``InputError`` for a remote address (which Lightning would unpickle without restriction), an
    absent, truncated or foreign file, and a file that holds anything but plain values.
    """
    if "://" in str(path):
        raise InputError(f"'{path}' is a remote address: download it, verify it, and give the local file")
    if not Path(path).is_file():
        raise InputError(f"checkpoint '{path}' does not exist")
    check_blocks(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise InputError(
            f"'{path}' is no readable checkpoint (truncated, or not plain data): {reason}"
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"'{path}' holds a {type(content).__name__}, not a checkpoint")
    return content


def check_blocks(path: str | Path) -> None:
    """Compare every block of a checkpoint with its checksum; ``InputError`` names one that is damaged.

    PyTorch writes checksums and does not look at them: a flipped bit would become a wrong weight in silence.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # damaged headers raise whatever their bytes happen to mean
        raise InputError(
            f"'{path}' is damaged: {error or type(error).__name__}; use an earlier checkpoint"
        ) from None
    if damaged is not None:
        raise InputError(
            f"'{path}' is damaged: block '{damaged}' fails its checksum; use an earlier checkpoint"
        )


def is_debiased(path: str | Path) -> bool:
    """Tell whether a file is a saved debiased network (:mod:`sevenfold.fairness.artefact`), by its keys.

    >>> is_debiased("none.pt")
    False
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # no file, or none that can be read: its reader says what is wrong
        return False
    return isinstance(content, dict) and set(content) == {"format", "card", "state"}


def debiased_study(path: str, verb: str | None, configured: bool) -> dict[str, Any] | None:
    """Return the study by which predict and test use a saved debiased network; None for a checkpoint."""
    from sevenfold.recipes import folder
    from sevenfold.yaml_files import read_file

    if not is_debiased(path):
        return None
    studies = {"predict": "decisions", "test": "audit"}
    if configured or verb not in studies:
        raise InputError(
            f"'{path}' is a debiased network: say predict or test --ckpt FILE data.source.path=FILE.csv, "
            "without --config"
        )
    study = {"name": studies[verb], "file": str(Path(path).absolute())}
    shared = read_file(folder() / "base/study.yaml")
    return {**shared, "name": f"{studies[verb]}_{Path(path).stem}", "study": study}


def stored_config(path: str | Path) -> dict[str, Any]:
    """Return the resolved configuration that a run of this suite put into its checkpoint."""
    config = read_checkpoint(path).get("config")
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        raise InputError(
            f"'{path}' holds no configuration: it is not from this suite, so give --config as well"
        )
    return config


DESTINATIONS = ("output_dir", "name", "logger", "tags", "executor")
WRITTEN = ("dirpath", "filename", "folder")  # options of callbacks that say where something is written


def carried_config(path: str | Path) -> dict[str, Any]:
    """Return what a run takes from a checkpoint alone: everything but where to write.

    A checkpoint is data from somebody else, and where files go is the user's to say. The name is that of the
    folder ``NAME/version_N/checkpoints`` that the checkpoint lies in, else that of its file.
    """
    config = {key: value for key, value in stored_config(path).items() if key not in DESTINATIONS}
    callbacks = config.get("callbacks")
    if isinstance(callbacks, dict):
        config["callbacks"] = {
            name: {key: value for key, value in options.items() if key not in WRITTEN}
            if isinstance(options, dict)
            else options
            for name, options in callbacks.items()
        }
    folders = Path(path).absolute().parents
    known = len(folders) > 2 and folders[0].name == "checkpoints" and folders[1].name.startswith("version_")
    return {**config, "name": folders[2].name if known else Path(path).stem, "logger": {"csv": {}}}


# What Lightning reads when it resumes a fit.
RESUMABLE = (
    "state_dict",
    "epoch",
    "global_step",
    "loops",
    "optimizer_states",
    "lr_schedulers",
)


def state_of(content: Mapping[str, Any], path: str | Path, resume: bool = False) -> dict[str, torch.Tensor]:
    """Return the state dict of a checkpoint; to ``resume`` a fit, the rest of its state must be there too."""
    state = content.get("state_dict")
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise InputError(f"'{path}' holds no weights by name ('state_dict'): it is no checkpoint of a run")
    if "pytorch-lightning_version" not in content:  # Lightning reads it first, whatever it is to do
        raise InputError(f"'{path}' is no checkpoint of a run: it lacks 'pytorch-lightning_version'")
    if resume and (missing := [key for key in RESUMABLE if key not in content]):
        message = (
            f"'{path}' cannot be resumed: it lacks {', '.join(missing)} (a checkpoint of weights alone?)"
        )
        raise InputError(f"{message}; evaluate it, or start from its weights")
    return dict(state)


def check_state(state: Mapping[str, torch.Tensor], module: torch.nn.Module, path: str | Path) -> None:
    """Compare a state dict with the module it is meant for; raise ``InputError`` naming what differs."""
    if getattr(module, "built_from_data", False):
        return  # its parameters come with the data; Lightning compares when these are there
    compare_state(state, module, path)


def compare_state(state: Mapping[str, torch.Tensor], module: torch.nn.Module, path: str | Path) -> None:
    """Raise ``InputError`` naming what differs between a state dict and that of a module."""
    own = module.state_dict()
    problems = [f"missing {key}" for key in own if key not in state]
    problems += [f"unexpected {key}" for key in state if key not in own]
    for key in state:
        if key in own and isinstance(own[key], torch.Tensor) and own[key].shape != state[key].shape:
            problems.append(f"{key} is {tuple(state[key].shape)}, the model's is {tuple(own[key].shape)}")
    if problems:
        shown = "; ".join(problems[:4]) + (f"; and {len(problems) - 4} more" if len(problems) > 4 else "")
        raise InputError(f"'{path}' is a checkpoint of another model: {shown}")


def recorded_model(content: Mapping[str, Any], path: str | Path) -> tuple[str, dict[str, Any]]:
    """Return the name of the model that a checkpoint is of, and the options it was made with.

    Checkpoints written before modules recorded their options have both in the run's configuration. Raises
    ``InputError`` where neither is there.
    """
    name, options = content.get("model"), content.get("hyper_parameters")
    if not isinstance(name, str) or not isinstance(options, Mapping):
        config = content.get("config")
        node = config.get("model") if isinstance(config, Mapping) else None
        if not isinstance(node, Mapping) or not isinstance(node.get("name"), str):
            raise InputError(
                f"'{path}' does not say which model it is of, or how that was made: it is not from this suite"
            )
        name, options = node["name"], {key: value for key, value in node.items() if key != "name"}
    if not all(isinstance(key, str) for key in options):
        raise InputError(f"'{path}' is damaged: its options have no names; use an earlier checkpoint")
    return name, dict(options)
