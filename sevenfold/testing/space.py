"""The contract of a search space."""

import numpy as np

from sevenfold.errors import InputError
from sevenfold.nas.spaces.base import Enumerable, Ints, Space
from sevenfold.seeding import numpy_generator
from sevenfold.testing.contract import Check, require, run_checks


def check_space(space: Space | type[Space]) -> None:
    """Check that a space draws, changes, names and encodes its architectures consistently.

    Args:
        space: an instance, or a class whose options all have defaults.

    >>> from sevenfold.nas.spaces.nb201 import NB201
    >>> check_space(NB201())
    """
    run_checks(CHECKS, space() if isinstance(space, type) else space)


def samples_are_valid_and_follow_their_stream(space: Space) -> None:
    """Samples are valid rows of small integers that depend on the generator alone."""
    for method in space.samplings:
        archs = space.sample(numpy_generator(0, "sample"), 50, method=method)
        again = space.sample(numpy_generator(0, "sample"), 50, method=method)
        other = space.sample(numpy_generator(1, "sample"), 50, method=method)
        require(archs.shape == (50, space.width), f"'{method}' gives {archs.shape}.")
        require(archs.dtype.kind == "i", f"'{method}' gives {archs.dtype}, not signed integers.")
        require(space.is_valid(archs).all(), f"'{method}' draws architectures that is_valid refuses.")
        require((archs == again).all(), f"'{method}' draws others from an equal generator.")
        require((archs != other).any(), f"'{method}' draws the same from another generator.")
        require(len(space.sample(numpy_generator(0, "sample"), 0, method=method)) == 0, "0 samples are none.")


def mutations_are_valid_and_leave_the_parents_alone(space: Space) -> None:
    """Children are valid, differ from their parents in at least a tenth of cases, and follow the stream."""
    parents = space.sample(numpy_generator(0, "parents"), 80)
    before = parents.copy()
    for kind in space.mutations:
        children = space.mutate(parents, numpy_generator(0, "mutate"), kind=kind)
        again = space.mutate(parents, numpy_generator(0, "mutate"), kind=kind)
        require(children.shape == parents.shape, f"'{kind}' gives {children.shape} for {parents.shape}.")
        require(space.is_valid(children).all(), f"'{kind}' gives invalid children.")
        require((children == again).all(), f"'{kind}' gives others from an equal generator.")
        # Some mutations give the parent back where a move is invalid; nine in ten would be a search that
        # stands still.
        require((children != parents).any(1).mean() > 0.1, f"'{kind}' hardly changes anything.")
        require((parents == before).all(), f"'{kind}' changes the parents in place.")


def neighbors_are_valid_and_different(space: Space) -> None:
    """Neighbors are valid, all different, without the architecture itself, always in the same order."""
    for arch in space.sample(numpy_generator(0, "neighbors"), 5):
        for kind in space.neighborhoods:
            others = space.neighbors(arch, kind=kind)
            require(others.ndim == 2 and len(others) > 0, f"'{kind}' gives {others.shape}.")
            require(space.is_valid(others).all(), f"'{kind}' gives invalid ones.")
            require(len(np.unique(others, axis=0)) == len(others), f"'{kind}' repeats some.")
            require((others != arch).any(1).all(), f"'{kind}' contains the architecture itself.")
            require((others == space.neighbors(arch[None], kind=kind)).all(), f"'{kind}' changes its order.")


def keys_name_architectures(space: Space) -> None:
    """Keys are int64, equal for equal rows, and every notation keeps them."""
    archs = space.sample(numpy_generator(0, "keys"), 60)
    keys = space.keys(archs)
    require(keys.shape == (60,) and keys.dtype == np.int64, f"Keys are {keys.dtype} {keys.shape}.")
    require((space.keys(archs[::-1]) == keys[::-1]).all(), "A key depends on the other rows.")
    require(len(np.unique(keys)) > 1, "All keys are equal.")
    for notation in space.notations:
        texts = space.to_strings(archs, notation=notation)
        read = space.from_strings(texts, notation=notation)
        require((space.keys(read) == keys).all(), f"'{notation}' does not give the same keys back.")
        require(
            len(space.from_strings([], notation=notation)) == 0, f"'{notation}' reads something of nothing."
        )


def integer_types_mean_the_same(space: Space) -> None:
    """Rows of any integer type are the same architectures."""
    archs = space.sample(numpy_generator(0, "types"), 40)
    for dtype in (np.int64, np.uint8):
        other: Ints = archs.astype(dtype)
        require((space.keys(other) == space.keys(archs)).all(), f"{dtype.__name__} has other keys.")
        require(space.is_valid(other).all(), f"{dtype.__name__} is not valid.")
        require(space.to_strings(other) == space.to_strings(archs), f"{dtype.__name__} is written otherwise.")


def parts_encode_every_architecture(space: Space) -> None:
    """The coordinates of the adjacency encoding have one row for each architecture, in its order."""
    archs = space.sample(numpy_generator(0, "encodings"), 7)
    parts, single = space.parts(archs), space.parts(archs[2:3])
    require(len(parts) > 0 and all(len(part.values) == 7 for part in parts), "Parts lack rows.")
    require(
        all((part.values[2:3] == one.values).all() for part, one in zip(parts, single, strict=True)),
        "A row depends on the others.",
    )


def mistakes_are_refused(space: Space) -> None:
    """Unknown names and wrong shapes raise InputError; foreign codes are not valid."""
    rng, archs = np.random.default_rng(0), space.sample(np.random.default_rng(0), 3)
    calls = {
        "sample": lambda: space.sample(rng, 1, method="adjj"),
        "mutate": lambda: space.mutate(archs, rng, kind="adjj"),
        "neighbors": lambda: space.neighbors(archs[0], kind="adjj"),
        "to_strings": lambda: space.to_strings(archs, notation="adjj"),
        "keys of a wrong width": lambda: space.keys(archs[:, 1:]),
        "keys of floats": lambda: space.keys(archs.astype(float)),
    }
    for name, call in calls.items():
        try:
            call()
        except InputError:
            continue
        require(False, f"{name} takes what it should refuse.")
    require(not space.is_valid(np.full_like(archs, -1)).any(), "is_valid takes negative codes.")
    require(not space.is_valid(np.full_like(archs, 120)).any(), "is_valid takes codes that are too large.")


def numbers_lead_back(space: Space) -> None:
    """Where architectures are numbered, the number of an architecture gives it back."""
    if isinstance(space, Enumerable):
        numbers = numpy_generator(0, "numbers").integers(space.size or 1, size=100)
        require((space.index(space.archs(numbers)) == numbers).all(), "index(archs(i)) is not i.")


CHECKS: tuple[Check, ...] = (
    samples_are_valid_and_follow_their_stream,
    mutations_are_valid_and_leave_the_parents_alone,
    neighbors_are_valid_and_different,
    keys_name_architectures,
    integer_types_mean_the_same,
    parts_encode_every_architecture,
    mistakes_are_refused,
    numbers_lead_back,
)
