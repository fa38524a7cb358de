"""The contract of a debiasing method that changes a network's weights."""

import copy
import functools

import torch
from torch import Tensor, nn

from sevenfold.fairness.intra.base import Method, Problem, figures_at
from sevenfold.fairness.network import Logits
from sevenfold.fairness.objective import Objective
from sevenfold.testing.contract import Check, require, run_checks

ROWS = 400


def check_method(method: Method | type[Method]) -> None:
    """Check that a method leaves its input alone, reports what its weights do, and beats the threshold.

    Args:
        method: an instance, or a class whose options all have defaults.

    >>> from sevenfold.fairness.intra.controls import ThresholdOnly
    >>> check_method(ThresholdOnly())
    """
    run_checks(CHECKS, method() if isinstance(method, type) else method)


def problem(seed: int = 0) -> Problem:
    """Return 400 rows whose label and second column depend on the group, and a network fitted to them."""
    return copy.deepcopy(_fitted(seed))


@functools.cache
def _fitted(seed: int) -> Problem:
    generator = torch.Generator().manual_seed(seed)
    a = torch.arange(ROWS) % 2
    x = torch.randn(ROWS, 4, generator=generator)
    x[:, 1] += 1.5 * a
    score = x[:, 0] + x[:, 1] + 0.5 * torch.randn(ROWS, generator=generator)
    y = (score > score.median()).long()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(network(x)[:, 0], y.float()).backward()
        optimizer.step()
    return Problem(Logits(network), x, y, a, Objective(), seed=seed)


def weights(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of everything in a module's state."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def input_is_untouched(method: Method) -> None:
    """The network given keeps its weights, modes and gradients; the global random state stays."""
    given = problem()
    given.network.train()
    before, stream = weights(given.network), torch.get_rng_state()
    modes = [part.training for part in given.network.modules()]
    gradients = [parameter.requires_grad for parameter in given.network.parameters()]
    method.fit(given)
    after = weights(given.network)
    require(all(torch.equal(before[name], after[name]) for name in before), "Its weights have changed.")
    require([part.training for part in given.network.modules()] == modes, "Its modes have changed.")
    require([p.requires_grad for p in given.network.parameters()] == gradients, "requires_grad has changed.")
    require(torch.equal(torch.get_rng_state(), stream), "The global random state has moved.")


def record_is_what_the_weights_do(method: Method) -> None:
    """The figures reported are those of a fresh copy with the weights and the threshold of the result."""
    given = problem()
    result = method.fit(given)
    # A copy that never saw the method: caches and hooks cannot help it.
    fresh = copy.deepcopy(given.network if result.network is None else result.network)
    if result.network is None:
        fresh.load_state_dict({**fresh.state_dict(), **result.state})
    with torch.no_grad():
        again = figures_at(given, fresh.eval()(given.x), result.threshold)
    reported, real = (result.rho, result.mu), (float(again.rho[0]), float(again.mu[0]))
    close = all(abs(one - other) < 1e-6 for one, other in zip(reported, real, strict=True))
    require(close, f"Accuracy and bias {reported} are reported; the weights have {real}.")
    require(result.met == (abs(result.mu) < given.objective.epsilon), "'met' does not say what mu says.")


def seed_decides(method: Method) -> None:
    """The same problem and seed give the same weights."""
    one, again = method.fit(problem()), method.fit(problem())
    require(one.threshold == again.threshold, "The thresholds differ.")
    same = all(torch.equal(one.state[name], again.state[name]) for name in one.state)
    require(same, "The weights differ.")


def no_worse_than_the_threshold(method: Method) -> None:
    """On its own rows the objective is at least that of moving the base network's threshold."""
    from sevenfold.fairness.intra.controls import ThresholdOnly

    # Moving the threshold is in every method's reach, so that less is a fault of its search.
    control, result = ThresholdOnly().fit(problem()), method.fit(problem())
    require(
        result.phi >= control.phi - 1e-9,
        f"The objective is {result.phi:.4f}, the control's {control.phi:.4f}.",
    )


CHECKS: tuple[Check, ...] = (
    input_is_untouched,
    record_is_what_the_weights_do,
    seed_decides,
    no_worse_than_the_threshold,
)
