"""An exact test of whether a run is one more of the same kind: what trainings can be asked on any processor.

Processors round differently, and training amplifies rounding without bound, so figures of a training cannot
be compared with recorded ones to a tolerance. What must hold everywhere is that a training repeated
elsewhere is one more draw of the same law.
"""

import numpy as np
from scipy.stats import rankdata


def exchangeable_p(new: np.ndarray, others: np.ndarray) -> float:
    """Return the two-sided p-value of ``new`` (n,) as one more run beside ``others`` (k, n) of n problems.

    If the k + 1 runs of each problem are exchangeable, the rank of the new one is a uniform draw of their
    k + 1 midranks, independent between problems; the law of the sum of ranks is computed by convolution, so
    the level is exact whatever the figures' distribution. The smallest p-value possible is 2 / (k + 1)^n.
    """
    ranks = np.rint(2 * rankdata(np.vstack([new, others]), axis=0)).astype(int)  # doubled: midranks are whole
    law = np.ones(1)
    for column in ranks.T:
        law = np.convolve(law, np.bincount(column) / len(column))
    total = ranks[0].sum()
    return float(min(1.0, 2 * min(law[: total + 1].sum(), law[total:].sum())))
