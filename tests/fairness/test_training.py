"""Training of base networks: copies side by side equal plain networks; accuracies that are reached."""

from pathlib import Path

import pytest
import torch

from sevenfold.config import build
from sevenfold.fairness.data import SOURCES
from sevenfold.fairness.data.table import split_table
from sevenfold.fairness.network import Copies
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.threshold import best_threshold
from sevenfold.fairness.training import Training, area_under_curve, loss, new_network, regret, train_copies


def test_copies_compute_what_plain_networks_compute_in_both_modes(device: torch.device) -> None:
    networks = [new_network(6, seed, width=8, depth=2, dropout=0.0).to(device) for seed in (1, 2)]
    copies = Copies(networks)
    x = torch.randn(2, 20, 6, generator=torch.Generator().manual_seed(0)).to(device)
    y = (x[..., 0] > 0).long()
    for _ in range(3):
        value = loss(copies.train()(x), y)
        plain = sum(loss(network.train()(x[i])[:, 0], y[i]) for i, network in enumerate(networks))
        assert torch.allclose(value, plain, atol=1e-6)
    ours = torch.autograd.grad(value, list(copies.weights.values()))
    for (name, _), gradient in zip(copies.weights.items(), ours, strict=True):
        for i, network in enumerate(networks):
            parameter = dict(network.named_parameters())[name.replace("_", ".", 1)]
            theirs = torch.autograd.grad(plain, parameter, retain_graph=True)[0]
            assert torch.allclose(gradient[i], theirs, atol=1e-5)
    for state, network in zip(copies.states(), networks, strict=True):
        for key, tensor in network.state_dict().items():
            assert torch.allclose(state[key].double(), tensor.double(), atol=1e-6), key
    with torch.no_grad():
        together = copies.eval()(x)
        apart = [network.eval()(x[i])[:, 0] for i, network in enumerate(networks)]
        assert torch.allclose(together, torch.stack(apart), atol=1e-6)


def test_training_alone_or_together_is_the_same_and_adam_is_torchs(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 90, 5, generator=generator, dtype=torch.float64)
    y = (x[..., 0] + 0.1 * torch.randn(3, 90, generator=generator) > 0).long().to(device)
    x = x.to(device)
    rules = Training(max_epochs=4, patience=9, plateau=9, batch_size=30, monitor="loss")

    def fresh() -> list:
        networks = [new_network(5, seed, width=4, depth=1, dropout=0.0) for seed in (1, 2, 3)]
        return [network.double().to(device) for network in networks]

    data = list(zip(x, y, strict=True))
    together = train_copies(fresh(), data, data, rules, [1, 2, 3])
    for i in range(3):
        (alone,) = train_copies([fresh()[i]], [data[i]], [data[i]], rules, [i + 1])
        for one, two in zip(alone.parameters(), together[i].parameters(), strict=True):
            assert torch.allclose(one, two, atol=1e-5)
    from sevenfold.fairness.training import epoch_rows

    network, checkpoints = fresh()[0].train(), []
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for epoch in range(4):
        for rows in epoch_rows([1], epoch, 90, 30):
            optimizer.zero_grad()
            loss(network.train()(x[0, rows[0]])[:, 0], y[0, rows[0]]).backward()
            optimizer.step()
        with torch.no_grad():
            logits = network.eval()(x[0])[None, :, 0]
        checkpoints.append(
            (float(regret(logits, y[:1], "loss")[0]), [p.detach().clone() for p in network.parameters()])
        )
    best = min(checkpoints, key=lambda entry: entry[0])[1]
    for one, two in zip(together[0].parameters(), best, strict=True):
        assert torch.allclose(one, two, atol=1e-5)


def test_area_under_curve_equals_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    generator = torch.Generator().manual_seed(0)
    scores, y = torch.randint(0, 9, (70,), generator=generator), torch.arange(70) % 2
    assert float(area_under_curve(scores, y)) == pytest.approx(roc_auc_score(y, scores), abs=1e-12)


def trained_auc(name: str, protected: str, root: Path, seeds: list[int], batch: int) -> list[tuple]:
    """Train base networks by default options; return each with its split and its test AUC."""
    table = build(SOURCES, {"name": name, "root": str(root)}, "source").load()
    splits = [split_table(table, protected, seed) for seed in seeds]
    networks = [new_network(len(splits[0].names), s, width=32, depth=10, dropout=0.2) for s in seeds]
    parts = [[(p.x, p.y) for p in (getattr(s, part) for s in splits)] for part in ("train", "val")]
    networks = train_copies(networks, *parts, Training(batch_size=batch), seeds)
    scores = []
    for network, split in zip(networks, splits, strict=True):
        with torch.no_grad():
            auc = area_under_curve(network(split.test.x)[:, 0], split.test.y)
        scores.append((network, split, float(auc)))
    return scores


@pytest.mark.slow
def test_networks_that_start_late_are_trained_long_enough(real_root: Path) -> None:
    """Regression: the rate fell while these two were still at chance (AUC .565 and .538)."""
    for _, _, auc in trained_auc("compas", "race", real_root, [4, 13], batch=64):
        assert auc >= 0.63  # of eight others .710 with a deviation of .016


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "protected", "auc", "accuracy", "batch"),
    [("compas", "race", 0.66, 0.62, 64), ("adult", "sex", 0.89, 0.80, 256)],
)
def test_base_networks_reach_their_accuracy(
    name: str, protected: str, auc: float, accuracy: float, batch: int, real_root: Path
) -> None:
    """The mean of three, five standard errors below what eight gave (COMPAS: .710 +- .016, .658 +- .013)."""
    free, scores = Objective(epsilon=1e9, margin=0.0), []
    for network, split, area in trained_auc(name, protected, real_root, [1, 2, 3], batch):
        with torch.no_grad():
            val, test = (network(part.x)[:, 0] for part in (split.val, split.test))
        threshold = best_threshold(val[None], split.val.y, split.val.a, free).threshold[0]
        decided, y = test.double() > threshold, split.test.y
        balanced = (decided[y == 1].double().mean() + 1 - decided[y == 0].double().mean()) / 2
        scores.append([area, float(balanced)])
    means = torch.tensor(scores).mean(0)
    assert means[0] >= auc and means[1] >= accuracy
