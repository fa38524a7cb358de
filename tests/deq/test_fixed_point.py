"""Plain iteration is what it says."""

import pytest
import torch

from sevenfold.deq.base import Stop
from sevenfold.deq.driver import solve
from sevenfold.deq.plain import FixedPoint


@pytest.mark.parametrize("damping", [1.0, 0.4])
def test_iterates(contraction, damping):
    problem = contraction(size=6)
    seen = []

    def f(z):
        seen.append(z[0].clone())
        return problem.f(z)

    solve(f, problem.z0, FixedPoint(damping=damping), max_iter=6, stop=Stop(tol=0))
    z = problem.z0[0]
    for point in seen:
        torch.testing.assert_close(point, z)
        z = (1 - damping) * z + damping * problem.f((z,))[0]


@pytest.mark.parametrize("damping", [0.0, -1.0, 1.5])
def test_bad_damping_is_refused(damping):
    with pytest.raises(ValueError, match="damping"):
        FixedPoint(damping=damping)
