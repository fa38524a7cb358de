"""What every search space of the table promises."""

import numpy as np
import pytest

from sevenfold.config import build, locate
from sevenfold.errors import InputError
from sevenfold.nas.encodings import ENCODINGS
from sevenfold.nas.spaces import SPACES
from sevenfold.nas.spaces.base import Enumerable
from sevenfold.seeding import numpy_generator
from sevenfold.testing.contract import run_check
from sevenfold.testing.space import CHECKS

OPTIONS = {
    "typed": {
        "parameters": {
            "cell": {"cell": "nb201"},
            "opt": {"choice": ["sgd", "adam"]},
            "momentum": {"float": [0, 1], "when": {"opt": ["sgd"]}},
            "blocks": {"repeat": [1, 2], "of": {"kernel": {"ordinal": [3, 5, 7]}}},
        },
        "forbid": [{"opt": "adam", "blocks": 2}],
        "steps": 100,
    }
}


@pytest.fixture(scope="module", params=list(SPACES))
def space(request):
    return build(SPACES, {"name": request.param, **OPTIONS.get(request.param, {})}, "space")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_spaces_keep_their_contract(space, check):
    run_check(check, space)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_any_integer_type_means_the_same(space, dtype):
    archs = space.sample(numpy_generator(0, "types"), 40)
    other = archs.astype(dtype)
    child, same = (space.mutate(a, numpy_generator(0, "mutate")) for a in (archs, other))
    assert (child == same).all()
    for rows, again in zip(encoded(space, archs), encoded(space, other), strict=True):
        assert rows.dtype == again.dtype and (rows == again).all()


def encoded(space, archs):
    """Return the rows of every encoding that the space has."""
    found = []
    for name, reference in ENCODINGS.items():
        try:
            found.append(
                locate(reference)(space, archs, **({"cutoff": 5} if name.startswith("trunc_adj") else {}))
            )
        except InputError:
            continue
    return found


def test_encodings_are_rows_of_float32_or_bits_for_any_number_of_architectures(space):
    archs = space.sample(numpy_generator(0, "encodings"), 7)
    rows, one, none = (encoded(space, part) for part in (archs, archs[2:3], archs[:0]))
    assert len(rows) == len(one) == len(none) >= 5
    for all_rows, row, nothing in zip(rows, one, none, strict=True):
        assert all_rows.dtype in (np.float32, np.uint8) and all_rows.shape[0] == 7
        assert (all_rows[2:3] == row).all() and nothing.shape == (0, all_rows.shape[1])


def test_errors_name_what_is_known_and_the_shape_that_is_expected(space):
    archs = space.sample(np.random.default_rng(0), 3)
    with pytest.raises(InputError, match="'adjj' is not known"):
        space.sample(np.random.default_rng(0), 1, method="adjj")
    for wrong in (archs[0], archs[:, 1:], archs.astype(float)):
        with pytest.raises(InputError, match=f"\\(n, {space.width}\\)"):
            space.keys(wrong)


def test_enumerable_spaces_number_their_architectures(space):
    if not isinstance(space, Enumerable):
        assert space.size is None or space.size > 10**9
        return
    numbers = numpy_generator(0, "numbers").integers(space.size, size=100)
    assert (space.index(space.archs(numbers)) == numbers).all()
    assert space.archs(numbers.reshape(10, 10)).shape == (10, 10, space.width)
