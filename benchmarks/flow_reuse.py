"""Measure what starting a frame of a video from the last frame's fixed point saves, on slow synthetic videos.

Usage: ``python benchmarks/flow_reuse.py CHECKPOINT [CHECKPOINT ...] [--speed PX] [--videos N] [--pairs N]
[--carry N]``

For a trained model of this suite, by plain iteration: the mean end-point error after every number of steps

- cold: from zero flow;
- state: from hidden map and flow of the pair before (fixed-point reuse), moved along the flow;
- flow: from its flow alone (warm start).

A chain carries its own state after ``carry`` steps to the next pair; first pairs, cold in all chains, are
left out. The answer to "how many steps does reuse save" is, for each cold budget, the least number of steps
after which reuse is at most as far from the truth. The last line is JSON.
"""

import argparse
import json

import torch
from torch import Tensor

from lightning_modules import MODELS
from sevenfold.checkpoint import check_state, read_checkpoint, stored_config
from sevenfold.config import build
from sevenfold.flow.metrics import end_point_error
from sevenfold.flow.network import FlowNetwork, Recurrence, State
from sevenfold.flow.projection import forward_project
from sevenfold.flow.synthetic import MotionOptions, draw_scene, texture_bank

STEPS = 24
SHOWN = (1, 2, 3, 4, 6, 8, 12, 24)
CHAINS = ("cold", "state", "flow")
SIDE = 128
SEED = 2**16  # far from the seeds that models train with: other textures, other scenes


def draw_videos(speed: float, videos: int, pairs: int) -> list[tuple[Tensor, ...]]:
    """Return for each time the first and second frames, flow and validity, all with ``videos`` samples."""
    bank, motion = texture_bank(SEED), MotionOptions(background=speed, front=speed, spread=0.5)
    scenes = [draw_scene(bank, SIDE, SIDE, SEED, "reuse", i, motion=motion) for i in range(videos)]
    times = [[scene.pair(time) for scene in scenes] for time in range(pairs)]
    return [tuple(torch.stack(parts) for parts in zip(*pair, strict=True)) for pair in times]


def starting(chain: str, last: State | None, fresh: State) -> State:
    """Return where a chain starts, given the state it carries."""
    if last is None or chain == "cold":
        return fresh
    return (last[0] if chain == "state" else fresh[0], forward_project(last[1]))


def errors(
    network: FlowNetwork, f: Recurrence, start: State, flow: Tensor, valid: Tensor, carry: int
) -> tuple[Tensor, State]:
    """Return the error after 1 to STEPS steps of plain iteration, (STEPS,), and the state after ``carry``."""
    states = [start]
    for _ in range(STEPS):
        states.append(f(states[-1]))
    found = [end_point_error(network.decode(state), flow)[valid].mean() for state in states[1:]]
    return torch.stack(found), states[carry]


def curves(network: FlowNetwork, videos: list[tuple[Tensor, ...]], carry: int) -> dict[str, list[float]]:
    """Return the mean error of each chain after every number of steps, first pairs left out."""
    sums = {chain: torch.zeros(STEPS) for chain in CHAINS}
    carried: dict[str, State] = {}
    for number, (image1, image2, flow, valid) in enumerate(videos):
        f = network.recurrence(image1, image2)
        for chain in CHAINS:
            start = starting(chain, carried.get(chain), f.start)
            found, carried[chain] = errors(network, f, start, flow, valid, carry)
            if number:
                sums[chain] += found / (len(videos) - 1)
    return {chain: total.tolist() for chain, total in sums.items()}


def steps_to_match(cold: list[float], warm: list[float]) -> dict[int, int | None]:
    """Return for each cold budget the least warm steps with at most its error; None if they never match."""
    match = {n: [k for k, error in enumerate(warm, 1) if error <= cold[n - 1]] for n in SHOWN}
    return {n: found[0] if found else None for n, found in match.items()}


def load(path: str) -> FlowNetwork:
    """Rebuild a trained network from its checkpoint."""
    module = build(MODELS, stored_config(path)["model"], "model")
    state = read_checkpoint(path)["state_dict"]
    check_state(state, module, path)
    module.load_state_dict(state)
    return module.network.eval()


def main() -> None:
    """Measure, print, end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--speed", type=float, default=1.0, help="median motion, px per frame")
    for name, default in (("videos", 8), ("pairs", 5), ("carry", 6)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    videos, table = draw_videos(options.speed, options.videos, options.pairs), {}
    with torch.inference_mode():
        for path in options.checkpoints:
            found = curves(load(path), videos, options.carry)
            print(f"\n{path}\nEPE after steps " + "".join(f"{n:>8}" for n in SHOWN))
            for chain, curve in found.items():
                print(f"{chain:16}" + "".join(f"{curve[n - 1]:8.3f}" for n in SHOWN))
            saved = {chain: steps_to_match(found["cold"], found[chain]) for chain in CHAINS[1:]}
            for chain, steps in saved.items():
                print(f"least steps of '{chain}' for the error of that many cold ones: {steps}")
            table[path] = {"epe": found, "steps": saved}
    motion = torch.cat([flow.norm(dim=1).flatten() for _, _, flow, _ in videos]).median()
    print(json.dumps(vars(options) | {"median_motion": float(motion), "models": table}))


if __name__ == "__main__":
    main()
