"""How architectures of the DARTS space are written by others.

The vector of :func:`config_vectors` is unverified: its order and scaling follow the recalled rules of
ConfigSpace 0.4.12 (hyperparameters without a condition by name, then the conditional ones by name; choices as
their index, numbers mapped to [0, 1], the logarithm itself where a normal prior is declared, constants as 0).
They were not compared with vectors written by that version.
"""

import ast
import itertools
import json
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.spaces.base import Ints, choose

OPS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)

_CELLS = ("normal", "reduce")
_PREFIX = "NetworkSelectorDatasetInfo:darts:"
_FIRST_EDGE = (0, 2, 5, 9)  # of nodes 2..5; edge _FIRST_EDGE[node] + predecessor enters the node
_CONDITIONAL = range(2, 14)  # edges that exist only if inputs_node_... says so

Pairs = list[list[list[int]]]
"""Two cells of eight [predecessor, operation] pairs."""

Names = tuple[str, ...]
"""The operations that codes stand for."""


def to_genotype(pairs: Pairs, ops: Names) -> str:
    """Write the text of a ``Genotype`` tuple, as DARTS prints it."""
    normal, reduce = ([(ops[op], source) for source, op in cell] for cell in pairs)
    return f"Genotype(normal={normal}, normal_concat=range(2, 6), reduce={reduce}, reduce_concat=range(2, 6))"


def to_naslib(pairs: Pairs, ops: Names) -> str:
    """Write two tuples of (predecessor, operation code) pairs."""
    return str(tuple(tuple((source, op) for source, op in cell) for cell in pairs))


def to_config(pairs: Pairs, ops: Names) -> str:
    """Write the architecture's part of a configuration as a JSON object."""
    config: dict[str, str] = {}
    for name, cell in zip(_CELLS, pairs, strict=True):
        for node in range(4):
            chosen = sorted(cell[2 * node : 2 * node + 2])
            for source, op in chosen:
                config[f"{_PREFIX}edge_{name}_{_FIRST_EDGE[node] + source}"] = ops[op]
            if node:
                config[f"{_PREFIX}inputs_node_{name}_{node + 2}"] = "_".join(str(s) for s, _ in chosen)
    return json.dumps(config)


WRITERS: dict[str, Callable[[Pairs, Names], str]] = {
    "darts": to_genotype,
    "naslib": to_naslib,
    "configspace": to_config,
}


def read(text: str, notation: str, ops: Names) -> list[int]:
    """Read one architecture as the 32 codes of a row; whether they are valid is not checked."""
    try:
        pairs = READERS[notation](text, ops)
        codes = [int(code) for cell in pairs for pair in cell for code in pair]
        if (
            [len(cell) for cell in pairs] == [8, 8]
            and len(codes) == 32
            and all(-1 < c < len(ops) for c in codes)
        ):
            return codes
    except InputError:
        raise
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, AttributeError):
        pass
    raise InputError(f"{text!r} is no DARTS architecture in the notation '{notation}'")


def _code(name: str, ops: Names) -> int:
    return ops.index(choose(name, ops, "operation"))


def _from_genotype(text: str, ops: Names) -> Any:
    lists = [re.search(rf"\b{name}\s*=\s*(\[[^\]]*\])", text) for name in _CELLS]
    cells = [ast.literal_eval(match.group(1)) for match in lists if match]
    return [[(source, _code(name, ops)) for name, source in cell] for cell in cells]


def _from_config(text: str, ops: Names) -> Any:
    config = json.loads(text)
    cells = []
    for name in _CELLS:
        pairs = []
        for node, first in enumerate(_FIRST_EDGE):
            chosen = config[f"{_PREFIX}inputs_node_{name}_{node + 2}"].split("_") if node else ["0", "1"]
            pairs += [(int(s), _code(config[f"{_PREFIX}edge_{name}_{first + int(s)}"], ops)) for s in chosen]
        cells.append(pairs)
    return cells


