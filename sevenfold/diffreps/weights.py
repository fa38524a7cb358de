"""Files of published weights: plain tensors, safetensors, checkpoints, and parts of them."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sevenfold.errors import InputError, one_line

SHOWN = 3


def read_weights(path: str, key: str | None = None, prefix: str = "") -> dict[str, Tensor]:
    """Return the tensors of a file by name.

    Args:
        path: .pth, .pt, .ckpt (tensors and plain values only) or .safetensors.
        key: dotted place of a dictionary of tensors inside, such as ``ema`` or ``state.model``; by default
            the file itself, or its ``state_dict``.
        prefix: start of the names of the tensors to take, which is removed.

    Raises ``InputError`` where the file or the part is absent.
    """
    if not Path(path).is_file():
        raise InputError(f"weights '{path}' do not exist; set the prior's 'weights'")
    content = _content(path)
    for part in key.split(".") if key else []:
        if not isinstance(content, Mapping) or part not in content:
            names = ", ".join(map(str, list(content)[:10])) if isinstance(content, Mapping) else "no names"
            raise InputError(f"'{path}' has no '{key}'; at '{part}' it has {names}")
        content = content[part]
    if not key and isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    items = content.items() if isinstance(content, Mapping) else []
    state = {str(name): value for name, value in items if isinstance(value, Tensor)}
    chosen = {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}
    if not chosen:
        what = f"no tensors named '{prefix}...'; the first are" if state else "no tensors; it has"
        names = ", ".join([*(state or (content if isinstance(content, Mapping) else []))][:SHOWN])
        raise InputError(f"'{path}' has {what} {names or 'nothing'}; set the prior's 'key' or 'prefix'")
    return chosen


def _content(path: str) -> Any:
    if path.endswith(".safetensors"):
        try:
            from safetensors.torch import load_file
        except ImportError:
            raise InputError(f"'{path}' needs the package safetensors: pip install safetensors") from None
        reader: Any = load_file
    else:
        reader = _plain
    try:
        return reader(path)
    except Exception as error:  # damaged files raise what their readers raise
        raise InputError(f"'{path}' cannot be read as weights: {one_line(error)[:200]}") from None


def _plain(path: str) -> Any:
    # weights_only: a file of weights must not run code
    return torch.load(path, map_location="cpu", weights_only=True)


def load_into(network: nn.Module, state: Mapping[str, Tensor], path: str) -> None:
    """Set a network's weights; ``InputError`` names what does not fit, with the nearest names."""
    own = network.state_dict()
    missing, left = [name for name in own if name not in state], [name for name in state if name not in own]
    shapes = [name for name in own if name in state and own[name].shape != state[name].shape]
    if shapes:
        first = shapes[0]
        raise InputError(
            f"'{path}' does not fit the network: {first} is {tuple(state[first].shape)} there and "
            f"{tuple(own[first].shape)} here ({len(shapes)} such tensors)"
        )
    if missing or left:
        near = difflib.get_close_matches(missing[0], left, 1, 0.5) if missing and left else []
        texts = [f"{len(missing)} tensors are missing, such as {missing[0]}"] if missing else []
        texts += [f"{len(left)} are of no use, such as {(near or left)[0]}"] if left else []
        raise InputError(
            f"'{path}' does not fit the network: {'; '.join(texts)}; see the prior's 'key', 'prefix'"
        )
    network.load_state_dict(dict(state))
