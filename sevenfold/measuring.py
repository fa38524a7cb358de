"""Time and memory of this process as its GPU, where there is one, has them."""

import contextlib
import resource
import sys
import time
from pathlib import Path

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


def reset_peak() -> None:
    """Let :func:`peak_bytes` begin anew, where the system can (CUDA, Linux)."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return
    # Elsewhere the peak stays that of the whole process.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # man 5 proc: resets the peak resident set size


def free_bytes(device: torch.device) -> int:
    """Return how much memory of a device can be had, that of reusable caches included."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    try:
        rows = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(row.split()[1]) for row in rows if row.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return 8 * 2**30  # no such file (macOS, Windows): a small machine's worth
