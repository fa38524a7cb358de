"""Stacked predictors are ordinary networks, one by one; splits and scores are what they say."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from sevenfold.config import ConfigError, build, validate
from sevenfold.errors import InputError
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.benchmarks.networks import network_keys
from sevenfold.nas.predictors import PREDICTORS
from sevenfold.nas.predictors.gcn import GCN
from sevenfold.nas.predictors.mlp import MLP
from sevenfold.nas.predictors.sample import draw_split, encode
from sevenfold.nas.predictors.scores import score
from sevenfold.nas.predictors.training import Training, draw_order, fit, initial_generators, predict
from sevenfold.nas.spaces.nb201 import NB201
from sevenfold.seeding import numpy_generator

SPACE = NB201()
SMALL = {"mlp": {"layers": 3, "width": 6}, "gcn": {"layers": 2, "width": 5, "head": 4, "dropout": 0.2}}


def cells(n: int, stream: int = 0) -> np.ndarray:
    return SPACE.sample(numpy_generator(stream, "predictor test"), n)


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_stack_is_trained_like_each_copy_alone(name: str, device: torch.device) -> None:
    encoding = "gcn" if name == "gcn" else "adj_onehot"
    x = torch.stack([encode(SPACE, cells(23, seed), encoding) for seed in (0, 1)]).to(device)
    targets = x[:, :, ::3].sum(2) + torch.arange(2, device=device)[:, None]
    training = Training(epochs=3, batch_size=8, standardize=name == "gcn", cosine=True, loss="mse")
    options = {"name": name, **SMALL[name]}
    stack = build(PREDICTORS, options, "network", features=x.shape[2], copies=4).to(device)
    fit(stack, x, targets, training=training, seeds=[5, 6], members=2)
    for place, seed in enumerate((5, 6)):
        alone = build(PREDICTORS, options, "network", features=x.shape[2], copies=2).to(device)
        fit(
            alone,
            x[place : place + 1],
            targets[place : place + 1],
            training=training,
            seeds=[seed],
            members=2,
        )
        expected = predict(alone, x[0], members=2)
        torch.testing.assert_close(predict(stack, x[0], members=2)[place], expected[0], rtol=1e-4, atol=1e-4)


def test_the_perceptron_is_trained_as_by_the_library() -> None:
    x, training = encode(SPACE, cells(40), "path"), Training(epochs=4, batch_size=16)
    targets = x @ torch.linspace(0, 5, x.shape[1])
    network = MLP(x.shape[1], layers=3, width=6)
    network.initialize(initial_generators([3], members=1))
    plain = nn.Sequential(
        *(m for w in network.weights for m in (nn.Linear(*w.shape[1:]), nn.ReLU())),
    )[:-1]
    for layer, w in zip(plain[::2], network.weights, strict=True):
        layer.weight.data.copy_(w[0].T)
        nn.init.zeros_(layer.bias)
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.01, betas=(0.9, 0.99), eps=1e-7)
    for epoch in range(4):
        for rows in draw_order([3], epoch, 40, members=1)[0].split(16):
            loss = (plain(x[rows])[:, 0] - targets[rows]).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    fit(network, x[None], targets[None], training=training, seeds=[3])
    torch.testing.assert_close(predict(network, x)[0], plain(x)[:, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_gradient_of_hidden_layers_is_that_of_finite_differences(activation: str) -> None:
    generator = torch.Generator().manual_seed(0)
    network = MLP(4, copies=2, layers=3, width=5, activation=activation).double()
    network.initialize(initial_generators([1], members=2))
    for b in network.biases:
        b.data += 0.1 * torch.randn(b.shape, generator=generator, dtype=torch.float64)
    x = torch.randn(2, 6, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    parameters = [*network.weights, *network.biases]
    assert torch.autograd.gradcheck(lambda x, *_: network(x), (x, *parameters))


def test_the_graph_network_is_its_formula() -> None:
    rows = encode(SPACE, cells(6), "gcn")
    network = GCN(rows.shape[1], copies=2, **SMALL["gcn"]).eval()
    network.initialize(initial_generators([1, 2], members=1))
    graph = SPACE.graph(cells(6))
    for copy in range(2):
        for place in range(6):
            a = torch.as_tensor(graph.adjacency[place]).float()
            h = torch.as_tensor(graph.nodes[place]).float()
            for forth, back in zip(network.forth, network.back, strict=True):
                h = torch.relu((normalized(a) @ h @ forth[copy] + normalized(a.T) @ h @ back[copy]) / 2)
            value = h.mean(0) @ network.hidden[copy] @ network.out[copy]  # every vertex of NB201 is real
            found = network(rows.expand(2, -1, -1))[copy, place]
            torch.testing.assert_close(found, value[0], rtol=1e-4, atol=1e-5)


def normalized(a: Tensor) -> Tensor:
    a = a + torch.eye(len(a))
    return torch.diag(1 / a.sum(1)) @ a


def test_dropout_is_unbiased_and_of_training_only() -> None:
    network = GCN(encode(SPACE, cells(1), "gcn").shape[1], dropout=0.3)
    network.initialize(initial_generators([0], members=1))
    h = torch.ones(1, 200, 500)
    dropped = network._drop(h)
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert network.eval()._drop(h) is h


def test_splits_share_no_network_and_nest() -> None:
    bench = load_benchmark("synthetic-nb201")
    small, large = (draw_split(bench, train=n, test=3000 - n, seed=1) for n in (50, 400))
    for split in (small, large):
        keys = [network_keys(bench.space, part.archs) for part in split[:2]]
        assert len(np.unique(np.concatenate(keys))) == 3000
    assert np.array_equal(small.train.archs, large.train.archs[:50])
    values = bench.query(large.test.archs, split="val", metric="acc", epoch="last", seed="mean")
    np.testing.assert_allclose(large.test.targets, 100 - values)
    drawn = 3000 + small.removed
    assert small.removed > 100 and drawn < 15625
    with pytest.raises(InputError, match="5425 different networks"):
        draw_split(bench, train=5000, test=1000, seed=0)


def test_scores_against_scipy() -> None:
    generator = numpy_generator(0, "scores")
    targets = generator.normal(size=60).round(1)
    predictions = (targets + generator.normal(size=60)).round(1)
    found = {k: float(v) for k, v in score(torch.tensor(predictions), torch.tensor(targets), k=9).items()}
    assert found["mae"] == pytest.approx(np.abs(predictions - targets).mean())
    assert found["rmse"] == pytest.approx(np.sqrt(np.square(predictions - targets).mean()))
    assert found["pearson"] == pytest.approx(stats.pearsonr(predictions, targets).statistic)
    assert found["spearman"] == pytest.approx(stats.spearmanr(predictions, targets).statistic)
    assert found["kendall"] == pytest.approx(stats.kendalltau(predictions, targets).statistic)
    exact = score(torch.tensor(targets), torch.tensor(targets), k=9)
    assert exact["precision_at_9"] == pytest.approx(1, abs=0.12)  # ties at the border
    distinct = torch.randperm(60, generator=torch.Generator().manual_seed(0)).double() - 30
    noisy = distinct + torch.linspace(-20, 20, 60)
    best = set(distinct.argsort()[:9].tolist()) & set(noisy.argsort()[:9].tolist())
    assert score(noisy, distinct, k=9)["precision_at_9"] == pytest.approx(len(best) / 9)


def test_wrong_options_are_told() -> None:
    with pytest.raises(ConfigError, match="encoding gcn"):
        GCN(30)
    with pytest.raises(ConfigError, match="layers"):
        validate(MLP, {"layers": 0}, "network", given=("features",))
