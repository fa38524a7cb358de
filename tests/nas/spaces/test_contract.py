"""What every search space of the table promises."""

import numpy as np
import pytest

from sevenfold.config import build, locate
from sevenfold.errors import InputError
from sevenfold.nas.encodings import ENCODINGS
from sevenfold.nas.spaces import SPACES
from sevenfold.nas.spaces.base import Enumerable
from sevenfold.seeding import numpy_generator


@pytest.fixture(scope="module", params=list(SPACES))
def space(request):
    return build(SPACES, {"name": request.param}, "space")


def test_samples_are_valid_small_integers_and_follow_their_stream(space):
    for method in space.samplings:
        archs = space.sample(numpy_generator(0, "sample"), 50, method=method)
        assert archs.shape == (50, space.width) and archs.dtype == np.int8 and space.is_valid(archs).all()
        assert (archs == space.sample(numpy_generator(0, "sample"), 50, method=method)).all()
        assert (archs != space.sample(numpy_generator(1, "sample"), 50, method=method)).any()
        assert space.sample(numpy_generator(0, "sample"), 0, method=method).shape == (0, space.width)


def test_mutations_are_valid_change_something_and_leave_the_parents_alone(space):
    parents = space.sample(numpy_generator(0, "parents"), 80)
    before = parents.copy()
    for kind in space.mutations:
        children = space.mutate(parents, numpy_generator(0, "mutate"), kind=kind)
        assert children.shape == parents.shape and space.is_valid(children).all()
        assert (children == space.mutate(parents, numpy_generator(0, "mutate"), kind=kind)).all()
        assert (children != parents).any(1).mean() > 0.1 and (parents == before).all()
        assert space.mutate(parents[:0], numpy_generator(0, "mutate"), kind=kind).shape == (0, space.width)


def test_neighbors_are_valid_different_and_fixed_in_order(space):
    for arch in space.sample(numpy_generator(0, "neighbors"), 5):
        for kind in space.neighborhoods:
            others = space.neighbors(arch, kind=kind)
            assert others.ndim == 2 and space.is_valid(others).all()
            assert len(np.unique(others, axis=0)) == len(others) > 0
            assert (others != arch).any(1).all() and (others == space.neighbors(arch[None], kind=kind)).all()


def test_keys_are_numbers_and_notations_keep_them(space):
    archs = space.sample(numpy_generator(0, "keys"), 60)
    keys = space.keys(archs)
    assert keys.shape == (60,) and keys.dtype == np.int64
    for notation in space.notations:
        texts = space.to_strings(archs, notation=notation)
        assert (space.keys(space.from_strings(texts, notation=notation)) == keys).all()
        assert space.from_strings([], notation=notation).shape == (0, space.width)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_any_integer_type_means_the_same(space, dtype):
    archs = space.sample(numpy_generator(0, "types"), 40)
    other = archs.astype(dtype)
    assert (space.keys(other) == space.keys(archs)).all() and space.is_valid(other).all()
    assert space.to_strings(other) == space.to_strings(archs)
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


def test_unknown_names_and_other_shapes_are_refused_with_what_is_known(space):
    rng, archs = np.random.default_rng(0), space.sample(np.random.default_rng(0), 3)
    for call in (
        lambda: space.sample(rng, 1, method="adjj"),
        lambda: space.mutate(archs, rng, kind="adjj"),
        lambda: space.neighbors(archs[0], kind="adjj"),
        lambda: space.to_strings(archs, notation="adjj"),
        lambda: space.from_strings([], notation="adjj"),
    ):
        with pytest.raises(InputError, match="'adjj' is not known"):
            call()
    for wrong in (archs[0], archs[:, 1:], archs.astype(float)):
        with pytest.raises(InputError, match=f"\\(n, {space.width}\\)"):
            space.keys(wrong)
    assert not space.is_valid(np.full_like(archs, -1)).any()
    assert not space.is_valid(np.full_like(archs, 120)).any()


def test_enumerable_spaces_number_their_architectures(space):
    if not isinstance(space, Enumerable):
        assert space.size is None or space.size > 10**9
        return
    numbers = numpy_generator(0, "numbers").integers(space.size, size=100)
    assert (space.index(space.archs(numbers)) == numbers).all()
    assert space.archs(numbers.reshape(10, 10)).shape == (10, 10, space.width)
