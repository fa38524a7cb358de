"""Files of drawn samples, and the record of each sample."""

import resource
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sevenfold.diffreps.run import Outcome
from sevenfold.diffreps.sampling_task import Task
from sevenfold.diffreps.scores import Scorer, log_likelihood, psnr, ssim
from sevenfold.files import replace_file


def chunk_of(outcome: Outcome, task: Task, scorer: Scorer | None, pictures: int = 64) -> dict[str, Any]:
    """Return samples with their cost and their scores, as plain values for a file."""
    images = outcome.images.cpu().float()
    pictures_shown = [task.representation.picture(theta) for theta in outcome.theta[:pictures]] if (
        outcome.theta.ndim == 2
    ) else list(outcome.images[:pictures, 0])  # fmt: skip
    columns = (
        log_likelihood(task.prior, images[:, 0])
        if scorer is None
        else scorer.columns(images[:, 0], task.labels)
    )
    return {
        "images": images,
        "pictures": torch.stack(pictures_shown).cpu().float(),
        "theta": outcome.theta.cpu(),
        "refused": outcome.refused.cpu().float(),
        "calls": outcome.calls,
        "evaluations": outcome.evaluations,
        "inner": outcome.inner,
        "parameters": outcome.theta[0].numel(),
        "seconds": outcome.seconds,
        "memory": peak_memory(task.pool.device),
        "trace": outcome.trace,
        "frames": None if outcome.frames is None else outcome.frames.cpu().float(),
        "said": columns,
        "range": task.prior.range,
    }


def records_of(chunk: dict[str, Any], reference: Tensor | None, span: float) -> list[dict[str, float]]:
    """Return the figures of each sample; with ``reference`` images (B, K, C, H, W) also PSNR and SSIM."""
    columns = {name: v for name, v in chunk["said"].items() if v.ndim == 1}
    columns["refused"] = chunk["refused"]
    if reference is not None:
        images = chunk["images"]
        columns["psnr"] = psnr(images, reference, span)
        each = ssim(images.flatten(0, 1), reference.flatten(0, 1), span)
        columns["ssim"] = each.reshape(images.shape[:2]).mean(1)
    cost = {name: chunk[name] for name in ("calls", "evaluations", "inner", "parameters", "memory")}
    # a chunk is drawn at once; its time is shared equally
    cost["seconds"] = chunk["seconds"] / len(chunk["images"])
    return [
        {**{name: float(column[i]) for name, column in columns.items()}, **cost}
        for i in range(len(chunk["images"]))
    ]


def peak_memory(device: torch.device) -> float:
    """Return the peak memory in MiB so far, of the device, or on a CPU of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def save(path: Path, chunk: dict[str, Any]) -> None:
    """Write a chunk atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        torch.save(chunk, temporary)
