"""Weights of a checkpoint as one safetensors file: ``python -m sevenfold.zoo.pack CHECKPOINT FILE``."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from sevenfold.checkpoint import DESTINATIONS, Checkpoint, read_checkpoint
from sevenfold.errors import InputError
from sevenfold.files import file_hash

# Parts of a checkpoint that only a training needs.
TRAINING = ("loops", "callbacks", "optimizer_states", "lr_schedulers", "resumption", "stale_start",
            "MixedPrecision", "epoch", "global_step", "hparams_name", "current_model_state",
            "averaging_state")  # fmt: skip
TENSOR = "__tensor__"


def write(content: Checkpoint, path: Path) -> str:
    """Write what a module needs of a checkpoint as safetensors; return the file's sha256.

    Tensors anywhere in the content are stored under numbers and everything else as JSON in the metadata, so
    that any nesting comes back as it was. Where the run wrote its files is left out.
    """
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            name = str(len(tensors))
            tensors[name] = value.detach().cpu().clone().contiguous()
            return {TENSOR: name}
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {key: plain(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [plain(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise InputError(f"a {type(value).__name__} in a checkpoint cannot be published")

    content = {key: plain(value) for key, value in content.items() if key not in TRAINING}
    config = content.get("config", {})
    content["config"] = {key: value for key, value in config.items() if key not in DESTINATIONS}
    save_file(tensors, path, metadata={"content": json.dumps(content)})
    return file_hash(path)


def read(path: Path) -> Checkpoint:
    """Return the content that :func:`write` has written."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        content = json.loads((file.metadata() or {}).get("content", "null"))
    if not isinstance(content, dict):
        raise InputError(f"'{path}' is no file of the zoo: it has no 'content' in its metadata")

    def back(value: Any) -> Any:
        if isinstance(value, dict):
            if set(value) == {TENSOR}:
                return tensors[value[TENSOR]]
            return {key: back(inner) for key, inner in value.items()}
        return [back(inner) for inner in value] if isinstance(value, list) else value

    restored: Checkpoint = back(content)
    return restored


def main(argv: list[str] | None = None) -> int:
    """Write a file and print what its card needs; return the exit status."""
    parser = argparse.ArgumentParser("sevenfold.zoo.pack", description="Publish the weights of a checkpoint.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("file", type=Path, help="such as sevenfold/zoo/flow/demo.safetensors")
    options = parser.parse_args(argv)
    try:
        checksum = write(read_checkpoint(options.checkpoint), options.file)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"file": options.file.name, "sha256": checksum, "bytes": options.file.stat().st_size}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
