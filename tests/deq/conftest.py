"""Contractions with known properties, shared by the tests of this folder."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from sevenfold.config import build
from sevenfold.deq import SOLVERS, preflight
from sevenfold.deq.base import Solver


@pytest.fixture(autouse=True)
def unchecked_maps() -> None:
    """Let every test meet its maps for the first time."""
    preflight.passed.clear()


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(params=SOLVERS)
def solver(request) -> Solver:
    """Each solver of the table with its defaults."""
    return build(SOLVERS, {"name": request.param}, "solver")


@pytest.fixture
def contraction() -> Callable[..., SimpleNamespace]:
    """Return a maker of z -> W z + b or tanh(W z + b), W symmetric of a given spectral radius, b small."""

    def make(kind="tanh", radius=0.9, *, size=64, batch=4, dtype=torch.float64):
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(size, size, generator=generator, dtype=torch.float64)
        weight = weight + weight.T
        weight = (weight / torch.linalg.eigvalsh(weight).abs().max() * radius).to(dtype)
        bias = (0.1 * torch.randn(batch, size, generator=generator, dtype=torch.float64)).to(dtype)
        squash = {"tanh": torch.tanh, "linear": torch.nn.Identity()}[kind]

        def f(z, index=None):
            return (squash(z[0] @ weight.T + (bias if index is None else bias[index])),)

        zero = (torch.zeros(batch, size, dtype=dtype),)
        return SimpleNamespace(f=f, z0=zero, weight=weight, bias=bias, squash=squash)

    return make


@pytest.fixture
def count():
    """Wrap f so that it counts its calls and the samples evaluated."""

    def wrap(f):
        def counted(*args):
            counted.calls += 1
            counted.samples += len(args[0][0])
            return f(*args)

        counted.calls = counted.samples = 0
        return counted

    return wrap
