"""Reading and replacing whole files, with errors that say what to do."""

import os
import secrets
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from sevenfold.errors import InputError


def read_bytes(path: str | PathLike[str]) -> bytes:
    """Return the content of ``path``; a missing file or a folder raises one clear line."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the data folder") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, expected a file") from None


def replace_bytes(path: str | PathLike[str], content: bytes) -> None:
    """Write ``content`` to ``path`` so that a reader sees the old file or the new one, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_field(flow: Tensor, valid: Tensor | None) -> Tensor:
    """Check a flow field (2, H, W) and its mask (H, W) before writing; return the mask (default: all)."""
    if flow.ndim != 3 or flow.shape[0] != 2 or 0 in flow.shape:
        raise ValueError(f"a flow field is (2, H, W), got shape {tuple(flow.shape)}")
    if valid is None:
        valid = torch.ones(flow.shape[1:], dtype=torch.bool)
    if valid.shape != flow.shape[1:]:
        raise ValueError(
            f"validity of a {tuple(flow.shape)} flow is {tuple(flow.shape[1:])}, got {tuple(valid.shape)}"
        )
    valid = valid.cpu().bool()
    if not flow.detach().cpu()[:, valid].isfinite().all():
        raise ValueError("flow has NaN or infinite values at valid pixels; mark them invalid")
    return valid


def mask_unknown(flow: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    """Split raw values (2, H, W) into (flow, valid); unknown if not finite or beyond ``limit``, then 0."""
    valid = (flow.isfinite() & (flow.abs() < limit)).all(dim=0)
    return torch.where(valid, flow, 0.0), valid
