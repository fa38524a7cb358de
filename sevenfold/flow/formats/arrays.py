"""NumPy's ``.npy`` and ``.npz``: (H, W, 2) or (2, H, W); keys ``flow``, or ``u`` and ``v``; ``valid``.

TartanAir's ``NAME_flow.npy`` goes with ``NAME_mask.npy``, where 0 marks visible pixels.
"""

import io
import zipfile
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sevenfold.errors import InputError, one_line
from sevenfold.flow.formats.files import check_field, mask_unknown, read_bytes, replace_bytes

LIMIT = 1e9  # values beyond mean "unknown", as NaN does


def read_npy(path: str | PathLike[str]) -> tuple[Tensor, Tensor]:
    """Read flow (2, H, W) in px and where it is known, bool (H, W), from an array without objects."""
    flow, valid = _flow(path, _load(path))
    mask = Path(path).with_name(Path(path).name.replace("_flow.npy", "_mask.npy"))
    if mask != Path(path) and mask.is_file():
        hidden = torch.from_numpy(np.array(_load(mask)) != 0)
        if hidden.shape != valid.shape:
            raise InputError(f"{mask}: is {tuple(hidden.shape)}, its flow {tuple(valid.shape)}")
        valid = valid & ~hidden
    return torch.where(valid, flow, 0.0), valid


def read_npz(path: str | PathLike[str]) -> tuple[Tensor, Tensor]:
    """Read flow (2, H, W) in px and where it is known, bool (H, W), from an archive without objects."""
    content = _load(path)
    names = set(content)
    if "flow" in names:
        field = content["flow"]
    elif {"u", "v"} <= names:
        field = np.stack([content["u"], content["v"]])
    else:
        raise InputError(
            f"{path}: expected 'flow', or 'u' and 'v', got {', '.join(sorted(names)) or 'nothing'}"
        )
    flow, valid = _flow(path, field)
    if "valid" in names:
        known = torch.from_numpy(np.array(content["valid"]) != 0)
        if known.shape != valid.shape:
            raise InputError(f"{path}: 'valid' is {tuple(known.shape)}, the flow {tuple(valid.shape)}")
        valid = valid & known
    return torch.where(valid, flow, 0.0), valid


def write_npy(path: str | PathLike[str], flow: Tensor, valid: Tensor | None = None) -> None:
    """Write ``flow`` (2, H, W) as float32 (2, H, W), NaN outside ``valid`` (H, W)."""
    valid = check_field(flow, valid)
    buffer = io.BytesIO()
    np.save(buffer, torch.where(valid, flow.detach().cpu().float(), float("nan")).numpy(), allow_pickle=False)
    replace_bytes(path, buffer.getvalue())


def write_npz(path: str | PathLike[str], flow: Tensor, valid: Tensor | None = None) -> None:
    """Write ``flow`` (2, H, W) as float32 and ``valid`` (H, W)."""
    valid = check_field(flow, valid)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, flow=flow.detach().cpu().float().numpy(), valid=valid.numpy())
    replace_bytes(path, buffer.getvalue())


def _load(path: str | PathLike[str]) -> "np.ndarray | np.lib.npyio.NpzFile":
    try:
        return np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: damaged, or holds objects, which are never opened ({one_line(error)})"
        ) from None


def _flow(path: str | PathLike[str], field: "np.ndarray | np.lib.npyio.NpzFile") -> tuple[Tensor, Tensor]:
    array = np.asarray(field)
    if array.dtype.kind not in "fiu" or array.ndim != 3 or 2 not in (array.shape[0], array.shape[2]):
        raise InputError(f"{path}: flow is (H, W, 2) or (2, H, W), got {array.dtype} {array.shape}")
    first = array if array.shape[0] == 2 and array.shape[2] != 2 else array.transpose(2, 0, 1)
    return mask_unknown(torch.from_numpy(np.ascontiguousarray(first, dtype=np.float32)), LIMIT)
