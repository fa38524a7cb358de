"""Which steps are supervised and with which weights."""

import pytest

from sevenfold.config import build
from sevenfold.deq.correction import Correction


@pytest.mark.parametrize(
    ("options", "max_iter", "steps"),
    [
        ({}, 7, [7]),
        ({"n": 6}, 36, [6, 12, 18, 24, 30, 36]),
        ({"n": 2}, 40, [20, 40]),
        ({"n": 6}, 40, [6, 12, 18, 24, 30, 40]),
        ({"n": 3}, 3, [1, 2, 3]),
        ({"indexing": [2, 5]}, 9, [2, 5, 9]),
        ({"indexing": [2, 9]}, 9, [2, 9]),
        ({"indexing": [4], "n": 2}, 9, [4, 9]),
    ],
)
def test_check_06_supervised_steps(options, max_iter, steps):
    assert Correction(**options).at(max_iter) == steps


def test_check_06_weights():
    assert Correction(gamma=0.5).weights(4) == [0.125, 0.25, 0.5, 1.0]
    assert Correction(gamma=0.9).weights(1) == [1.0]
    assert Correction(gamma=1.0).weights(3) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("options", "max_iter"), [({"n": 4}, 3), ({"indexing": [5, 2]}, 9), ({"indexing": [10]}, 9)]
)
def test_impossible_steps_are_refused(options, max_iter):
    with pytest.raises(ValueError, match="correction"):
        Correction(**options).at(max_iter)


@pytest.mark.parametrize(
    "options", [{"n": 0}, {"steps": 0}, {"gamma": 0.0}, {"gamma": 1.1}, {"damping": 0.0}, {"graph": "x"}]
)
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Correction(**options)
    with pytest.raises(ValueError, match="make another|are another"):
        Correction(n=3, indexing=[2])


def test_option_groups_go_through_the_configuration():
    """The layer's option groups are checked by the same code as every other option."""
    table = {"deq": "sevenfold.deq.layer:DEQ"}
    layer = build(
        table, {"name": "deq", "stop": {"mode": "abs", "tol": 1e-2}, "correction": {"n": 2}}, "model"
    )
    assert layer.stop.mode == "abs" and layer.stop.tol == 1e-2 and layer.correction.n == 2
    for node, key in (
        ({"stop": {"mod": "abs"}}, r"model\.stop\.mod"),
        ({"stop": {"tol": -1.0}}, r"model\.stop\.tol"),
        ({"correction": {"graph": "sliced", "gamma": 0.0}}, r"model\.correction\.gamma"),
        ({"solver": {"name": "anderson", "memory": 1}}, r"model\.solver\.memory"),
        ({"backward": {"name": "implicit", "adjoint": {"name": "x"}}}, r"model\.backward\.adjoint\.name"),
    ):
        with pytest.raises(ValueError, match=key):
            build(table, {"name": "deq", **node}, "model")
