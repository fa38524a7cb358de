"""Multipliers of the linear program whose solution is the best rule without the attribute.

    max over d of mean(u d)  with  |mean(b_j d)| <= eps,  0 <= d <= 1

Its dual variables are the multipliers of the bias score (duality; Chen, Klochkov & Liu 2024).
"""

import numpy as np
import torch
from torch import Tensor


def plug_in_multipliers(u: Tensor, b: Tensor, epsilon: float, most: int = 4000) -> Tensor:
    """Return the multipliers (J,) of the plug-in program of rows u (n,) and b (n, J).

    Args:
        u: what deciding 1 about a row is worth.
        b: what it adds to each difference of rates.
        epsilon: bound on every difference.
        most: rows of the program; of more rows an even share is taken.

    Example:
        >>> u, b = torch.tensor([1.0, 0.5, -0.2]), torch.tensor([[1.0], [-1.0], [0.0]])
        >>> plug_in_multipliers(u, b, 0.5).abs().tolist()
        [0.0]
    """
    from scipy.optimize import linprog

    every = max(1, -(-len(u) // most))
    value, bias = u[::every].double().cpu().numpy(), b[::every].double().cpu().numpy()
    n = len(value)
    # the multipliers belong to means: sums would scale them by n
    both = np.concatenate([bias.T, -bias.T]) / n
    solution = linprog(-value / n, A_ub=both, b_ub=np.full(len(both), epsilon), bounds=(0, 1), method="highs")
    # minimizing -mean(u d): the marginals of A d <= eps are minus the dual variables
    dual = -solution.ineqlin.marginals
    return torch.as_tensor(dual[: b.shape[1]] - dual[b.shape[1] :], dtype=torch.float64)
