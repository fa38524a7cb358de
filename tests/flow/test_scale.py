"""The law of the error that a network may predict: its loss, its maps, their training."""

import numpy as np
import pytest
import torch

from sevenfold.flow import DEQFlow
from sevenfold.flow.losses import Scale, mixture_of_laplace
from sevenfold.flow.network import Design
from sevenfold.flow.options import Optim, Training
from sevenfold.flow.training import flow_loss, parameter_groups


def law(a, b):
    a, b = (torch.tensor(x, dtype=torch.float64).view(1, 1, -1) for x in (a, b))
    return Scale(a, b)


def loss(a, b, d):
    """The loss of one pixel whose components both have the error d."""
    error = torch.as_tensor(d, dtype=torch.float64).view(1, 1, 1, -1).expand(1, 2, 1, -1)
    return mixture_of_laplace(law(a, b), error, torch.ones(1, 1, error.shape[-1]))


def test_equals_numpy():
    random = np.random.default_rng(0)
    a, b, d = random.normal(0, 3, 1000), random.uniform(0, 10, 1000), random.exponential(5, 1000)
    alpha = 1 / (1 + np.exp(-a))
    expected = -np.log(alpha / 2 * np.exp(-d) + (1 - alpha) / (2 * np.exp(b)) * np.exp(-d * np.exp(-b)))
    found = [float(loss([x], [y], [z])) for x, y, z in zip(a, b, d, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("b", [0.0, 10.0])
@pytest.mark.parametrize("a", [-40.0, 0.0, 40.0])
def test_is_finite_for_the_largest_errors(a, b):
    assert np.isfinite(float(loss([a], [b], [1e4])))


def test_a_sure_pixel_pays_its_error():
    assert float(loss([60.0], [3.0], [2.5])) == pytest.approx(2.5 + np.log(2), abs=1e-9)


def test_derivatives_are_those_of_finite_differences():
    stream = torch.Generator().manual_seed(0)
    a, b, d = (torch.randn(1, 2, 3, generator=stream, dtype=torch.float64) for _ in range(3))
    error = torch.stack([d, 2 * d], 1).requires_grad_()
    inputs = (a.requires_grad_(), (b.abs() + 0.1).detach().requires_grad_(), error)
    assert torch.autograd.gradcheck(
        lambda a, b, e: mixture_of_laplace(Scale(a, b), e, torch.ones(1, 2, 3)), inputs
    )


def test_expected_error_is_the_integral_of_the_law():
    d = np.linspace(0, 4000, 4_000_001)
    for a, b in ((-1.0, 2.0), (2.0, 4.0), (0.0, 0.0)):
        alpha = 1 / (1 + np.exp(-a))
        density = alpha * np.exp(-d) + (1 - alpha) * np.exp(-b) * np.exp(-d * np.exp(-b))
        integral = np.trapezoid(d * density, d)
        found = float(Scale(torch.tensor([[[a]]]), torch.tensor([[[b]]])).expected())
        assert found == pytest.approx(integral, rel=1e-4)


def test_pixels_without_truth_do_not_count():
    error = torch.full((1, 2, 1, 2), 1.0)
    error[..., 1] = torch.nan
    valid = torch.tensor([[[True, False]]])
    scale = law([0.0, 0.0], [1.0, 1.0])
    alone = mixture_of_laplace(law([0.0], [1.0]), error[..., :1], valid[..., :1])
    assert torch.equal(mixture_of_laplace(scale, error, valid), alone)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return DEQFlow(variant="demo", design=Design(scale=True))


def pair():
    stream = torch.Generator().manual_seed(1)
    return torch.rand(2, 1, 3, 32, 40, generator=stream)


def test_maps_are_those_of_the_last_flow(network):
    estimate = network.eval()(*pair(), iterations=3)
    assert estimate.scale is not None
    for part in estimate.scale:
        assert part.shape == (1, 32, 40) and part.isfinite().all()
    assert (estimate.scale.log_scale >= 0).all() and (estimate.scale.log_scale <= 10).all()
    assert DEQFlow(variant="demo").eval()(*pair(), iterations=3).scale is None


def test_the_law_is_trained_late_and_does_not_touch_the_flow(network):
    image1, image2 = pair()
    target, valid = torch.ones(1, 2, 32, 40), torch.ones(1, 32, 40, dtype=torch.bool)
    gradients = {}
    for late in (False, True):
        network.zero_grad()
        f = network.recurrence(image1, image2)
        estimate = network.estimate(f, iterations=6, scale=late)
        flow_loss(estimate, target, valid, gamma=0.8, rules=Training(), late=late).backward()
        gradients[late] = {
            n: None if p.grad is None else p.grad.clone() for n, p in network.named_parameters()
        }
    for name, gradient in gradients[True].items():
        if name.startswith("scale_predictor"):
            assert gradients[False][name] is None and gradient.abs().sum() > 0
        else:
            torch.testing.assert_close(gradient, gradients[False][name], rtol=1e-5, atol=1e-7)


def test_the_maps_have_a_cycle_of_their_own(network):
    groups, factors = parameter_groups(network, Optim(warmup=0.1), 100)
    assert len(groups) == 2
    assert {id(p) for group in groups for p in group["params"]} == {id(p) for p in network.parameters()}
    flow, maps = factors
    assert flow(10) == 1.0 and flow(100) == 0.0
    assert maps(79) == 0.0 and maps(80) == 1 / 25 and maps(82) == 1.0 and maps(100) == 0.0
    assert len(parameter_groups(DEQFlow(variant="demo"), Optim(), 100)[0]) == 1
