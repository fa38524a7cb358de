"""Bayesian optimization other than BANANAS: Gaussian processes, DNGO, and the graph network of BONAS."""

from typing import Any

from sevenfold.nas.algorithms.candidates import MIXED
from sevenfold.nas.algorithms.model_search import ModelSearch
from sevenfold.nas.algorithms.neural_predictor import graph_network
from sevenfold.nas.spaces.base import Space
from sevenfold.nas.spaces.typed import Typed

EDITS = {"mode": "edits"}


def fixed_process(distance: str) -> dict[str, Any]:
    """Return the papers' process: signal 1.5, squared length scale 9, noise 1e-5, standardized losses."""
    return {
        "name": "gp",
        "distance": distance,
        "scales": [9.0],
        "ratios": [(1e-5 / 1.5) ** 2],
        "signal": 1.5,
        "targets": "standard",
        "acquisition": {"name": "ucb"},
    }


class GPBayesOpt(ModelSearch):
    """Bayesian optimization by a Gaussian process on distances of encodings, one evaluation at a time.

    Presets: ``paper``, fixed hyper-parameters and an upper confidence bound; ``fitted``, length and noise by
    marginal likelihood on ranks, independent Thompson sampling among BANANAS' candidates, ten at a time;
    ``mixed``, the fixed process with expected improvement among mutants and random candidates, the default on
    a typed space without cells.
    ``surrogate: {distance: ...}`` chooses the encoding.
    """

    presets = {
        "paper": {"k": 1, "candidates": EDITS, "surrogate": fixed_process("adj")},
        "fitted": {"surrogate": {"name": "gp"}},
        "mixed": {
            "k": 1,
            "candidates": MIXED,
            "surrogate": {**fixed_process("adj"), "acquisition": {"name": "ei", "ei_scale": 1.0}},
        },
    }

    @classmethod
    def default_preset(cls, space: Space) -> str:
        """Return ``mixed`` on a typed space alone: the papers' process needs no paths."""
        return super().default_preset(space) if isinstance(space, Typed) else "paper"


class Nasbot(ModelSearch):
    """Bayesian optimization with a distance of degrees and operation counts, the papers' stand-in for NASBOT.

    It is not the optimal transport distance of the original (Kandasamy et al. 2018).
    """

    presets = {"paper": {"k": 1, "candidates": EDITS, "surrogate": fixed_process("nasbot")}}


class DNGOSearch(ModelSearch):
    """Bayesian optimization with a Bayesian linear layer on a trained network, DNGO.

    Snoek et al. 2015, "Scalable Bayesian optimization using deep neural networks".
    """

    presets = {"paper": {"num_init": 20, "surrogate": {"name": "dngo"}}}


class Bonas(ModelSearch):
    """The loop of BANANAS with the graph network of the Neural Predictor, as in BONAS.

    Shi et al. 2020, "Bridging the gap between sample-based and one-shot NAS with BONAS".
    """

    presets = {"paper": {"surrogate": graph_network(epochs=100, lr=1e-3)}}
