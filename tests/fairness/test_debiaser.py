"""The public interface on modules of the user."""

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier
from torch import nn

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.fairness.confusion import counts
from sevenfold.fairness.data.table import Split
from sevenfold.fairness.debiaser import Debiaser, mlp_module
from sevenfold.fairness.intra.base import Problem
from sevenfold.fairness.measures import bias
from sevenfold.fairness.network import Logits


class TwoLogits(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logit = self.inner(x)
        return torch.stack([torch.zeros_like(logit), logit], dim=1)


def pictures(n: int = 600) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Squares or crosses (the label) on a background whose brightness (the group) is correlated with it."""
    generator = torch.Generator().manual_seed(1)
    a = torch.randint(2, (n,), generator=generator)
    y = (torch.rand(n, generator=generator) < 0.3 + 0.4 * a).long()
    x = 0.5 * torch.randn(n, 1, 8, 8, generator=generator) + 0.8 * a[:, None, None, None]
    x[y == 1, :, 2:6, 2:6] += 0.7
    return x, y, a


def trained_cnn(x: torch.Tensor, y: torch.Tensor) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(144, 16), nn.ReLU(),
            nn.Linear(16, 1),
        )  # fmt: skip
        optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
        for _ in range(60):
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(network(x)[:, 0], y.float()).backward()
            optimizer.step()
    return network.train()


@pytest.mark.parametrize("method", ["rank_one", "random", "finetune", "layerwise", "adversarial"])
def test_a_convolutional_network_of_the_user_is_debiased(method: str, device: torch.device) -> None:
    x, y, a = pictures()
    network = trained_cnn(x[:300], y[:300]).to(device)
    x = x.to(device)  # labels and groups stay where they are
    before = {name: value.clone() for name, value in network.state_dict().items()}
    options = {"random": {"trials": 30}, "layerwise": {"calls": 100},
               "adversarial": {"schedule": {"epochs": 1}}}.get(method)  # fmt: skip
    debiaser = Debiaser(network, method=method, method_options=options, epsilon=0.1)
    batches = [(x[i : i + 50], y[i : i + 50], a[i : i + 50]) for i in range(300, 600, 50)]
    debiaser.fit(batches)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network.training and debiaser.threshold_ == 0
    assert bool(((debiaser.module_(x[300:]) > 0).cpu() == torch.as_tensor(debiaser.predict(x[300:]))).all())
    decided = torch.as_tensor(debiaser.predict(x[300:]))
    assert float(bias("spd", counts(decided, y[300:], a[300:]))) == pytest.approx(debiaser.result_.mu)
    assert debiaser.result_.met and debiaser.flags_ == []


def test_an_mlp_of_scikit_learn_is_debiased(split: Split) -> None:
    train, val, test = split.train, split.val, split.test
    mlp = MLPClassifier((16,), max_iter=60, random_state=0, tol=1e-2).fit(train.x.numpy(), train.y.numpy())
    module = mlp_module(mlp)
    ours = torch.sigmoid(module(test.x)[:, 0]).detach().numpy()
    assert np.allclose(ours, mlp.predict_proba(test.x.numpy())[:, 1], atol=1e-5)
    debiaser = Debiaser(module).fit(val.x.numpy(), val.y.numpy(), sensitive_features=val.a.numpy())
    base, fair = (
        abs(float(bias("spd", counts(torch.as_tensor(d), test.y, test.a))))
        for d in (mlp.predict(test.x.numpy()), debiaser.predict(test.x.numpy()))
    )
    assert base > 0.2 and fair < 0.12 and debiaser.score(test.x.numpy(), test.y.numpy()) > 0.7


def test_outputs_of_any_kind_give_the_same_decisions(problem: Problem) -> None:
    plain = problem.network
    versions = [plain, TwoLogits(plain), nn.Sequential(plain, nn.Sigmoid())]
    decisions = [
        Debiaser(version).fit(problem.x, problem.y, problem.a).predict(problem.x) for version in versions
    ]
    assert all((decisions[0] == other).mean() > 0.98 for other in decisions[1:])


def test_scikit_learn_conventions(problem: Problem) -> None:
    debiaser = Debiaser(problem.network, measure="aod", epsilon=0.1)
    twin = clone(debiaser)
    assert twin.get_params()["measure"] == "aod" and twin.set_params(epsilon=0.2).epsilon == 0.2
    with pytest.raises(Exception, match="not fitted"):
        debiaser.predict(problem.x)
    assert debiaser.fit(problem.x, problem.y, sensitive_features=problem.a) is debiaser
    assert debiaser.classes_.tolist() == [0, 1] and not hasattr(twin, "module_")


def test_a_split_for_tuning_and_selection(problem: Problem) -> None:
    debiaser = Debiaser(problem.network, method="finetune", valid_split=0.7)
    result = debiaser.fit(problem.x, problem.y, problem.a).result_
    assert result.met


def test_bad_input_is_explained(problem: Problem) -> None:
    x, y, a = problem.x, problem.y, problem.a
    fit = Debiaser(problem.network).fit
    hole = copy.deepcopy(x)
    hole[3, 1] = float("nan")
    cases = [
        (InputError, "missing values in 1 places", lambda: fit(hole, y, a)),
        (InputError, "one group only", lambda: fit(x, y, torch.ones_like(a))),
        (InputError, r"found \[1.0, 2.0\]", lambda: fit(x, y + 1, a)),
        (InputError, "rows", lambda: fit(x, y[:-5], a)),
        (InputError, "sensitive_features is missing", lambda: fit(x, y)),
        (InputError, "two logits", lambda: Debiaser(nn.Linear(x.shape[1], 3)).fit(x, y, a)),
        (
            ConfigError,
            "Did you mean 'rank_one'",
            lambda: Debiaser(problem.network, method="rankone").fit(x, y, a),
        ),
        (ConfigError, "no linear or conv", lambda: Debiaser(Plain(), method="rank_one").fit(x, y, a)),
        (ConfigError, "valid_split", lambda: Debiaser(problem.network, valid_split=2.0).fit(x, y, a)),
    ]
    for kind, message, call in cases:
        with pytest.raises(kind, match=message):
            call()


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 1] * self.scale


def test_small_groups_and_a_constant_are_flagged(problem: Problem) -> None:
    few = torch.cat([(problem.a == 1).nonzero()[:60, 0], (problem.a == 0).nonzero()[:20, 0]])
    debiaser = Debiaser(problem.network, method="threshold_only")
    debiaser.fit(problem.x[few], problem.y[few], problem.a[few])
    assert any("few rows" in flag for flag in debiaser.flags_)
    only_group = Logits(nn.Sequential(nn.Linear(problem.x.shape[1], 1)))
    with torch.no_grad():
        only_group.module[0].weight.zero_()[0, 0] = 1.0
    blunt = Debiaser(only_group, method="threshold_only").fit(problem.x, problem.y, problem.a)
    assert any("same decision" in flag for flag in blunt.flags_)
