"""Ratios of the flow tool's costs, both sides in one process, the medians of alternating runs.

python benchmarks/flow_tool.py [--small] [--weights raft-small.pth] [--repeats 5]

--small takes tiny sizes, to test the script. Ratios depend on the machine less than seconds do; lines say
what is divided by what, and the target.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch.utils.data import default_collate

from sevenfold.flow.data.phases import Phase, SceneBatches, render_batch
from sevenfold.flow.estimator import load
from sevenfold.flow.losses import sequence_loss
from sevenfold.flow.memory import estimate_bytes
from sevenfold.flow.padding import pad, unpad
from sevenfold.flow.synthetic import draw_numbers, scene_bank
from sevenfold.measuring import peak_bytes, reset_peak

Run = Callable[[], object]


def ratio(one: Run, other: Run, repeats: int) -> float:
    """Return the median time of one over that of the other, in alternation, after a warm-up of both."""
    times: list[list[float]] = [[], []]
    for repeat in range(repeats + 1):
        for kind, run in enumerate((one, other)):
            began = time.perf_counter()
            run()
            if repeat:
                times[kind].append(time.perf_counter() - began)
    return statistics.median(times[0]) / statistics.median(times[1])


def say(what: str, value: float, target: float) -> None:
    print(f"{what:62s} {value:6.3f}  target {target:g}", flush=True)


def calls(size: tuple[int, int], repeats: int) -> None:
    """A call against the network by hand, both directions against one, a stream against separate pairs."""
    one, both = load(both=False, device="cpu", tile="off"), load(device="cpu", tile="off")
    first, second = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    network = one.network

    @torch.inference_mode()
    def by_hand() -> torch.Tensor:
        a, added = pad(first[None], network.stride)
        b, _ = pad(second[None], network.stride)
        return unpad(network(a, b, iterations=one.steps).flows[-1], added)

    say(
        "Estimator, one direction / network by hand",
        ratio(lambda: one(first, second), by_hand, repeats),
        1.03,
    )
    say(
        "both directions / one", ratio(lambda: both(first, second), lambda: one(first, second), repeats), 1.85
    )
    frames = list(torch.rand(21, 3, *size, generator=torch.Generator().manual_seed(1)))
    stream = load(device="cpu", tile="off", carry="off")

    def separate() -> None:
        for a, b in zip(frames, frames[1:], strict=False):
            stream(a, b)

    streamed = ratio(lambda: list(stream.stream(frames)), separate, max(1, repeats // 2))
    say("stream of 20 pairs / 20 separate pairs", streamed, 0.85)


def scenes(side: int, repeats: int) -> None:
    """Batched rendering against item by item, and the share of scenes in a training step."""
    bank = scene_bank(0, "held out")
    phase = Phase(crop=(side, side), batch_size=8)
    data = SceneBatches(bank, [phase], split="bench", steps=1, epoch_batches=1, seed=0)
    batch = data[0]
    singles = [draw_numbers(bank, side, side, 0, "bench", i, drift=phase.motion) for i in range(8)]
    alone = [{**batch, "numbers": default_collate([each])} for each in singles]

    def one_by_one() -> None:
        for each in alone:
            render_batch(each, bank, occlusion=False)  # type: ignore[arg-type]

    together = ratio(lambda: render_batch(batch, bank, occlusion=False), one_by_one, repeats)
    say("rendering a batch of 8 / item by item", together, 0.6)
    network = load(device="cpu").network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6)
    four = SceneBatches(bank, [Phase(crop=(side, side))], split="bench", steps=1, epoch_batches=1, seed=0)

    def whole() -> None:
        pair = render_batch(four[0], bank, occlusion=False)
        estimate = network(pair["image1"], pair["image2"], iterations=9)
        optimizer.zero_grad()
        sequence_loss(estimate.flows, pair["flow"], pair["valid"]).backward()
        optimizer.step()

    share = ratio(lambda: render_batch(four[0], bank, occlusion=False), whole, max(1, repeats // 2))
    say("scenes / a training step", share, 0.2)


def large(size: tuple[int, int], tile: int) -> None:
    """Peak memory of tiles against what all pairs of the whole would take, which few machines have."""
    estimator = load(device="cpu", tile=tile)
    first, second = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    reset_peak()
    before = peak_bytes()
    estimator(first, second)
    network = estimator.network
    whole = estimate_bytes(network, *size, directions=2, free=2**62)
    say(
        f"peak of tiles of {tile} px / all pairs untiled, as estimated", (peak_bytes() - before) / whole, 0.25
    )


def against_raft(size: tuple[int, int], weights: str, repeats: int) -> None:
    """The shipped model against RAFT-small, both with the default number of steps."""
    ours = load(both=False, device="cpu")
    theirs = load("raft_small", weights=weights, both=False, device="cpu")
    first, second = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    found = ratio(lambda: ours(first, second), lambda: theirs(first, second), repeats)
    say("shipped model / RAFT-small, 12 steps", found, 4.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="tiny sizes, to test the script")
    parser.add_argument("--weights", metavar="FILE", help="official RAFT-small weights")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    repeats = 1 if options.small else options.repeats
    calls((64, 96) if options.small else (388, 584), repeats)
    scenes(32 if options.small else 96, repeats)
    large((160, 640) if options.small else (1080, 1920), 576)
    if options.weights:
        against_raft((128, 160) if options.small else (436, 1024), options.weights, repeats)
