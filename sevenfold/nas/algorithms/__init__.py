"""Search algorithms: each proposes architectures to evaluate and learns from their losses.

Build one by name with ``sevenfold.config.build(ALGORITHMS, {"name": "evolution"}, "algorithm", space=space,
rng=rng)`` and run many trials of it with :mod:`run`.
"""

from typing import Annotated

from sevenfold.config import Node
from sevenfold.tables import ComponentTable, OneOf, OptionsOf

ALGORITHMS = ComponentTable(
    {
        "bananas": "sevenfold.nas.algorithms.bananas:Bananas",
        "bonas": "sevenfold.nas.algorithms.bayesian:Bonas",
        "dngo": "sevenfold.nas.algorithms.bayesian:DNGOSearch",
        "evolution": "sevenfold.nas.algorithms.evolution:RegularizedEvolution",
        "gp": "sevenfold.nas.algorithms.bayesian:GPBayesOpt",
        "local_search": "sevenfold.nas.algorithms.local_search:LocalSearch",
        "nasbot": "sevenfold.nas.algorithms.bayesian:Nasbot",
        "neural_predictor": "sevenfold.nas.algorithms.neural_predictor:NeuralPredictor",
        "random": "sevenfold.nas.algorithms.random:RandomSearch",
        "reinforce": "sevenfold.nas.algorithms.reinforce:Reinforce",
    },
    holds="search algorithms",
    given=("space", "rng"),
)

AlgorithmNode = Annotated[Node, OneOf("sevenfold.nas.algorithms:ALGORITHMS")]
"""Name and options of a search algorithm."""

SURROGATES = ComponentTable(
    {
        "dngo": "sevenfold.nas.algorithms.networks:DNGO",
        "ensemble": "sevenfold.nas.algorithms.networks:Ensemble",
        "gp": "sevenfold.nas.algorithms.gaussian_process:GaussianProcess",
        "random": "sevenfold.nas.algorithms.surrogate:RandomPick",
        "ridge": "sevenfold.nas.algorithms.gaussian_process:BayesianRidge",
    },
    holds="models that choose candidates",
)

SurrogateNode = Annotated[Node, OneOf("sevenfold.nas.algorithms:SURROGATES")]
"""Name and options of a surrogate; without a name, options of the one that its owner chooses."""
CandidatesNode = Annotated[Node, OptionsOf("sevenfold.nas.algorithms.candidates:Candidates")]
"""Options of the set of candidates."""
