"""Compare the speed of our update and our inference with torchvision's raft_large, equal widths.

Usage: ``python benchmarks/flow_speed.py [--height N] [--width N] [--steps N] [--rounds N] [--threads N]``

- update: one evaluation of the update, its preparation (once per pair) left out, against torchvision's
  ``UpdateBlock`` with the same weights; both answers are compared first.
- inference: two images to full-resolution flow in ``steps`` steps, DEQ-Flow B by plain iteration against
  torchvision's model, which decodes every step.

Both sides run in turn in one process; the figures are medians of CPU time, which other work on the machine
disturbs less than wall-clock. Multiply-adds are counted by PyTorch. The last line is JSON.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.optical_flow import raft_large

from sevenfold.deq.base import Stop
from sevenfold.flow.deq_flow import DEQFlow
from sevenfold.flow.network import Design
from sevenfold.flow.raft import RAFT

Side = Callable[[], object]


def seconds(sides: dict[str, Side], rounds: int, threads: int) -> dict[str, float]:
    """Return the median seconds of each side, run in turn; CPU time divided by the threads."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(rounds + 1):
        for name, side in sides.items():
            begun = time.process_time()
            side()
            if round_:  # the first one warms up
                times[name].append((time.process_time() - begun) / threads)
    return {name: statistics.median(each) for name, each in times.items()}


def multiply_adds(side: Side) -> float:
    """Count the multiply-adds of one call, in millions."""
    with FlopCounterMode(display=False) as counter:
        side()
    return counter.get_total_flops() / 2e6


def updates(height: int, width: int) -> dict[str, Side]:
    """Return one evaluation of both updates, once they are known to agree."""
    theirs = raft_large(weights=None).eval().update_block
    ours = RAFT(variant="large", design=Design(h_init="context", norm="none")).eval().update_block
    ours.load_state_dict(theirs.state_dict(), strict=True)
    grid = (height // 8, width // 8)
    hidden, context = torch.randn(1, 128, *grid).tanh(), torch.randn(1, 128, *grid).relu()
    correlation, flow = torch.randn(1, 324, *grid), torch.randn(1, 2, *grid)
    prepared = ours.prepare(context)
    difference = max(
        float((a - b).abs().max())
        for a, b in zip(
            prepared(hidden, correlation, flow), theirs(hidden, context, correlation, flow), strict=True
        )
    )
    if difference > 1e-4:
        raise SystemExit(f"the two updates disagree by {difference}: their times mean nothing")
    return {
        "ours": lambda: prepared(hidden, correlation, flow),
        "torchvision": lambda: theirs(hidden, context, correlation, flow),
    }


def inferences(height: int, width: int, steps: int) -> dict[str, Side]:
    """Return the estimate of one pair by both models."""
    theirs = raft_large(weights=None).eval()
    ours = DEQFlow(variant="B", stop=Stop(mode="rel", tol=0.0)).eval()
    image1, image2 = torch.rand(2, 1, 3, height, width)
    return {
        "ours": lambda: ours(image1, image2, iterations=steps),
        "torchvision": lambda: theirs(2 * image1 - 1, 2 * image2 - 1, num_flow_updates=steps),
    }


def main() -> None:
    """Measure, print, end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    defaults = {"height": 368, "width": 496, "steps": 12, "rounds": 7, "threads": 1}
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    size, table = (options.height, options.width), {}
    with torch.inference_mode():
        tables = {"update": updates(*size), "inference": inferences(*size, options.steps)}
        for title, sides in tables.items():
            rounds = options.rounds * (5 if title == "update" else 1)
            row = {f"{name}, seconds": s for name, s in seconds(sides, rounds, options.threads).items()}
            row["ratio"] = row["ours, seconds"] / row["torchvision, seconds"]
            if title == "update":
                row |= {f"{name}, million multiply-adds": multiply_adds(side) for name, side in sides.items()}
            table[title] = row
            print(f"{title}:", "; ".join(f"{key} {value:.3f}" for key, value in row.items()), flush=True)
    print(json.dumps(vars(options) | table))


if __name__ == "__main__":
    main()
