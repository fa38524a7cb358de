"""Which candidates widen a front most, by draws from the models of several losses."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.nas.pareto import front, improvement

Floats = NDArray[np.floating]

REFERENCE = 1.3  # in normal scores: worse than nine of ten evaluations


def widen(points: Floats, mean: Floats, std: Floats, k: int, rng: Generator) -> NDArray[np.int64]:
    """Return the ``k`` candidates, one after another, that a draw of their losses prefers.

    Two losses: the greatest exact gain of hypervolume over the front. More: the least weighted Chebyshev
    distance for random weights.

    Args:
        points: losses of the evaluations (n, m), as normal scores.
        mean: predicted losses of the candidates (c, m), in the same unit.
        std: standard deviations of the predictions (c, m).
        k: candidates to choose.
        rng: stream of the draws.

    >>> points, spread = np.array([[-1.0, 1.0], [1.0, -1.0]]), np.full((3, 2), 1e-9)
    >>> mean = np.array([[1.0, 1.0], [-1.5, -1.5], [0.0, 0.0]])
    >>> widen(points, mean, spread, 1, np.random.default_rng(0)).tolist()
    [1]
    """
    edge, left = points[front(points)], np.arange(len(mean))
    picks: list[int] = []
    while len(picks) < k and len(left):
        # Thompson sampling: one draw of every candidate's losses from its own normal distributions.
        drawn = mean[left] + std[left] * rng.standard_normal((len(left), mean.shape[1]))
        score = -improvement(edge, drawn, [REFERENCE] * 2) if mean.shape[1] == 2 else _chebyshev(drawn, rng)
        place = int(score.argmin())
        picks.append(int(left[place]))
        edge, left = np.vstack([edge, drawn[place]]), np.delete(left, place)
    return np.array(picks, np.int64)


def _chebyshev(drawn: Floats, rng: Generator) -> Floats:
    """Return max_j w_j (d_j + 3) + .05 sum_j w_j (d_j + 3), ParEGO's augmented distance (Knowles 2006)."""
    weights = rng.dirichlet(np.ones(drawn.shape[1]))
    # Scores are hardly below -3: the ideal point of most fronts.
    terms = weights * (drawn + 3)
    return np.asarray(terms.max(1) + 0.05 * terms.sum(1))
