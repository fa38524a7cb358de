"""Compare the speed of the update and of whole estimates with torchvision's raft_large of the same widths.

Usage: ``python benchmarks/flow_speed.py [--height N] [--width N] [--steps N ...] [--repeats N] [--device D]``

Both sides have the same weights and take turns in one process, one thread; their flows are compared first.
Sides: torchvision's; ``raft`` (RAFT large, the same network); ``deq`` (DEQ-Flow B, plain iteration by the
solver with its records, every step taken). On CPU the clock is the time the process was given, so that other
jobs disturb less; they still compete for caches and frequency, therefore ratios are of neighboring runs:
their median, their quartiles and the ratio of the fastest runs are shown. Multiply-adds of convolutions and
matrix products are counted as well; they are exact. The last line is JSON.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.optical_flow import raft_large

from sevenfold.deq.base import Stop
from sevenfold.flow.correlation import correlate
from sevenfold.flow.deq_flow import DEQFlow
from sevenfold.flow.network import Design
from sevenfold.flow.raft import RAFT
from sevenfold.flow.upsample import pixel_grid
from sevenfold.flow.variants import BASE

Run = Callable[[], Any]


def clock(run: Run, device: str) -> float:
    """Return the seconds of one run: of the process on CPU, of the wall elsewhere."""
    if device == "cpu":
        start = time.process_time()
        run()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def multiply_adds(run: Run) -> int:
    """Count the multiply-adds of convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2


def compare(sides: dict[str, Run], repeats: int, device: str) -> dict[str, Any]:
    """Time the sides in turn; relate each but the first to the first."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats + 1):
        for name, run in sides.items():
            times[name].append(clock(run, device))
    reference, *others = sides
    table: dict[str, Any] = {}
    for name in sides:
        ratios = [a / b for a, b in zip(times[name][1:], times[reference][1:], strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        table[name] = {"ms": 1e3 * min(times[name][1:]), "multiply_adds": multiply_adds(sides[name])}
        if name in others:
            table[name] |= {
                "ratio": statistics.median(ratios),
                "quartiles": [low, high],
                "ratio_of_fastest": min(times[name][1:]) / min(times[reference][1:]),
                "ratio_of_multiply_adds": table[name]["multiply_adds"] / table[reference]["multiply_adds"],
            }
    return table


def networks(device: str) -> tuple[Any, RAFT, DEQFlow]:
    """Build torchvision's network, ours with its weights, and the equilibrium network with its update."""
    torch.manual_seed(0)
    reference = raft_large(weights=None).eval().to(device)
    raft = RAFT(variant="large").eval().to(device)
    raft.load_state_dict(reference.state_dict())
    deq = DEQFlow(variant="B", design=Design(norm="none"), stop=Stop(mode="rel", tol=0.0), returned="last")
    deq.eval().to(device)
    for part in ("feature_encoder", "update_block", "mask_predictor"):
        deq.get_submodule(part).load_state_dict(raft.get_submodule(part).state_dict())
    return reference, raft, deq


def stages(reference: Any, raft: RAFT, height: int, width: int, device: str) -> dict[str, dict[str, Run]]:
    """Return single parts of both sides on the same inputs."""
    grid = (height // 8, width // 8)
    generator = torch.Generator(device=device).manual_seed(0)

    def maps(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    image, pair = maps(1, 3, height, width), maps(2, 3, height, width)
    first, second = maps(2, 1, BASE.features, *grid)
    hidden, context = maps(2, 1, BASE.hidden, *grid).tanh()
    flow = maps(1, 2, *grid)
    places = pixel_grid(flow) + flow
    lookup = correlate("all_pairs", first, second, levels=4, radius=4)
    reference.corr_block.build_pyramid(first, second)
    found = lookup(places)
    prepared = raft.update_block.prepare(context)
    state = prepared(hidden, found, flow)[0]  # as the steps hand it on
    torch.testing.assert_close(
        prepared(hidden, found, flow), reference.update_block(hidden, context, found, flow), rtol=0, atol=1e-5
    )
    return {
        "update, a step": {
            "torchvision": lambda: reference.update_block(state, context, found, flow),
            "ours": lambda: prepared(state, found, flow),
        },
        "update, 12 steps and preparation": {
            "torchvision": lambda: [reference.update_block(state, context, found, flow) for _ in range(12)],
            "ours": lambda: [step(state, found, flow) for step in [raft.update_block.prepare(context)] * 12],
        },
        "lookup": {
            "torchvision": lambda: reference.corr_block.index_pyramid(places),
            "ours": lambda: lookup(places),
        },
        "feature encoder, 2 images": {
            "torchvision": lambda: reference.feature_encoder(pair),
            "ours": lambda: raft.feature_encoder(pair),
        },
        "context encoder": {
            "torchvision": lambda: reference.context_encoder(image),
            "ours": lambda: raft.context_encoder(image),
        },
    }


def whole(reference: Any, raft: RAFT, deq: DEQFlow, images: torch.Tensor, steps: int) -> dict[str, Run]:
    """Return whole estimates of one pair; the first two must agree."""
    image1, image2 = images
    sides = {
        "torchvision": lambda: reference(2 * image1 - 1, 2 * image2 - 1, num_flow_updates=steps)[-1],
        "raft": lambda: raft(image1, image2, iterations=steps).flows[0],
        "deq": lambda: deq(image1, image2, iterations=steps).flows[0],
    }
    if steps <= 2:  # rounding grows with the steps where weights are random
        torch.testing.assert_close(sides["raft"](), sides["torchvision"](), rtol=1e-4, atol=1e-4)
    return sides


def show(table: dict[str, dict[str, Any]]) -> None:
    """Print a line for each measure and side."""
    print(
        f"{'':34}{'side':>12}{'ms, fastest':>13}{'ratio':>8}{'quartiles':>14}{'fastest':>9}{'mult-adds':>11}"
    )
    for label, row in table.items():
        for name, cell in row.items():
            line = f"{label:34}{name:>12}{cell['ms']:13.1f}"
            if "ratio" in cell:
                low, high = cell["quartiles"]
                line += f"{cell['ratio']:8.3f}{f'{low:.3f}-{high:.3f}':>14}{cell['ratio_of_fastest']:9.3f}"
                line += f"{cell['ratio_of_multiply_adds']:11.3f}"
            print(line, flush=True)


@torch.inference_mode()
def main() -> None:
    """Measure, print, end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--height", type=int, default=368)
    parser.add_argument("--width", type=int, default=496)
    parser.add_argument("--steps", type=int, nargs="+", default=[6, 12, 24])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    size, device = (options.height, options.width), options.device
    reference, raft, deq = networks(device)
    images = torch.rand(2, 1, 3, *size, generator=torch.Generator().manual_seed(0)).to(device)
    whole(reference, raft, deq, images, 2)
    table = {
        label: compare(sides, options.repeats, device)
        for label, sides in stages(reference, raft, *size, device).items()
    }
    for steps in options.steps:
        sides = whole(reference, raft, deq, images, steps)
        table[f"estimate, {steps} steps"] = compare(sides, options.repeats, device)
    show(table)
    print(json.dumps({"size": size, "device": device, "repeats": options.repeats, "measures": table}))


if __name__ == "__main__":
    main()
