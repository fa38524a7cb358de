"""Weights of the prior-fitted network as one small file beside a card that tells where they come from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sevenfold.errors import InputError
from sevenfold.files import file_hash, replace_file
from sevenfold.nas.lce.pfn.network import CurvePFN

MOST_BYTES = 1_000_000


def write_weights(network: CurvePFN, path: Path, card: Mapping[str, Any]) -> dict[str, Any]:
    """Write float16 safetensors to ``path`` and the card, completed, to its ``.json``; return the card.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "curve_pfn.safetensors"
    >>> write_weights(CurvePFN(width=8, layers=1), file, {"steps": 0})["network"]["width"]
    8
    """
    from safetensors.torch import save_file

    tensors = {name: value.detach().cpu().half().contiguous() for name, value in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as file:
        save_file(tensors, file, metadata={"network": json.dumps(dict(network.options))})
    facts = {"bytes": path.stat().st_size, "sha256": file_hash(path)}
    full = {"network": dict(network.options), **card, **facts}
    with replace_file(path.with_suffix(".json")) as file:
        file.write_text(json.dumps(full, indent=1) + "\n")
    return full


def read_weights(path: Path) -> CurvePFN:
    """Return the network of a file that :func:`write_weights` has written, in float32, ready to predict.

    >>> read_weights(Path("absent.safetensors"))
    Traceback (most recent call last):
    sevenfold.errors.InputError: 'absent.safetensors': expected weights of the recipe nas/train_curve_pfn
    """
    from safetensors import SafetensorError, safe_open

    advice = "expected weights of the recipe nas/train_curve_pfn"
    if not path.is_file():
        raise InputError(f"'{path}': {advice}")
    try:
        with safe_open(path, "pt") as file:
            options = json.loads((file.metadata() or {}).get("network", "null"))
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"'{path}' is no safetensors file ({error}): {advice}") from None
    if not isinstance(options, dict) or set(options) != {"width", "layers", "heads"}:
        raise InputError(f"'{path}' names no network in its metadata: {advice}")
    with torch.random.fork_rng(devices=[]):  # initial weights are replaced: no draw may be felt outside
        network = CurvePFN(**options)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"'{path}' does not fit the network of its metadata: {error}") from None
    return network.eval()
