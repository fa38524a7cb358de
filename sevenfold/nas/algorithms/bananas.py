"""BANANAS (White, Neiswanger and Savani 2021): mutants of the best, chosen by an ensemble of networks."""

from sevenfold.nas.algorithms.candidates import MIXED
from sevenfold.nas.algorithms.model_search import ModelSearch

TEN_BY_TWENTY = {"name": "ensemble"}


class Bananas(ModelSearch):
    """Train five networks on all evaluations, then evaluate the ten mutants of the best that they prefer.

    Presets: ``paper``, 10 layers of 20 units for 150 epochs on truncated paths, independent Thompson
    sampling; ``fast``, one layer of 64 for 60 epochs on one-hot operations and ranks; ``closed_form``, a
    Bayesian linear model instead of networks; ``naslib`` and ``archai``, the defaults of those libraries;
    ``darts``, for losses with a known floor and long training; ``diverse``, five shapes of network;
    ``mixed``, the linear model one evaluation at a time among mutants and random candidates, for typed
    spaces; ``no_surrogate``, a random pick among the mutants.

    >>> import numpy as np
    >>> from sevenfold.nas import NB201, Bananas
    >>> search = Bananas(NB201(), np.random.default_rng(0), preset="closed_form")
    >>> for _ in range(4):
    ...     archs = search.ask(10)
    ...     search.tell(archs, archs.sum(axis=1))
    >>> search.ask(10).shape, bool(min(search.losses) < min(search.losses[:10]))
    ((10, 6), True)
    """

    presets = {
        "paper": {"surrogate": TEN_BY_TWENTY},
        "fast": {
            "surrogate": {
                "name": "ensemble",
                "networks": [{"name": "mlp", "layers": 1, "width": 64}],
                "encoding": "adj_onehot",
                "training": {"epochs": 60},
                "targets": "rank",
            }
        },
        "closed_form": {"surrogate": {"name": "ridge"}},
        "naslib": {
            "surrogate": {
                "name": "ensemble",
                "networks": [{"name": "mlp", "layers": 20, "width": 20}],
                "encoding": "path",
                "training": {"epochs": 500, "lr": 0.001, "l1": 0.2},
            },
            "mutation": "one",
            "candidates": {"allow_repeats": True},
        },
        "archai": {
            "surrogate": {
                "name": "ensemble",
                "networks": [{"name": "mlp", "layers": 5, "width": 64}],
                "encoding": "trunc_path",
                "scale_inputs": True,
                "targets": "standard",
                "training": {
                    "epochs": 2000,
                    "batch_size": 4096,
                    "lr": 1e-4,
                    "beta2": 0.999,
                    "eps": 1e-8,
                    "loss": "mse",
                },
            }
        },
        "darts": {
            "surrogate": {
                "name": "ensemble",
                "training": {"epochs": 10_000, "lr": 1e-5, "loss": "mape", "lower_bound": 4.5},
            },
            "candidates": {"mode": "mutation_random"},
        },
        "diverse": {
            "surrogate": {
                "name": "ensemble",
                "members": 1,
                "networks": [
                    {"name": "mlp", "layers": layers, "width": width}
                    for layers, width in ((10, 20), (5, 5), (5, 30), (30, 5), (30, 30))
                ],
            }
        },
        "mixed": {"k": 1, "candidates": MIXED, "surrogate": {"name": "ridge"}},
        "no_surrogate": {"surrogate": {"name": "random"}},
    }
