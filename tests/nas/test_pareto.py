"""Fronts, ranks and hypervolumes against their definitions and inclusion and exclusion."""

from itertools import combinations

import numpy as np
import pytest

from sevenfold.errors import InputError
from sevenfold.nas.pareto import crowding, front, hypervolume, improvement, ranks


def dominates(a, b):
    return (a <= b).all() and (a < b).any()


def volume_by_inclusion_and_exclusion(points, reference):
    total = 0.0
    for size in range(1, len(points) + 1):
        for chosen in combinations(points, size):
            corner = np.max(chosen, axis=0)
            total += (-1) ** (size + 1) * np.prod(np.maximum(0, reference - corner))
    return total


@pytest.mark.parametrize("losses", [2, 3, 4])
def test_fronts_and_ranks_equal_their_definition(losses):
    random = np.random.default_rng(losses)
    for _ in range(40):
        points = random.integers(0, 5, (12, losses)).astype(float)
        points[random.random(12) < 0.1, 0] = np.nan
        known = [k for k in range(12) if not np.isnan(points[k]).any()]
        expected = [k in known and not any(dominates(points[j], points[k]) for j in known) for k in range(12)]
        assert front(points).tolist() == expected
        left, rank, slow = set(known), 0, np.full(12, -1)
        while left:
            best = {k for k in left if not any(dominates(points[j], points[k]) for j in left)}
            slow[list(best)], left, rank = rank, left - best, rank + 1
        slow[slow < 0] = rank
        assert ranks(points).tolist() == slow.tolist()


@pytest.mark.parametrize("losses", [2, 3])
def test_volumes_equal_inclusion_and_exclusion_exactly(losses):
    random = np.random.default_rng(losses)
    reference = np.full(losses, 6.0)
    for count in range(9):
        for _ in range(8):  # duplicates, points on and beyond the reference occur often among so few integers
            points = random.integers(0, 9, (count, losses)).astype(float)
            expected = volume_by_inclusion_and_exclusion(points, reference)
            assert hypervolume(points, reference) == expected
    assert hypervolume(np.full((2, losses), np.nan), reference) == 0


def test_an_improvement_is_the_difference_of_two_volumes():
    random = np.random.default_rng(0)
    for count in (0, 1, 3, 10):
        points, candidates = random.random((count, 2)), 1.4 * random.random((50, 2))
        gains = improvement(points, candidates, [1.1, 1.2])
        before = hypervolume(points, [1.1, 1.2])
        after = [hypervolume(np.vstack([points, row]), [1.1, 1.2]) for row in candidates]
        assert gains == pytest.approx(np.array(after) - before, abs=1e-12)
    assert improvement([[0.5, 0.5]], [[np.nan, 0.1]], [1, 1]).tolist() == [0]


def test_volumes_of_three_losses_in_blocks_equal_slices():
    random = np.random.default_rng(1)
    points = random.random((2500, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)  # all on the front, or nearly so
    points = 1.5 - points
    heights = np.linspace(points[:, 2].min(), 2.0, 4001)
    middle = (heights[1:] + heights[:-1]) / 2
    slices = sum(
        hypervolume(points[points[:, 2] < z, :2], [2, 2]) * (heights[1] - heights[0]) for z in middle
    )
    assert hypervolume(points, [2, 2, 2]) == pytest.approx(slices, rel=1e-3)


def test_crowding_ends_are_infinite_and_the_rest_is_the_gap():
    assert crowding([[0, 4], [1, 2], [2, 1], [4, 0]]).tolist() == [np.inf, 1.25, 1.25, np.inf]
    assert crowding([[1, 1], [1, 1], [1, 1]])[1] == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: front([1.0, 2.0]), r"expected \(n, m\)"),
        (lambda: hypervolume(np.zeros((2, 4)), np.ones(4)), "two or three"),
        (lambda: hypervolume(np.zeros((2, 2)), [1.0]), "one a loss"),
        (lambda: hypervolume(np.zeros((2, 2)), [1.0, np.inf]), "finite"),
        (lambda: improvement(np.zeros((2, 3)), np.zeros((2, 3)), np.ones(3)), "exact for two"),
        (lambda: crowding([[np.nan, 1.0], [0.0, 2.0]]), "NaN"),
    ],
)
def test_misuse_ends_in_one_line(call, message):
    with pytest.raises(InputError, match=message):
        call()
