"""Compare what equilibrium and unrolled flow keep for the backward pass, and both kinds of correlation.

Usage: ``python benchmarks/flow_memory.py [--height N] [--width N] [--batch N] [--steps N] [--full]``

The first table counts saved tensors (each storage once, parameters aside) of DEQ-Flow B and of RAFT with the
same parts, one training step each. Columns:

- encoders: what the two encoders keep;
- once: what else is made once per pair, whatever the number of steps: correlation volumes, evaluated weights,
  the context's share of the gates;
- recurrence: all the rest, kept by evaluations of the update and by decoding.

These counts are exact and do not depend on the load of the machine. The second table is the memory of the
correlation of one pair: its build and one lookup. Stored volumes of 1080p take 5.6 GB; unless ``--full`` is
given their bytes are computed from their shapes, by the formula that is checked at a smaller size.
The last line is JSON.
"""

import argparse
import json
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sevenfold.deq.base import Stop
from sevenfold.deq.correction import Correction
from sevenfold.flow.correlation import correlate
from sevenfold.flow.deq_flow import DEQFlow
from sevenfold.flow.network import Design, FlowNetwork
from sevenfold.flow.raft import RAFT
from sevenfold.flow.upsample import pixel_grid

MIB = 2**20
EVERY_STEP = Stop(mode="rel", tol=0.0)


class Unrolled(RAFT):
    """RAFT that decodes and supervises its last state only."""

    def run(self, f: Any, start: Any, iterations: int) -> Any:
        """Iterate, and forget all states but the last."""
        states, solution = super().run(f, start, iterations)
        return states[-1:], solution


def equilibrium(n: int, k: int) -> Callable[[Design], FlowNetwork]:
    """Return a maker of DEQ-Flow B with n supervised states of k tracked steps."""
    return lambda design: DEQFlow(
        variant="B",
        design=design,
        stop=EVERY_STEP,
        backward={"name": "phantom", "steps": k},
        correction=Correction(n=n, steps=k),
    )


NETWORKS: dict[str, Callable[[Design], FlowNetwork]] = {
    "DEQ n=1 k=1": equilibrium(1, 1),
    "DEQ n=3 k=1": equilibrium(3, 1),
    "DEQ n=1 k=3": equilibrium(1, 3),
    "unrolled": lambda design: RAFT(variant="large", design=design),
    "unrolled, decoded once": lambda design: Unrolled(variant="large", design=design),
}


