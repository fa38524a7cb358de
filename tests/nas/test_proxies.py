"""Zero-cost proxies against closed forms, finite differences and their definitions."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, relu

from sevenfold.errors import InputError
from sevenfold.nas.proxies import PROXIES, proxies


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4 * 25, 3)

    def forward(self, x):
        return self.head(self.drop(relu(self.norm(self.conv(x)))).flatten(1))


@pytest.fixture
def problem():
    torch.manual_seed(0)
    return Net().double(), torch.randn(7, 1, 5, 5, dtype=torch.float64), torch.arange(7) % 3


def loss_of(network, x, y):
    network = copy.deepcopy(network).train()
    network.drop.eval()
    return cross_entropy(network(x), y)


def test_counts_are_those_of_the_layers(problem):
    values = proxies(*problem, names=["params", "flops"]).values
    assert values == {"params": 4 * 9 + 8 + 303, "flops": 25 * 4 * 9 + 300}


def test_snip_and_grad_norm_equal_finite_differences(problem):
    network, x, y = problem
    slopes, step = [], 1e-6
    for weight in (network.conv.weight, network.head.weight):
        slope = torch.zeros_like(weight)
        for place in np.ndindex(*weight.shape):
            with torch.no_grad():
                value = weight[place].item()
                weight[place] = value + step
                above = loss_of(network, x, y)
                weight[place] = value - step
                slope[place] = (above - loss_of(network, x, y)) / (2 * step)
                weight[place] = value
        slopes.append((weight.detach(), slope))
    values = proxies(network, x, y, names=["snip", "grad_norm"]).values
    assert values["snip"] == pytest.approx(sum((w * s).abs().sum().item() for w, s in slopes), rel=1e-6)
    assert values["grad_norm"] == pytest.approx(sum(s.norm().item() for _, s in slopes), rel=1e-6)


def test_synflow_of_linear_networks_has_a_closed_form():
    torch.manual_seed(1)
    one = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    x, y = torch.randn(3, 12), torch.arange(3)
    expected = one[1].weight.abs().sum().log().item()
    assert proxies(one, x, y, names=["synflow"]).values["synflow"] == pytest.approx(expected, rel=1e-6)
    # Two layers without biases: R = 1' |B| |A| 1 is linear in each, so the sum is twice R.
    two = nn.Sequential(nn.Linear(12, 5, bias=False), nn.BatchNorm1d(5), nn.Linear(5, 4, bias=False))
    expected = math.log(2 * (two[2].weight.abs() @ two[0].weight.abs()).sum().item())
    assert proxies(two, x, y, names=["synflow"]).values["synflow"] == pytest.approx(expected, rel=1e-6)


def test_jacov_and_nwot_equal_their_definitions_by_loops(problem):
    network, x, y = problem
    values = proxies(network, x, y).values
    work = copy.deepcopy(network).train()
    work.drop.eval()
    inputs = x.clone().requires_grad_()
    work(inputs).sum().backward()
    correlation = np.corrcoef(inputs.grad.flatten(1).numpy())
    eigenvalues = np.linalg.eigvalsh(correlation) + 1e-5
    assert values["jacov"] == pytest.approx(-np.sum(np.log(eigenvalues) + 1 / eigenvalues), rel=1e-6)
    work = copy.deepcopy(network).train()
    signs = (work.norm(work.conv(x)) > 0).flatten(1)
    kernel = [[(a == b).sum().item() for b in signs] for a in signs]
    assert values["nwot"] == pytest.approx(np.linalg.slogdet(np.array(kernel, float))[1])


def test_the_order_of_examples_changes_nothing_and_the_network_is_left_alone(problem):
    network, x, y = problem
    before = copy.deepcopy(network.state_dict())
    order = torch.randperm(7, generator=torch.Generator().manual_seed(3))
    one, two = proxies(network, x, y), proxies(network, x[order], y[order])
    assert one.values == pytest.approx(two.values, rel=1e-6) and not one.reasons
    assert set(one.values) == set(PROXIES)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network.training and all(p.grad is None for p in network.parameters())


def test_what_a_network_does_not_have_is_nan_with_a_reason(problem):
    network, x, y = problem
    equal = proxies(network, x[:1].expand(7, -1, -1, -1), y, names=["nwot"])
    assert math.isnan(equal.values["nwot"]) and "determinant is 0" in equal.reasons["nwot"]
    linear = proxies(nn.Sequential(nn.Flatten(), nn.Linear(25, 3)).double(), x, y, names=["nwot", "snip"])
    assert linear.reasons == {"nwot": "the network calls no ReLU"} and linear.values["snip"] > 0
    none = proxies(nn.Flatten(), x, y, names=["snip", "synflow"])
    assert "no trainable weight" in none.reasons["snip"] and math.isnan(none.values["synflow"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ["synflwo"]}, "synflow"),
        ({"inputs": torch.zeros(1, 1, 5, 5)}, "two or more"),
        ({"labels": torch.arange(3)}, "7 inputs and 3 labels"),
        ({"inputs": torch.zeros(7, 1, 5, 5, dtype=torch.uint8)}, "torch.uint8"),
    ],
)
def test_misuse_ends_in_one_line(problem, change, message):
    network, x, y = problem
    with pytest.raises(InputError, match=message):
        proxies(**{"network": network, "inputs": x, "labels": y, **change})
