"""What would go wrong on an accelerator, found without one: results, places, and what the host waits for.

Per-sample Jacobians of ``diffreps`` cannot be tested so: ``torch.func`` does not take such tensors.
"""

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffreps_problems import mixture
from fairness.test_methods import VARIANTS, label
from pretended_device import DEVICE, Elsewhere, home, on_device
from torch import Tensor, nn

from sevenfold.config import build
from sevenfold.deq import SOLVERS
from sevenfold.deq.base import Stop
from sevenfold.deq.correction import Correction
from sevenfold.deq.layer import DEQ
from sevenfold.diffreps.priors.base import Condition
from sevenfold.diffreps.scores import log_likelihood
from sevenfold.fairness import POSTPROCESSORS
from sevenfold.fairness.confusion import counts
from sevenfold.fairness.data.synthetic import Synthetic
from sevenfold.fairness.data.table import split_table
from sevenfold.fairness.debiaser import Debiaser
from sevenfold.fairness.inference import interval
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.training import Training, new_network, train_copies
from sevenfold.flow.deq_flow import DEQFlow
from sevenfold.flow.network import Design
from sevenfold.flow.raft import RAFT
from sevenfold.nas.predictors import PREDICTORS
from sevenfold.nas.predictors.sample import encode
from sevenfold.nas.predictors.training import Training as Fitting
from sevenfold.nas.predictors.training import fit, predict
from sevenfold.nas.spaces.nb201 import NB201
from sevenfold.seeding import numpy_generator

FAR = 4
"""Steps between two looks of a solve on an accelerator."""


@pytest.mark.parametrize(
    "mistake",
    [
        lambda x: x + torch.ones(3),
        lambda x: torch.arange(3)[x.long()],
        lambda x: torch.where(x > 0, x, torch.ones(3)),
        lambda x: x.index_put((torch.tensor([0]),), torch.ones(1)),
        lambda x: x.numpy(),
        lambda x: torch.randn(3, device=x.device, generator=torch.Generator()),
        lambda x: torch.randn(3, generator=torch.Generator(device=x.device)),
        lambda x: nn.Linear(3, 2)(x),
    ],
)
def test_what_an_accelerator_refuses_is_refused(mistake: Callable[[Tensor], Any]) -> None:
    with on_device(), pytest.raises(RuntimeError):
        mistake(torch.zeros(3, device=DEVICE))


def test_what_an_accelerator_allows_gives_the_values_of_the_cpu() -> None:
    with on_device() as world:
        x = torch.arange(6.0, device=DEVICE).view(2, 3)
        found = [x + torch.tensor(1.0), x[torch.tensor([1])], x.T.clone(), torch.tensor([2.0], device=DEVICE)]
        x[0].mul_(2)
        x[:, torch.tensor([2])] = 7.0
        a = torch.randn(2, device=DEVICE, generator=torch.Generator(device=DEVICE).manual_seed(3))
        assert all(isinstance(value, Elsewhere) for value in [*found, x, a]) and world.waits == []
        assert x.tolist() == [[0, 2, 7], [3, 4, 7]] and float(x.sum()) == 23
        assert x[x > 3].shape == (3,) and len((x > 3).nonzero()) == 3
        assert len(world.waits) == 4
    assert torch.equal(home(a), torch.randn(2, generator=torch.Generator().manual_seed(3)))
    assert home(found[1]).tolist() == [[3, 4, 5]] and home(found[2]).shape == (3, 2)


