"""Neural architecture search: spaces, encodings, benchmarks, predictors and search algorithms.

Public names are imported when they are first used: ``from sevenfold.nas import Bananas, load_benchmark``.
"""

from typing import TYPE_CHECKING

from sevenfold.lazy import lazy

if TYPE_CHECKING:
    from sevenfold.nas.algorithms.bananas import Bananas
    from sevenfold.nas.algorithms.evolution import RegularizedEvolution
    from sevenfold.nas.algorithms.local_search import LocalSearch
    from sevenfold.nas.algorithms.objective import Objective
    from sevenfold.nas.algorithms.random import RandomSearch
    from sevenfold.nas.algorithms.run import run_trials, start_trials
    from sevenfold.nas.benchmarks import load_benchmark
    from sevenfold.nas.predictors.mlp import MLP
    from sevenfold.nas.predictors.sample import encode
    from sevenfold.nas.problem import open_problem
    from sevenfold.nas.spaces.darts import DARTS
    from sevenfold.nas.spaces.nb101 import NB101
    from sevenfold.nas.spaces.nb201 import NB201
    from sevenfold.nas.spaces.nlp import NLP
    from sevenfold.nas.spaces.typed import Typed
    from sevenfold.nas.studies.encodings import EncodingStudy
    from sevenfold.nas.studies.fronts import FrontStudy
    from sevenfold.nas.studies.landscape import LandscapeStudy
    from sevenfold.nas.studies.noise_landscape import NoiseLandscapeStudy
    from sevenfold.nas.studies.objective import ObjectiveSearchStudy
    from sevenfold.nas.studies.search import SearchStudy
    from sevenfold.nas.x11 import load_ensemble

_PUBLIC = {
    "Bananas": "sevenfold.nas.algorithms.bananas:Bananas",
    "DARTS": "sevenfold.nas.spaces.darts:DARTS",
    "EncodingStudy": "sevenfold.nas.studies.encodings:EncodingStudy",
    "FrontStudy": "sevenfold.nas.studies.fronts:FrontStudy",
    "LandscapeStudy": "sevenfold.nas.studies.landscape:LandscapeStudy",
    "LocalSearch": "sevenfold.nas.algorithms.local_search:LocalSearch",
    "MLP": "sevenfold.nas.predictors.mlp:MLP",
    "NB101": "sevenfold.nas.spaces.nb101:NB101",
    "NB201": "sevenfold.nas.spaces.nb201:NB201",
    "NLP": "sevenfold.nas.spaces.nlp:NLP",
    "NoiseLandscapeStudy": "sevenfold.nas.studies.noise_landscape:NoiseLandscapeStudy",
    "Objective": "sevenfold.nas.algorithms.objective:Objective",
    "ObjectiveSearchStudy": "sevenfold.nas.studies.objective:ObjectiveSearchStudy",
    "RandomSearch": "sevenfold.nas.algorithms.random:RandomSearch",
    "RegularizedEvolution": "sevenfold.nas.algorithms.evolution:RegularizedEvolution",
    "SearchStudy": "sevenfold.nas.studies.search:SearchStudy",
    "Typed": "sevenfold.nas.spaces.typed:Typed",
    "encode": "sevenfold.nas.predictors.sample:encode",
    "load_benchmark": "sevenfold.nas.benchmarks:load_benchmark",
    "load_ensemble": "sevenfold.nas.x11:load_ensemble",
    "open_problem": "sevenfold.nas.problem:open_problem",
    "run_trials": "sevenfold.nas.algorithms.run:run_trials",
    "start_trials": "sevenfold.nas.algorithms.run:start_trials",
}
__all__ = [
    "DARTS",
    "MLP",
    "NB101",
    "NB201",
    "NLP",
    "Bananas",
    "EncodingStudy",
    "FrontStudy",
    "LandscapeStudy",
    "LocalSearch",
    "NoiseLandscapeStudy",
    "Objective",
    "ObjectiveSearchStudy",
    "RandomSearch",
    "RegularizedEvolution",
    "SearchStudy",
    "Typed",
    "encode",
    "load_benchmark",
    "load_ensemble",
    "open_problem",
    "run_trials",
    "start_trials",
]
__getattr__, __dir__ = lazy(__name__, _PUBLIC)
