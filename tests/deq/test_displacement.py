"""Residuals in pixels against their plain definition."""

import pytest
import torch

from sevenfold.deq.base import Stop
from sevenfold.deq.displacement import Displacement
from sevenfold.deq.driver import solve
from sevenfold.deq.plain import FixedPoint


def states():
    generator = torch.Generator().manual_seed(0)

    def state():
        return (
            torch.randn(3, 5, 4, 6, generator=generator, dtype=torch.float64),
            20 + torch.randn(3, 2, 4, 6, generator=generator, dtype=torch.float64),
        )

    return state(), state()


@pytest.mark.parametrize("batched", [False, True])
def test_definitions(batched):
    z, fz = states()
    origin = 20 * torch.ones(3 if batched else 1, 2, 4, 6, dtype=torch.float64)
    if batched:
        origin = origin + torch.arange(3)[:, None, None, None]
    measured = Displacement(coords=1, cell=4.0, origin=origin)(z, fz)
    for b in range(3):
        dh, dc = fz[0][b] - z[0][b], fz[1][b] - z[1][b]
        flow = fz[1][b] - origin[b % len(origin)]
        torch.testing.assert_close(measured.abs[b], (dh.square().sum() + dc.square().sum()).sqrt())
        torch.testing.assert_close(measured.norm[b], (fz[0][b].square().sum() + flow.square().sum()).sqrt())
        torch.testing.assert_close(measured.rest[b], dh.norm() / (fz[0][b].norm() + 1e-8))
        torch.testing.assert_close(measured.pixels[b].double(), 4 * dc.norm(dim=0).mean(), rtol=1e-6, atol=0)


def test_remaining_samples_meet_their_own_origin():
    z, fz = states()
    origin = torch.randn(3, 2, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    measure, index = Displacement(origin=origin), torch.tensor([2, 0])
    some = measure(tuple(p[index] for p in z), tuple(p[index] for p in fz), index)
    for found, whole in zip(some, measure(z, fz), strict=True):
        torch.testing.assert_close(found, whole[index])


def test_without_origin_it_is_the_plain_residual():
    """A relative residual on absolute positions hides the motion's error: the reason for the origin."""
    z, fz = states()
    plain = Displacement()(z, fz)
    torch.testing.assert_close(plain.norm, torch.cat([p.flatten(1) for p in fz], 1).norm(dim=1))
    centred = Displacement(origin=torch.full((1, 2, 4, 6), 20.0, dtype=torch.float64))(z, fz)
    assert (plain.rel < 0.2 * centred.rel).all()


@pytest.mark.parametrize("compact", [False, True])
def test_stops_a_solve_in_pixels(compact):
    """c moves halfway to its target each step; h is at rest after two."""
    target = torch.tensor([1.0, 64.0])[:, None, None, None].expand(2, 2, 3, 3).contiguous()
    origin = torch.zeros(1, 2, 3, 3)

    def f(z, index=None):
        goal = target if index is None else target[index]
        return torch.ones_like(z[0]), (z[1] + goal) / 2

    z0 = (torch.zeros(2, 4, 3, 3), torch.zeros(2, 2, 3, 3))
    stop = Stop(mode="pixel", pixel_tol=0.08)
    measure = Displacement(coords=1, cell=8.0, origin=origin)
    solution = solve(f, z0, FixedPoint(), max_iter=30, stop=stop, measure=measure, compact=compact)
    # the k-th step has length 8 * 2^0.5 * goal / 2^k pixels
    assert solution.steps.tolist() == [8, 14] and solution.converged.all()
    assert solution.trace_pixels.shape == solution.trace_rest.shape == (14, 2)
