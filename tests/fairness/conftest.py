"""A small problem shared by the tests of methods."""

from pathlib import Path

import pytest
import torch

from sevenfold.fairness.data.synthetic import Synthetic
from sevenfold.fairness.data.table import Split, split_table
from sevenfold.fairness.intra.base import Problem
from sevenfold.fairness.network import Logits
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.training import Training, new_network, train_copies

REAL = Path(__file__).resolve().parents[2].parent / "shared/data/fairness"


@pytest.fixture(scope="session")
def real_root() -> Path:
    if not (REAL / "SHA256SUMS").is_file():
        pytest.skip("the real tables are not beside the checkout (shared/data/fairness)")
    return REAL


@pytest.fixture(scope="session")
def split() -> Split:
    return split_table(Synthetic(n=2000).load(), "a", 1)


@pytest.fixture(scope="session")
def problem(split: Split) -> Problem:
    network = new_network(split.train.x.shape[1], 1, width=16, depth=1, dropout=0.2)
    rules = Training(max_epochs=15, patience=15, batch_size=64)
    val = split.val
    (network,) = train_copies([network], [(split.train.x, split.train.y)], [(val.x, val.y)], rules, [1])
    return Problem(Logits(network), val.x, val.y, val.a, Objective(), seed=3)


@pytest.fixture
def random_rows() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores, labels and groups of 400 people."""
    generator = torch.Generator().manual_seed(0)
    a = (torch.rand(400, generator=generator) < 0.6).long()
    y = (torch.rand(400, generator=generator) < 0.3 + 0.3 * a).long()
    noise = torch.randn(400, generator=generator, dtype=torch.float64)
    return torch.sigmoid(noise + 1.5 * y + 0.7 * a - 1), y, a