class Contraction(nn.Module):
    """z -> tanh(W z + x), W of norm 0.9."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(16, 16, generator=generator)
        self.weight = nn.Parameter(0.9 * weight / torch.linalg.matrix_norm(weight, 2))
        self.register_buffer("x", torch.randn(3, 16, generator=generator))

    def forward(self, z: tuple[Tensor, ...], index: Tensor | None = None) -> tuple[Tensor, ...]:
        return (torch.tanh(z[0] @ self.weight.T + (self.x if index is None else self.x[index])),)


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("tol", [0.0, 1e-3])
@pytest.mark.parametrize("backward", ["phantom", "implicit"])  # the others iterate in place of the solver
@pytest.mark.parametrize("solver", SOLVERS)
def test_solves_look_every_fourth_step_only(solver: str, backward: str, tol: float, compact: bool) -> None:
    plain, steps = Contraction(), 20
    options = {"solver": {"name": solver}, "backward": {"name": backward}, "stop": Stop(tol=tol)}
    layer = DEQ(**options, max_iter=steps, check=False)
    states, _ = layer(plain, (torch.zeros(3, 16),), compact=compact)
    states[-1][0].square().sum().backward()
    with on_device() as world:
        f = Contraction().to(DEVICE)
        found, _ = layer(f, (torch.zeros(3, 16, device=DEVICE),), compact=compact)
        # one value a look, and where samples are taken out of the batch their number
        assert len(world.waits) <= (steps - 1) // FAR + world.waits.count("nonzero")
        assert world.waits.count("nonzero") <= compact
        world.waits.clear()
        found[-1][0].square().sum().backward()
        # looks of the backward solve, and whether to warn of a failure
        assert len(world.waits) <= 60 // FAR + 1 if backward == "implicit" else not world.waits
    torch.testing.assert_close(home(found[-1][0]), states[-1][0].detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(home(f.weight.grad), plain.weight.grad, rtol=1e-4, atol=1e-5)


def test_a_solve_that_never_looks_never_waits() -> None:
    from sevenfold.deq.anderson import Anderson
    from sevenfold.deq.driver import solve

    with on_device() as world, torch.no_grad():
        f = Contraction().to(DEVICE)
        solve(f, (torch.zeros(3, 16, device=DEVICE),), Anderson(), max_iter=20, check_every=20)
        assert world.waits == []


RULES: dict[str, dict[str, Any]] = {"phantom": {}, "implicit": {}, "unrolled": {"steps": 4}}


def deq(solver: str = "anderson", backward: str = "phantom", variant: str = "demo") -> DEQFlow:
    design = Design(gma=variant == "demo")
    options: dict[str, Any] = {"solver": {"name": solver}, "backward": {"name": backward, **RULES[backward]}}
    return DEQFlow(variant=variant, stop=Stop(tol=0.0), correction=Correction(n=2), design=design, **options)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "raft_small": lambda: RAFT(variant="small"),
    "raft_demo": lambda: RAFT(variant="demo", design=Design()),
    "deq_small": lambda: deq(variant="small"),
    **{f"deq_{s}_{b}": lambda s=s, b=b: deq(s, b) for s in SOLVERS for b in RULES},  # type: ignore[misc]
}
# Every solver and every rule of an equilibrium once; all pairs of them in the slow tests.
TOGETHER = {f"deq_{s}_{b}" for s, b in itertools.zip_longest(SOLVERS, RULES, fillvalue=next(iter(RULES)))}


def case(name: str) -> Any:
    return pytest.param(name, marks=[] if name in TOGETHER or "raft" in name else [pytest.mark.slow])


@pytest.mark.parametrize("name", [case(name) for name in NETWORKS])
def test_flow_trains_and_evaluates_without_waiting(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]().train()
    twin = copy.deepcopy(network)
    size = 128 if name.endswith("small") else 32
    images = torch.rand(2, 1, 3, size, size, generator=torch.Generator().manual_seed(0))
    estimate = network(*images, iterations=4)
    sum(flow.abs().mean() for flow in estimate.flows).backward()
    with on_device() as world:
        twin.to(DEVICE)
        twin(*images.to(DEVICE).unbind(), iterations=4)  # the first call of a mode looks at f
        world.waits.clear()
        found = twin(*images.to(DEVICE).unbind(), iterations=4)
        assert world.waits == []
        sum(flow.abs().mean() for flow in found.flows).backward()
        assert len(world.waits) <= (60 // FAR + 1 if name.endswith("implicit") else 0)
        optimizer = torch.optim.AdamW(twin.parameters(), lr=1e-4)
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        optimizer.step()
        world.waits.clear()
        with torch.no_grad():
            last = twin.eval()(*images.to(DEVICE).unbind(), iterations=4).flows[-1]
        assert world.waits == [] and last.device == DEVICE
    torch.testing.assert_close(home(found.flows[-1]), estimate.flows[-1].detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", PREDICTORS)
def test_predictors_are_fitted_without_waiting(name: str) -> None:
    space, encoding = NB201(), "gcn" if name == "gcn" else "adj_onehot"
    x = torch.stack(
        [encode(space, space.sample(numpy_generator(seed, "cells"), 23), encoding) for seed in (0, 1)]
    )
    options = {"gcn": {"layers": 2, "width": 5, "head": 4, "dropout": 0.2}}.get(name, {"width": 6})
    training = Fitting(epochs=3, batch_size=8, standardize=True, cosine=True, loss="mse")

    def trained(x: Tensor) -> Tensor:
        node = {"name": name, **options}
        network = build(PREDICTORS, node, "network", features=x.shape[2], copies=4).to(x.device)
        fit(network, x, x[:, :, ::3].sum(2), training=training, seeds=[5, 6], members=2)
        return predict(network, x[0], members=2)

    expected = trained(x)
    with on_device() as world:
        found = trained(x.to(DEVICE))
        assert world.waits == [] and found.device == DEVICE
    torch.testing.assert_close(home(found), expected, rtol=1e-4, atol=1e-4)


ROWS = split_table(Synthetic(n=1200).load(), "a", 1)


def base(device: torch.device | str) -> nn.Module:
    network = new_network(ROWS.train.x.shape[1], 1, width=8, depth=1, dropout=0.2).to(device)
    parts = [[(part.x.to(device), part.y.to(device))] for part in (ROWS.train, ROWS.val)]
    rules = Training(max_epochs=3, patience=3, batch_size=64)
    return train_copies([network], *parts, rules, [1])[0]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return base("cpu")


def test_base_networks_are_trained_where_their_rows_are(network: nn.Module) -> None:
    with on_device() as world:
        found = base(DEVICE)
        assert len(world.waits) <= 3 * 10  # once an epoch: AUC, better or not, going on
    for one, two in zip(found.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(home(one), two.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("share", [None, pytest.param(0.7, marks=pytest.mark.slow)])
@pytest.mark.parametrize("node", VARIANTS, ids=label)
def test_debiaser_works_where_its_module_is(
    node: dict[str, Any], share: float | None, network: nn.Module
) -> None:
    val = ROWS.val
    name, options = node["name"], {key: value for key, value in node.items() if key != "name"}
    plain = Debiaser(network, method=name, method_options=options, valid_split=share)
    plain.fit(val.x, val.y, val.a)
    with on_device():
        module = copy.deepcopy(network).to(DEVICE)
        debiaser = Debiaser(module, method=name, method_options=options, valid_split=share)
        debiaser.fit(*(part.to(DEVICE) for part in (val.x, val.y, val.a)))
        decided = debiaser.predict(val.x.to(DEVICE))
        assert (debiaser.predict(val.x.numpy()) == decided).all()  # rows may come from the host too
        assert all(p.device == DEVICE for p in debiaser.module_.parameters())
    assert (decided == plain.predict(val.x)).mean() > 0.99
    assert debiaser.result_.phi == pytest.approx(plain.result_.phi, abs=0.02)


@pytest.mark.parametrize("name", POSTPROCESSORS)
def test_postprocessors_answer_where_they_are_asked(name: str, network: nn.Module) -> None:
    val = ROWS.val
    scores = network(val.x)[:, 0].detach().sigmoid()
    node = {"name": name}
    plain = build(POSTPROCESSORS, node, "p").fit(scores, val.y, val.a, Objective())
    with on_device():
        s, y, a = (part.to(DEVICE) for part in (scores, val.y, val.a))
        found = build(POSTPROCESSORS, node, "p").fit(s, y, a, Objective()).predict_proba(s, a)
        assert found.device == DEVICE
        low, high = map(float, interval("spd", counts(found, y, a)))
    assert low <= high
    torch.testing.assert_close(home(found).double(), plain.predict_proba(scores, val.a).double())


def test_exact_priors_denoise_and_score_where_they_are() -> None:
    prior, z = (
        mixture((1, 4, 4)),
        torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double(),
    )
    sigma, labels = torch.full((3,), 0.7).double(), torch.tensor([0, -1, 2])
    expected = prior.denoise(z, sigma, Condition(labels)), log_likelihood(prior, z)["log_likelihood"]
    with on_device():
        far = copy.deepcopy(prior).to(DEVICE)
        found = far.denoise(z.to(DEVICE), sigma.to(DEVICE), Condition(labels.to(DEVICE)))
        scored = log_likelihood(far, z)["log_likelihood"]  # images of a finished chunk are on the host
    torch.testing.assert_close(home(found), expected[0])
    torch.testing.assert_close(scored, expected[1])