class Saved:
    """The storages kept for the backward pass, by address; they stay alive, so that addresses are unique."""

    def __init__(self) -> None:
        self.tensors: dict[int, Tensor] = {}

    @contextmanager
    def watch(self):
        """Note what is saved inside the block."""

        def keep(tensor: Tensor) -> Tensor:
            self.tensors.setdefault(tensor.untyped_storage().data_ptr(), tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            yield

    def sizes(self, without: set[int]) -> dict[int, int]:
        """Return the bytes of each storage, those at the addresses ``without`` aside."""
        return {at: t.untyped_storage().nbytes() for at, t in self.tensors.items() if at not in without}


def tensors_in(thing: Any, seen: set[int]) -> list[Tensor]:
    """Find all tensors that an object holds, closures included."""
    if id(thing) in seen:
        return []
    seen.add(id(thing))
    if isinstance(thing, Tensor):
        return [thing]
    if isinstance(thing, list | tuple):
        parts = list(thing)
    elif callable(thing) and hasattr(thing, "__closure__"):
        parts = [cell.cell_contents for cell in thing.__closure__ or ()]
    else:
        parts = list(getattr(thing, "__dict__", {}).values())
    return [tensor for part in parts for tensor in tensors_in(part, seen)]


def saved(network: FlowNetwork, images: Tensor, steps: int) -> dict[str, int]:
    """Return bytes kept by one training step: of the encoders, made once, of the recurrence, and all."""
    parameters = {p.untyped_storage().data_ptr() for p in network.parameters()}
    encoders, everything = Saved(), Saved()
    hooks = []
    for part in (network.feature_encoder, network.context_encoder):
        held: list[Any] = []

        def enter(*_: Any, held: list[Any] = held) -> None:
            held.append(encoders.watch())
            held[-1].__enter__()

        def leave(*_: Any, held: list[Any] = held) -> None:
            held.pop().__exit__(None, None, None)

        hooks += [part.register_forward_pre_hook(enter), part.register_forward_hook(leave)]
    with everything.watch():
        f = network.recurrence(*images)
        prepared = {t.untyped_storage().data_ptr() for t in tensors_in(f, set())} | set(everything.tensors)
        estimate = network.estimate(f, iterations=steps)
    for hook in hooks:
        hook.remove()
    assert estimate.flows[-1].requires_grad
    of_encoders = encoders.sizes(parameters)
    rest = everything.sizes(parameters | set(of_encoders))
    once = sum(size for at, size in rest.items() if at in prepared)
    counts = {"encoders": sum(of_encoders.values()), "once": once, "recurrence": sum(rest.values()) - once}
    return counts | {"whole": sum(counts.values())}


def peak(run: Callable[[], Any]) -> int:
    """Return the most bytes that ``run`` holds at a time, by the allocator's own events."""
    with torch.autograd.profiler.profile(profile_memory=True, use_kineto=True) as profile:
        run()
    events = [event for event in profile.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def volume_bytes(height: int, width: int, levels: int = 4) -> int:
    """Return the bytes of stored float32 volumes of a grid of that many cells."""
    cells = height * width
    return 4 * cells * sum((height >> i) * (width >> i) for i in range(levels))


def correlation_peak(kind: str, height: int, width: int) -> int:
    """Measure build and one lookup on a grid of that many cells, 256 channels, without gradient."""
    first, second = torch.randn(2, 1, 256, height, width)
    places = pixel_grid(first) + torch.randn(1, 2, height, width)
    with torch.no_grad():
        return peak(lambda: correlate(kind, first, second, levels=4, radius=4)(places))


def correlation(full: bool) -> dict[str, dict[str, float]]:
    """Return bytes by size and kind; that of 1080p volumes is their shapes' unless ``full``."""
    table = {}
    for label, height, width in (("368x496", 46, 62), ("544x960", 68, 120), ("1080x1920", 135, 240)):
        row = {"on_demand": correlation_peak("on_demand", height, width)}
        row["volumes"] = volume_bytes(height, width)
        if full or label != "1080x1920":
            row["all_pairs"] = correlation_peak("all_pairs", height, width)
        row["ratio"] = row["on_demand"] / row.get("all_pairs", row["volumes"])
        table[label] = row
    return table


def training(height: int, width: int, batch: int, steps: int) -> dict[str, Any]:
    """Count all networks at all recompute settings, and the ratios to the unrolled ones."""
    images = torch.rand(2, batch, 3, height, width)
    table: dict[str, Any] = {}
    for recompute in ("norms", "blocks"):
        rows = {
            name: saved(make(Design(recompute=recompute)).train(), images, steps)
            for name, make in NETWORKS.items()
        }
        for row in list(rows.values())[:3]:
            for part in ("recurrence", "whole"):
                row[f"{part} / unrolled"] = row[part] / rows["unrolled"][part]
            row["recurrence / decoded once"] = (
                row["recurrence"] / rows["unrolled, decoded once"]["recurrence"]
            )
        table[recompute] = rows
    return table


def show(table: dict[str, Any], title: str) -> None:
    """Print the counts in MiB and the ratios as fractions of one."""
    print(f"\n{title}")
    columns = ("encoders", "once", "recurrence", "whole")
    ratios = ("recurrence / unrolled", "recurrence / decoded once", "whole / unrolled")
    print(
        f"{'recompute':10}{'network':24}" + "".join(f"{c:>12}" for c in columns) + "   " + "; ".join(ratios)
    )
    for recompute, rows in table.items():
        for name, row in rows.items():
            shares = "; ".join(f"1/{1 / row[r]:.1f}" for r in ratios if r in row)
            sizes = "".join(f"{row[c] / MIB:12.1f}" for c in columns)
            print(f"{recompute:10}{name:24}{sizes}   {shares}")


def main() -> None:
    """Measure, print, end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("height", 184), ("width", 248), ("batch", 1), ("steps", 24)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--full", action="store_true", help="allocate the stored volumes of 1080p too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    size = (options.height, options.width, options.batch, options.steps)
    counts = training(*size)
    show(counts, "MiB kept for the backward pass, {}x{}, batch {}, {} steps".format(*size))
    volumes = correlation(options.full)
    print(f"\n{'correlation, MiB':18}{'volumes':>12}{'all pairs':>12}{'on demand':>12}{'ratio':>12}")
    for label, row in volumes.items():
        cells = [
            f"{row[key] / MIB:.1f}" if key in row else "-" for key in ("volumes", "all_pairs", "on_demand")
        ]
        print(f"{label:18}" + "".join(f"{cell:>12}" for cell in (*cells, f"1/{1 / row['ratio']:.1f}")))
    print(json.dumps({"size": size, "saved_bytes": counts, "correlation_bytes": volumes}))


if __name__ == "__main__":
    main()
