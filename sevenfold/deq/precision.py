"""Full precision for the arithmetic of solvers, whatever the caller chose for networks."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch


def precision_guard(device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    """Return what keeps autocast and reduced-precision products away from the solver's own arithmetic."""
    # TensorFloat-32 has 10 bits of mantissa (NVIDIA, A100 white paper, 2020): residuals below 1e-3 would be
    # rounding.
    owner: Any = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    plain = not torch.is_autocast_enabled(device.type) and owner.matmul.fp32_precision in ("none", "ieee")
    return nullcontext if plain else partial(_full_precision, device.type, owner.matmul)


@contextmanager
def _full_precision(device: str, backend: Any) -> Iterator[None]:
    saved = backend.fp32_precision
    backend.fp32_precision = "ieee"
    try:
        with torch.autocast(device, enabled=False):
            yield
    finally:
        backend.fp32_precision = saved
