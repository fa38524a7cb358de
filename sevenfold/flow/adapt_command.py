"""``sevenfold flow adapt``: learning from a clip without a true flow."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sevenfold.errors import InputError
from sevenfold.flow import NETWORKS
from sevenfold.flow.estimator import load
from sevenfold.flow.selfsup import Adaptation
from sevenfold.flow.shipped import write_model
from sevenfold.recorded import node_of


def adapt_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser("sevenfold flow adapt", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("input", metavar="CLIP", help="a video, or a folder of frames")
    add("--out", metavar="FILE.pt", default="adapted.pt", help="the new weights; their card lies beside it")
    add("--minutes", type=float, metavar="M", default=5.0, help="about how long it may take (default: 5)")
    add("--steps", type=int, metavar="N", default=300, help="most steps of the training (default: 300)")
    add("--lr", type=float, default=3e-4, help="largest learning rate; 1e-3 for a weak model")
    add("--seed", type=int, default=0, help="of crops, pairs and scenes")
    add("--model", default="scenes", help="a shipped model, a network by name, a run folder or a checkpoint")
    add("--weights", metavar="FILE", help="published weights of a network by name, such as raft_small")
    add("--device", default="auto", help="cpu, cuda, cuda:1, or auto: a GPU where there is one")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run one command line; return the exit status.

    0: the new weights are written; 1: they were no better, and nothing is; 2: bad input.
    """
    options = adapt_parser().parse_args(argv)
    try:
        out = Path(options.out)
        if out.suffix != ".pt" or out.is_dir():
            raise InputError(f"--out: expected a file that ends in .pt, got {out}")
        if options.steps < 1 or not 0 < options.lr < 1 or options.seed < 0:
            raise InputError("--steps must be at least 1, --lr between 0 and 1, --seed at least 0")
        estimator = load(options.model, weights=options.weights, device=options.device)
        training = Adaptation(steps=options.steps, lr=options.lr, seed=options.seed)
        adapted = estimator.adapt(options.input, minutes=options.minutes, options=training)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(adapted)
    if not adapted.accepted:
        return 1
    network, card = adapted.estimator.network, estimator.card
    facts = {key: value for key, value in card.facts.items() if key not in ("sha256", "calibration")}
    facts |= {"network": node_of(NETWORKS, network), "steps": estimator.steps, "carry": card.carry}
    facts["trained_on"] = f"{estimator.facts()['trained_on']}; adapted to {Path(options.input).name}"
    write_model(out, network, estimator.calibration, facts)
    print(f"{out}: sevenfold flow {options.input} --model {out}")
    return 0
