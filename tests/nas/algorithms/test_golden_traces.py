"""Searches and encodings of the four cell spaces as they were before there were typed spaces, bit by bit."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from sevenfold.config import build
from sevenfold.nas.algorithms.run import run_trials, start_trials
from sevenfold.nas.encodings import DISTANCES, ENCODINGS
from sevenfold.nas.spaces.darts import DARTS
from sevenfold.nas.spaces.nb101 import NB101
from sevenfold.nas.spaces.nb201 import NB201
from sevenfold.nas.spaces.nlp import NLP

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "traces.json").read_text())
SPACES = {kind.__name__: kind for kind in (NB201, NB101, DARTS, NLP)}


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", GOLDEN)
def test_cell_spaces_give_the_same_bits_as_before(name):
    kind, what, *rest = name.split("/")
    space = SPACES[kind]()
    if what == "enc":
        archs = space.sample(np.random.default_rng(1), 40)
        given = {"first": archs, "second": archs[:9]} if rest[1] == "d" else {"archs": archs}
        rows = build(DISTANCES if rest[1] == "d" else ENCODINGS, {"name": rest[0]}, "x", space=space, **given)
        assert f"{rows.dtype}{digest(rows)}" == GOLDEN[name]
    else:
        # Losses are whole numbers and no model is fitted: the same on every processor.
        weights = np.random.default_rng(5).integers(1, 50, size=space.width)
        trials = start_trials({"name": what}, space, [np.random.default_rng(0)])
        (trace,) = run_trials(
            trials, lambda archs: ((archs.astype(np.int64) * weights).sum(1) % 97).astype(float), budget=60
        )
        assert digest(trace.archs.astype(np.int64)) == GOLDEN[name]
