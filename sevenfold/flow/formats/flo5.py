"""Spring's ``.flo5``: HDF5 with a data set ``flow`` (H, W, 2), NaN where unknown (Mehl et al. 2023)."""

from os import PathLike
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from sevenfold.errors import InputError, one_line
from sevenfold.files import replace_file
from sevenfold.flow.formats.files import check_field, mask_unknown


def _library(path: str | PathLike[str]) -> ModuleType:
    try:
        import h5py
    except ModuleNotFoundError:
        raise InputError(f"{path}: .flo5 needs the extra 'h5': pip install 'sevenfold[h5]'") from None
    return h5py


def read_flo5(path: str | PathLike[str], every: int = 1) -> tuple[Tensor, Tensor]:
    """Read flow (2, H, W) in px and where it is known; ``every=2`` takes each second row and column.

    Spring's truth has twice the resolution of its pictures, with vectors in px of the pictures already.
    """
    library = _library(path)
    try:
        with library.File(path, "r") as file:
            values = torch.from_numpy(file["flow"][::every, ::every]).float().permute(2, 0, 1).contiguous()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the data folder") from None
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: no HDF5 file with a data set 'flow' ({one_line(error)})") from None
    return mask_unknown(values, 1e9)


def write_flo5(path: str | PathLike[str], flow: Tensor, valid: Tensor | None = None) -> None:
    """Write ``flow`` (2, H, W) as float32 (H, W, 2), NaN outside ``valid`` (H, W)."""
    valid = check_field(flow, valid)
    library = _library(path)
    values = torch.where(valid, flow.detach().cpu().float(), float("nan")).permute(1, 2, 0).numpy()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replace_file(Path(path)) as temporary, library.File(temporary, "w") as file:
        file.create_dataset("flow", data=values, compression="gzip")
