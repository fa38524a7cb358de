"""Tensor programs of trained networks, written by ``torch.export`` and run without this package."""

import copy
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from sevenfold.errors import InputError, one_line
from sevenfold.files import replace_file
from sevenfold.prediction import predicting


def write_program(
    module: nn.Module, examples: tuple[Tensor, ...], path: str | Path, *, any_number: bool = False
) -> Path:
    """Write what a module computes from inputs like ``examples``; return the file's path.

    Read it by ``torch.export.load(path).module()``. The program runs on the CPU and has the precision of the
    examples.

    Args:
        module: the network; it is copied and put into evaluation mode.
        examples: inputs.
        path: the file, by custom with the suffix ``.pt2``.
        any_number: of rows, of which the examples hold one or more; otherwise exactly as many as they do.

    Raises ``InputError`` where the module is no tensor program.
    """
    shapes = None
    if any_number:  # with one row, tracing would take the number for a constant
        examples = tuple(torch.cat([example, example]) for example in examples)
        shapes = tuple({0: torch.export.Dim("rows")} for _ in examples)
    inner = copy.deepcopy(module).cpu()
    try:
        with predicting(inner), warnings.catch_warnings(action="ignore"):
            program = torch.export.export(inner, examples, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # whatever a module that cannot be traced happens to raise
        raise InputError(f"{type(module).__name__} cannot be exported: {one_line(error)[:300]}") from None
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(target) as temporary, open(temporary, "wb") as file:
        torch.export.save(program, file)
    return target