READERS: dict[str, Callable[[str, Names], Any]] = {
    "darts": _from_genotype,
    "naslib": lambda text, ops: ast.literal_eval(text),
    "configspace": _from_config,
}


def _unit(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low)


def _whole(value: float, low: float, high: float) -> float:
    return _unit(value, low - 0.49999, high + 0.49999)  # every whole number has the same share of [0, 1]


TRAINING: dict[str, float] = {
    "CreateImageDataLoader:batch_size": _unit(math.log(96), math.log(63.50001), math.log(128.49999)),
    "ImageAugmentation:augment": 0,
    "ImageAugmentation:autoaugment": 0,
    "ImageAugmentation:cutout": 0,
    "ImageAugmentation:cutout_holes": _whole(1, 1, 3),
    "ImageAugmentation:cutout_length": _whole(16, 1, 50),
    "ImageAugmentation:fastautoaugment": 0,
    "LossModuleSelectorIndices:loss_module": 0,
    f"{_PREFIX}auxiliary": 0,
    f"{_PREFIX}drop_path_prob": 0,
    f"{_PREFIX}init_channels": _whole(32, 1, 10000),
    f"{_PREFIX}layers": _whole(8, 1, 10000),
    "NetworkSelectorDatasetInfo:network": 0,
    "OptimizerSelector:optimizer": 0,
    "OptimizerSelector:sgd:learning_rate": math.log(0.025),
    "OptimizerSelector:sgd:momentum": _unit(0.9, 0.1, 0.99),
    "OptimizerSelector:sgd:weight_decay": math.log(3e-4),
    "SimpleLearningrateSchedulerSelector:cosine_annealing:T_max": _whole(100, 1, 10000),
    "SimpleLearningrateSchedulerSelector:cosine_annealing:eta_min": _unit(1e-8, 0, 10000),
    "SimpleLearningrateSchedulerSelector:lr_scheduler": 0,
    "SimpleTrainNode:batch_loss_computation_technique": 0,
    "SimpleTrainNode:mixup:alpha": _unit(math.log(0.2), math.log(0.01), math.log(0.7)),
}
"""The training hyperparameters, which all architectures share, as numbers of the vector."""

_EDGES = [(name, f"{_PREFIX}edge_{name}_{edge}", edge) for name in _CELLS for edge in range(14)]
_ALWAYS = [key for _, key, edge in _EDGES if edge not in _CONDITIONAL]
_INPUTS = [f"{_PREFIX}inputs_node_{name}_{node}" for name in _CELLS for node in (3, 4, 5)]

NAMES = (
    *sorted([*TRAINING, *_ALWAYS, *_INPUTS]),
    *sorted(key for _, key, edge in _EDGES if edge in _CONDITIONAL),
)
"""The 56 hyperparameters in the order of the vector."""


def config_vectors(pairs: Ints) -> NDArray[np.float64]:
    """Return the vectors of sorted pairs (n, 2, 8, 2), (n, 56); edges that do not exist are NaN."""
    column = {name: place for place, name in enumerate(NAMES)}
    vectors = np.full((len(pairs), len(NAMES)), np.nan)
    for name, value in TRAINING.items():
        vectors[:, column[name]] = value
    rows = np.arange(len(pairs))
    for cell, name in enumerate(_CELLS):
        edge = np.array([column[f"{_PREFIX}edge_{name}_{e}"] for e in range(14)])
        for pair in range(8):
            source, op = pairs[:, cell, pair].T
            vectors[rows, edge[_FIRST_EDGE[pair // 2] + source]] = op
        for node in (3, 4, 5):
            choices = np.zeros((node, node))
            for number, chosen in enumerate(itertools.combinations(range(node), 2)):
                choices[chosen] = number
            first, second = pairs[:, cell, 2 * node - 4, 0], pairs[:, cell, 2 * node - 3, 0]
            vectors[:, column[f"{_PREFIX}inputs_node_{name}_{node}"]] = choices[first, second]
    return vectors
