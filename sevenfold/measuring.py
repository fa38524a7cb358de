"""Time and memory of this process as its GPU, where there is one, has them."""

import resource
import sys
import time

import torch


def now() -> float:
    """Return the time in seconds once the GPU has caught up."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_bytes() -> float:
    """Return what the GPU's allocator held at most, or without a GPU the process's largest size so far."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size
