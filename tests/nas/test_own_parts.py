"""Parts of one's own can be named wherever a table of the family is, once their package is allowed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sevenfold import tables
from sevenfold.config import ConfigError, build, validate
from sevenfold.nas.algorithms.run import run_trials, start_trials
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.lce import SEARCHES
from sevenfold.nas.lce.tables import curve_table
from sevenfold.nas.spaces.nb201 import NB201
from sevenfold.nas.studies.encodings import EncodingStudy
from sevenfold.nas.studies.lce_search import FilteredSearchStudy
from sevenfold.nas.studies.search import SearchStudy
from sevenfold.nas.x11.ensemble import Ensemble
from sevenfold.nas.x11.export import load, save
from sevenfold.nas.x11.surrogate import Surrogate

PARTS = """
import numpy as np
from sevenfold.nas.algorithms.random import RandomSearch
from sevenfold.nas.algorithms.surrogate import RandomPick
from sevenfold.nas.benchmarks.synthetic_nb201 import SyntheticNB201
from sevenfold.nas.encodings.adjacency import adj_onehot
from sevenfold.nas.encodings.distance import adj
from sevenfold.nas.lce.baselines import Last
from sevenfold.nas.predictors.mlp import MLP
from sevenfold.nas.spaces.nb201 import NB201
from sevenfold.nas.x11.noise.gauss import Gauss
from sevenfold.nas.x11.svd import SVD


def bits(space, archs):
    return adj_onehot(space, archs)


def first_bits(space, archs, *, cutoff: int = 10):
    return adj_onehot(space, archs)[:, :cutoff]


def distance(space, first, second):
    return adj(space, first, second)


def table(*, stream: int = 0):
    return SyntheticNB201(stream=stream)


class Net(MLP):
    pass


class Still(Last):
    pass


class Lucky(RandomPick):
    pass


class Walk(RandomSearch):
    pass


class Cells(NB201):
    pass


class Hum(Gauss):
    pass


class Cut(SVD):
    pass
"""


@pytest.fixture
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Allow a package ``wayfarers`` with a part of every kind."""
    (tmp_path / "wayfarers").mkdir()
    (tmp_path / "wayfarers/__init__.py").write_text(PARTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(tables, "_allowed", {"wayfarers"})
    yield
    sys.modules.pop("wayfarers", None)


SHORT = {"epochs": 2}
ALGORITHMS = {
    "walk": {"name": "wayfarers:Walk"},
    "lucky": {"name": "bananas", "num_init": 4, "k": 4, "surrogate": {"name": "wayfarers:Lucky"}},
    "gp": {"name": "gp", "preset": "fitted", "num_init": 4, "surrogate": {"distance": "wayfarers:distance"}},
    "ridge": {
        "name": "bananas",
        "num_init": 4,
        "surrogate": {"name": "ridge", "encoding": "wayfarers:first_bits", "cutoff": 7},
    },
    "net": {
        "name": "bananas",
        "num_init": 4,
        "surrogate": {
            "name": "ensemble",
            "networks": [{"name": "wayfarers:Net"}, {"name": "gcn"}],
            "encoding": "gcn",
            "training": SHORT,
        },
    },
}


@pytest.mark.parametrize("label", ALGORITHMS)
def test_searches_run_with_them(label: str, allowed: None) -> None:
    node = ALGORITHMS[label]
    validate(SearchStudy, {"algorithms": {label: node}, "benchmark": {"name": "wayfarers:table"}}, "study")
    trials = start_trials(node, NB201(), [np.random.default_rng(seed) for seed in range(2)])
    traces = run_trials(trials, lambda archs: archs.sum(axis=1).astype(float), budget=16)
    assert [len(trace.losses) for trace in traces] == [16, 16]


def test_studies_take_them(allowed: None) -> None:
    options = {
        "benchmark": {"name": "wayfarers:table"},
        "encodings": ["wayfarers:bits", "adj"],
        "network": {"name": "wayfarers:Net", "width": 4},
    }
    study = EncodingStudy(**validate(EncodingStudy, options, "study"))
    study.check()
    assert [piece.encoding for piece in study.pieces()] == ["wayfarers:bits"] * 2 + ["adj"] * 2
    node = {
        "name": "filtered",
        "algorithm": {"name": "wayfarers:Walk"},
        "lce": {"name": "wayfarers:Still"},
        "filter": {"seen": 4},
    }
    validate(FilteredSearchStudy, {"searches": {"still": node}}, "study")
    table = curve_table(load_benchmark("wayfarers:table", stream=1))
    assert build(SEARCHES, node, "search").run(table, np.random.default_rng(0), 600).promoted.any()


def test_surrogate_curves_take_them_and_remember_them(allowed: None, tmp_path: Path) -> None:
    import wayfarers

    ensemble = Ensemble(
        wayfarers.Cells(canonical="skip"),
        encoding="wayfarers:bits",
        metrics=["val/acc"],
        epochs=6,
        compression={"name": "wayfarers:Cut", "k": 2},
        regressor={"name": "mlp", "epochs": 1},
        members=1,
    )
    archs = ensemble.space.sample(np.random.default_rng(0), 40)
    ensemble.fit(archs, np.random.default_rng(0).uniform(0, 100, (40, 6, 1)))
    again = load(save(Surrogate(ensemble, noise={"name": "none"}), tmp_path / "surrogate"))
    assert type(again.ensemble.space) is wayfarers.Cells and again.ensemble.space.canonical == "skip"
    np.testing.assert_array_equal(again.ensemble.predict(archs), ensemble.predict(archs))
    Surrogate(ensemble, noise={"name": "wayfarers:Hum"})


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"algorithms": {"a": {"name": "wayfarers:Walk"}}}, "study.algorithms.a.name"),
        ({"algorithms": {"a": ALGORITHMS["net"]}}, "study.algorithms.a.surrogate.networks[0].name"),
        ({"algorithms": {}, "benchmark": {"name": "wayfarers:table"}}, "study.benchmark.name"),
    ],
)
def test_without_allow_they_are_refused_at_their_place(options: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(SearchStudy, options, "study")
    assert caught.value.key == key and "say --allow wayfarers" in caught.value.message


@pytest.mark.parametrize(
    ("build_it", "message"),
    [
        (lambda: EncodingStudy(encodings=["adj", "pth"]), r"encodings\[1\]: 'pth' is not known"),
        (lambda: EncodingStudy(encodings=["wayfarers:bits"]), "say --allow wayfarers"),
        (lambda: load_benchmark("wayfarers:table"), "say --allow wayfarers"),
        (lambda: load_benchmark("x12:folder"), "say --allow x12"),
        (lambda: load_benchmark("nb2011"), "Did you mean 'nb201'"),
    ],
)
def test_python_is_refused_in_one_line_too(build_it, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=message):
        build_it()
