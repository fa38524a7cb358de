import pytest
import torch

from sevenfold.deq.base import Stop
from sevenfold.flow.analysis import converge, radius_at
from sevenfold.flow.deq_flow import DEQFlow
from sevenfold.flow.metrics import EndPointError
from sevenfold.flow.padding import pad, unpad
from sevenfold.flow.raft import RAFT
from sevenfold.seeding import torch_generator

SIZE = (30, 42)


@pytest.fixture(scope="module")
def pair():
    stream = torch_generator(0, "pair")
    images = torch.rand(2, 2, 3, *SIZE, generator=stream)
    flow = torch.randn(2, 2, *SIZE, generator=stream)
    return images[0], images[1], flow, torch.rand(2, *SIZE, generator=stream) > 0.3


def padded(network, pair):
    image1, added = pad(pair[0], network.stride)
    return image1, pad(pair[1], network.stride)[0], added


@pytest.mark.parametrize("solver", ["fixed_point", "anderson", "broyden"])
def test_a_curve_ends_where_the_network_with_that_solver_does(solver, pair):
    torch.manual_seed(0)
    network = DEQFlow(variant="demo", solver={"name": solver}, stop=Stop(mode="rel", tol=0.0)).eval()
    image1, image2, added = padded(network, pair)
    with torch.inference_mode():
        f = network.recurrence(image1, image2)
        curve, state = converge(network, f, *pair[2:], solver=solver, steps=[1, 3, 6], added=added)
        estimate = network(image1, image2, iterations=6)
    assert curve.residual.shape == (6, 2) and curve.epe.shape == (3, 2)
    assert torch.allclose(state[1], estimate.state[1], atol=1e-5)
    torch.testing.assert_close(curve.residual, estimate.solution.trace_rel)
    for i in range(2):
        metric = EndPointError()
        metric.update(unpad(estimate.flows[-1], added)[i : i + 1], pair[2][i : i + 1], pair[3][i : i + 1])
        assert float(curve.epe[-1, i]) == pytest.approx(float(metric.compute()), rel=1e-5)


def test_unrolled_networks_have_curves_too(pair):
    torch.manual_seed(0)
    network = RAFT(variant="demo").eval()
    image1, image2, added = padded(network, pair)
    with torch.inference_mode():
        f = network.recurrence(image1, image2)
        _, state = converge(
            network, f, *pair[2:], solver="fixed_point", steps=[5], added=added, returned="last"
        )
        assert torch.allclose(state[1], network(image1, image2, iterations=5).state[1], atol=1e-5)


def test_spectral_radius_in_evaluation_is_that_of_the_jacobian():
    torch.manual_seed(0)
    network = DEQFlow(variant="demo").eval().double()
    stream = torch_generator(1, "small")
    image1, image2 = torch.rand(2, 1, 3, 16, 16, generator=stream, dtype=torch.float64)
    f = network.recurrence(image1, image2)
    hidden, flow = f(f.start)
    with torch.inference_mode():
        inputs = [part.detach().clone() for part in (image1, image2)]
        found = radius_at(
            network, *inputs, (hidden.detach(), flow.detach()), seed=torch_generator(2), iterations=300
        )
    sizes = (hidden.numel(), flow.numel())

    def flat(z):
        h, c = z.split(sizes)
        return torch.cat([part.flatten() for part in f((h.view_as(hidden), c.view_as(flow)))])

    z = torch.cat([hidden.flatten(), flow.flatten()]).detach()
    jacobian = torch.autograd.functional.jacobian(flat, z)
    assert float(found) == pytest.approx(float(torch.linalg.eigvals(jacobian).abs().max()), rel=0.02)
