"""The Neural Predictor's search (Wen et al. 2020): one training, one ranking, evaluation of the best."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import numpy as np
from numpy.random import Generator

from sevenfold.nas.algorithms import CandidatesNode, SurrogateNode
from sevenfold.nas.algorithms.model_search import ModelSearch
from sevenfold.nas.spaces.base import Ints, Space
from sevenfold.ranges import MOST, Range


def graph_network(**training: Any) -> dict[str, Any]:
    """Return the surrogate of one graph network, with ``training`` options beside those of both papers."""
    common = {
        "beta2": 0.999, "eps": 1e-8, "weight_decay": 3e-4, "loss": "mse", "standardize": True, "cosine": True,
    }  # fmt: skip
    return {
        "name": "ensemble",
        "networks": [{"name": "gcn"}],
        "members": 1,
        "encoding": "gcn",
        "training": {**common, **training},
        "acquisition": {"name": "mean"},
    }


class NeuralPredictor(ModelSearch):
    """Train a graph network once on random evaluations, then evaluate the best of many random architectures.

    Of a budget Q, Q - floor(20 Q / 172) evaluations are random, and floor(20 Q / 172) are the best of 50 Q
    random architectures. A search that continues beyond its budget trains and ranks again.

    Args:
        budget: evaluations that the search is planned for, 9 or more.
        candidates: options of the set that candidates are chosen from, merged into 50 ``budget`` random ones.
    """

    presets = {"paper": {"surrogate": graph_network(epochs=300, batch_size=7, lr=1e-4)}}

    def __init__(
        self,
        space: Space,
        rng: Generator,
        *,
        budget: Annotated[int, Range(9, MOST)] = 150,
        candidates: CandidatesNode = {},  # noqa: B006
        surrogate: SurrogateNode = {},  # noqa: B006
        sampling: str | None = None,
    ) -> None:
        shot = 20 * budget // 172
        super().__init__(
            space,
            rng,
            num_init=budget - shot,
            k=shot,
            candidates={"mode": "random", "num": 50 * budget, **candidates},
            surrogate=surrogate,
            sampling=sampling,
        )
        self._queue: Ints = np.empty((0, space.width), np.int8)

    @classmethod
    def propose_together(cls, trials: Sequence[Self], counts: Sequence[int]) -> list[Ints]:
        """Return the next architectures of the initial design or the ranking; rank anew at its end."""
        for trial in trials:
            trial._queue = trial.unseen(trial._queue)
        empty = [trial for trial in trials if not len(trial._queue)]
        for trial, rows in zip(
            empty, super().propose_together(empty, [trial.at_once() for trial in empty]), strict=True
        ):
            trial._queue = rows
        batches = [trial._queue[:k] for trial, k in zip(trials, counts, strict=True)]
        for trial, rows in zip(trials, batches, strict=True):
            trial._queue = trial._queue[len(rows) :]
        return batches

    def own_state(self) -> dict[str, Any]:
        """Return the architectures that are still to be handed out."""
        return {"queue": self._queue.tolist()}

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        """Restore them."""
        self._queue = np.array(state["queue"], int).reshape(-1, self.space.width)
