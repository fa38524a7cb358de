"""The test of exchangeability: its level by enumeration, its power."""

import itertools

import numpy as np
import pytest
from exchangeable import exchangeable_p

from sevenfold.seeding import numpy_generator


@pytest.mark.parametrize("ties", [False, True])
def test_the_level_is_exact(ties: bool) -> None:
    """Every choice of the new run among three, in five problems, is equally likely: count those below p."""
    runs = numpy_generator(0, "exchangeable", int(ties)).normal(size=(3, 5)).round(0 if ties else 9)
    found = []
    for choice in itertools.product(range(3), repeat=5):
        new = runs[choice, range(5)]
        others = np.stack([np.delete(runs[:, i], c) for i, c in enumerate(choice)], axis=1)
        found.append(exchangeable_p(new, others))
    for level in (0.01, 0.05, 0.2, 0.5):
        assert np.mean(np.array(found) <= level) <= level + 1e-12
    assert min(found) < 0.1


def test_a_shift_is_noticed_and_a_difference_between_problems_is_not() -> None:
    stream = numpy_generator(1, "exchangeable")
    problems = 100 * stream.normal(size=16)
    runs = problems + stream.normal(size=(3, 16))
    assert exchangeable_p(runs[0] + 10, runs[1:]) == pytest.approx(2 / 3**16)
    assert exchangeable_p(runs[0] - 10, runs[1:]) == pytest.approx(2 / 3**16)
    assert exchangeable_p(np.zeros(4), np.zeros((2, 4))) == 1
