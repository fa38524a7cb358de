"""Dependence of the bias of trained networks on each of their weights (Savani et al. 2020)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch

from sevenfold.config import merge
from sevenfold.fairness.intra.base import Problem
from sevenfold.fairness.network import Logits
from sevenfold.fairness.nodes import SourceNode
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.studies.base_networks import (
    SYNTHETIC,
    BaseNetwork,
    BaseNetworks,
    distinct,
    objectives,
)
from sevenfold.fairness.studies.initial_summary import draw_all, headline, verdict
from sevenfold.fairness.weight_sensitivity import sensitivity
from sevenfold.files import replace_file
from sevenfold.ranges import MOST, NonNegativeInt, Positive, Range, Scale, Seed
from sevenfold.records import Record, summarize
from sevenfold.study import Context, Piece, Report, Section, Study

LEAST_DRAWS = 20


@dataclass(frozen=True)
class Network(Piece):
    """The base network of a ``seed``; ``drop``: without the protected attribute."""

    drop: bool
    seed: int
    objective: Objective


class InitialStudy(Study[Network]):
    """Regression of the soft bias of every base network on random perturbations of its weights.

    The bias is that of the test rows. Coefficients are saved in ``coefficients/`` of the run folder.

    Args:
        draws: perturbations of a network; a fifth is held out.
        sigma: standard deviation of the noise, relative to the weights.
        base: the networks, one for each seed.
        seeds: of networks and splits.
        source: a component of ``sevenfold.fairness.data.SOURCES``.
        root: folder of the published data sets; without it people are synthetic.
        protected: the attribute; ``sex or race`` combines two.
        drop_protected: with the attribute among the features (false), without, or both.
        min_count: one-hot levels rarer than this in train are grouped.
        objective: the other options of the objective.
        measures: of bias, ``sevenfold.fairness.measures.MEASURES``.
        epsilons: bounds on the absolute bias; they only name the records here.
    """

    devices = "cpu"
    running = ("r2",)

    def __init__(
        self,
        *,
        draws: Annotated[int, Range(LEAST_DRAWS, MOST)] = 1000,
        sigma: Scale = 0.1,
        base: BaseNetwork = BaseNetwork(),
        seeds: list[Seed] = [1],  # noqa: B006 (never changed)
        source: SourceNode = SYNTHETIC,
        root: str = "data",
        protected: str = "a",
        drop_protected: list[bool] = [False],  # noqa: B006
        min_count: NonNegativeInt = 0,
        objective: Objective = Objective(),
        measures: list[str] = ["spd"],  # noqa: B006
        epsilons: list[Positive] = [0.05],  # noqa: B006
    ) -> None:
        self.draws, self.sigma = draws, sigma
        self.networks = BaseNetworks(source, root, protected, min_count, seeds, base)
        self.drops = distinct("drop_protected", drop_protected)
        self.objectives = objectives(measures, epsilons, objective)

    def check(self) -> None:
        """Open the table."""
        self.networks.check()

    def pieces(self) -> Sequence[Network]:
        """Return every base network under every objective."""
        return [
            Network((f"{group}/{seed:05d}",), group, drop, seed, objective)
            for drop in self.drops
            for seed in self.networks.seeds
            for objective in self.objectives
            for group in [f"{self.networks.setting(drop)}/{objective.measure}@{objective.epsilon:g}/base"]
        ]

    def run(self, piece: Network, context: Context) -> list[Record]:
        """Perturb one network and save its coefficients."""
        # The bias is that of the test rows: the network has not been fitted to them.
        test = self.networks.split(piece.drop, piece.seed).test
        network = self.networks.network(piece.drop, piece.seed, context.folder)
        problem = Problem(Logits(network, "logit"), test.x, test.y, test.a, piece.objective, seed=piece.seed)
        result = sensitivity(problem, draws=self.draws, sigma=self.sigma)
        path = coefficients_file(context.folder, piece.keys[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as temporary:
            torch.save(torch.as_tensor(result.coefficients), temporary)
        record = {"key": piece.keys[0], "group": piece.group, "seed": piece.seed, "r2": result.r2}
        record |= {"soft_bias": float(result.biases.mean()), "spread": float(result.biases.std())}
        return [{**record, "concentration": result.concentration}]

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return R^2 of every network, whether few weights carry the bias, which directions are shared."""
        text = (
            "Noise on all weights at once; R2 is the share of the bias' variance on held-out draws that a "
            "ridge regression on the noise explains. The last column is the share of weights that carries 90 "
            "% of the squared coefficients."
        )
        coefficients: dict[str, list[torch.Tensor]] = {}
        for record in records:
            path = coefficients_file(folder, record["key"])
            if path.is_file():
                coefficients.setdefault(record["group"], []).append(torch.load(path, weights_only=True))
        return Report(
            "How the bias depends on the weights",
            headline(records),
            verdict(records) or [text],
            [Section("Columns", [text])],
            pictures=draw_all(coefficients, folder / "images"),
            scalars=summarize(records),
        )

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return a few synthetic people, two briefly trained networks and few draws."""
        small = {"source": {"name": "synthetic", "n": 600}, "protected": "a", "seeds": [1, 2], "draws": 30}
        return merge(options, {**small, "base": {"training": {"max_epochs": 2}}})


def coefficients_file(folder: Path, key: str) -> Path:
    """Return the path of a record's coefficients."""
    return folder / "coefficients" / f"{key.replace('/', '_')}.pt"
