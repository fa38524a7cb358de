"""The Jacobian's penalty and spectral radius against dense ones."""

import pytest
import torch

from sevenfold.deq.jacobian import jacobian_penalty, spectral_radius
from sevenfold.seeding import torch_generator


def rotation(radius, angle):
    turn = torch.tensor(angle, dtype=torch.float64)
    return radius * torch.stack(
        [torch.stack([turn.cos(), -turn.sin()]), torch.stack([turn.sin(), turn.cos()])]
    )


def test_penalty_is_the_frobenius_norm_on_average():
    weight = torch.randn(6, 6, dtype=torch.float64, generator=torch_generator(0, "w")).requires_grad_()
    z = (torch.zeros(400, 4, dtype=torch.float64), torch.zeros(400, 2, dtype=torch.float64))

    def f(z):
        return torch.cat(z, 1).matmul(weight.T).split([4, 2], 1)

    def exact(w):
        return w.square().sum() / 6

    found = jacobian_penalty(lambda z: tuple(f(z)), z, torch_generator(0, "probes"), probes=20)
    torch.testing.assert_close(found, exact(weight), rtol=0.03, atol=0)
    (gradient,) = torch.autograd.grad(found, weight)
    (expected,) = torch.autograd.grad(exact(weight), weight)
    assert (gradient - expected).norm() < 0.05 * expected.norm()


def test_penalty_of_a_nonlinear_f_lowers_its_jacobian():
    weight = torch.nn.Parameter(1.2 * torch.eye(5, dtype=torch.float64))
    generator, z = torch_generator(0), (torch.full((8, 5), 0.1, dtype=torch.float64),)
    optimizer = torch.optim.SGD([weight], lr=0.5)

    def penalty():
        return jacobian_penalty(lambda z: (torch.tanh(z[0] @ weight.T),), z, generator, probes=2)

    before = float(penalty().detach())
    for _ in range(20):
        optimizer.zero_grad()
        penalty().backward()
        optimizer.step()
    assert float(penalty().detach()) < 0.2 * before


@pytest.mark.parametrize("radius", [0.5, 1.3])
def test_spectral_radius_per_sample_also_for_complex_pairs(radius):
    skew = torch.tensor([[1.0, 3.0], [0.0, 1.0]], dtype=torch.float64)  # growth varies from step to step
    turning = skew @ rotation(radius, 0.7) @ skew.inverse()
    blocks = torch.stack([turning, torch.diag(torch.tensor([-radius, 0.1], dtype=torch.float64))])
    other = torch.zeros(2, dtype=torch.float64)

    def f(z):
        return torch.einsum("bij,bj->bi", blocks, z[0]), 0.2 * z[1] + z[0][:, 0]

    found = spectral_radius(f, (torch.ones(2, 2, dtype=torch.float64), other), torch_generator(0))
    torch.testing.assert_close(found, torch.full((2,), radius, dtype=torch.float64), rtol=0.05, atol=0)


def test_spectral_radius_of_a_constant_is_zero():
    found = spectral_radius(lambda z: (torch.ones(3, 2),), (torch.zeros(3, 2),), torch_generator(0))
    assert (found < 1e-12).all()


def test_bad_counts_are_refused():
    z = (torch.zeros(1, 1),)
    with pytest.raises(ValueError, match="probes"):
        jacobian_penalty(lambda z: z, z, torch_generator(0), probes=0)
    with pytest.raises(ValueError, match="iterations"):
        spectral_radius(lambda z: z, z, torch_generator(0), iterations=1)
