"""Norms on the weights of f: their formulas, and that one evaluation serves a whole solve."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.optim.swa_utils import AveragedModel

from sevenfold.deq.layer import DEQ
from sevenfold.deq.norm import frozen_weights, normalize


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, (1, 5), padding=(0, 2)))


def test_weight_norm_is_g_v_over_its_length_per_output():
    plain = network()
    normed = normalize(copy.deepcopy(plain), "weight")
    for before, after in zip((plain[0], plain[2]), (normed[0], normed[2]), strict=True):
        torch.testing.assert_close(after.weight, before.weight)  # the map is unchanged at first
        g, v = after.parametrizations.weight.original0, after.parametrizations.weight.original1
        assert g.shape == (len(v), 1, 1, 1)
        with torch.no_grad():
            g.mul_(2)
            v.mul_(3)
        torch.testing.assert_close(after.weight.flatten(1).norm(dim=1), g.flatten())
        torch.testing.assert_close(after.weight, 2 * before.weight)


def test_spectral_norm_has_spectral_norm_one():
    module = normalize(nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 6)), "spectral")
    for _ in range(50):
        module(torch.zeros(1, 6))
    for layer in module:
        assert abs(torch.linalg.matrix_norm(layer.weight.detach(), 2).item() - 1) < 1e-3


def test_none_changes_nothing_and_mistakes_are_refused():
    plain = network()
    assert normalize(plain, "none").state_dict().keys() == network().state_dict().keys()
    with pytest.raises(ValueError, match="expected 'weight'"):
        normalize(plain, "batch")
    normalize(plain, "weight")
    with pytest.raises(ValueError, match="once"):
        normalize(plain, "weight")


@pytest.fixture
def evaluations(monkeypatch):
    """Count how often any parametrized weight is computed."""
    counts = []
    original = parametrize.ParametrizationList.forward
    monkeypatch.setattr(
        parametrize.ParametrizationList, "forward", lambda self: (counts.append(1), original(self))[1]
    )
    return counts


@pytest.mark.parametrize("backward", ["phantom", "implicit"])
def test_one_evaluation_serves_the_solve_and_its_gradient(evaluations, backward):
    net = normalize(network(), "weight")
    layer = DEQ(max_iter=8, backward={"name": backward})
    x = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))

    def run():
        states, _ = layer(lambda z: (0.1 * net(z[0]) + x,), (torch.zeros_like(x),))
        return torch.autograd.grad(states[-1][0].square().sum(), list(net.parameters()))

    evaluations.clear()
    with frozen_weights(net):
        frozen = run()
    assert len(evaluations) == 2  # one for each layer
    evaluations.clear()
    free = run()
    assert len(evaluations) >= 6
    torch.testing.assert_close(frozen, free)


def test_weights_computed_under_no_grad_do_not_lose_their_gradient():
    """Regression: a cache filled by the solver has no gradient."""
    net = normalize(nn.Linear(3, 3), "weight")
    with frozen_weights(net):
        with torch.no_grad():
            net(torch.ones(1, 3))
        net(torch.ones(1, 3)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_weights_follow_the_parameters_after_the_block():
    net = normalize(nn.Linear(3, 3), "weight")
    with frozen_weights(net):
        before = net.weight
        assert net.weight is before
    with torch.no_grad():
        net.parametrizations.weight.original0.mul_(2)
    torch.testing.assert_close(net.weight, 2 * before)


@pytest.mark.parametrize("kind", ["weight", "spectral"])
def test_survives_copies_averages_and_state_dicts(kind):
    """Regression: a weight kept as a plain attribute is lost or stale after any of these."""
    net = normalize(network(), kind)
    x = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(2))
    with frozen_weights(net):
        net(x)
        twin = copy.deepcopy(net)
    net.eval()
    twin.eval()
    torch.testing.assert_close(twin(x), net(x))
    other = normalize(network(), kind).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(1.5)
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(other(x), net(x))
    average = AveragedModel(net, use_buffers=True)
    average.update_parameters(net)
    torch.testing.assert_close(average.eval()(x), net(x))
    assert not torch.allclose(twin(x), net(x))
