"""Linear erasure: exact equality of means, rank, least change, and the edit of a layer."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

from sevenfold.config import ConfigError
from sevenfold.fairness import METHODS, Debiaser
from sevenfold.fairness.confusion import counts
from sevenfold.fairness.groups import Groups
from sevenfold.fairness.intra.erase import Eraser, edited

Rows = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def people(k: int, n: int = 900, features: int = 6) -> Rows:
    generator = torch.Generator().manual_seed(k)
    cell = torch.randint(k, (n,), generator=generator)
    h = (
        torch.randn(n, features, generator=generator).double()
        @ torch.randn(features, features, generator=generator).double()
    )
    shift = torch.randn(k, features, generator=generator).double()
    h = h + shift[cell]
    y = (h[:, 0] + shift[cell][:, 1] + torch.randn(n, generator=generator) > 0).long()
    return h, y, cell


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("within", ["none", "label"])
def test_check_20_means_are_equal_after_erasure(k: int, within: str) -> None:
    h, y, cell = people(k)
    weights = torch.rand(len(h), generator=torch.Generator().manual_seed(9)).double() + 0.5
    for w in (None, weights):
        eraser = Eraser(h, y, cell, w, within)
        plain = eraser(h)
        parts = [y >= 0] if within == "none" else [y == 0, y == 1]
        for part in parts:
            v = torch.ones_like(weights) if w is None else w
            means = torch.stack(
                [v[m] @ plain[m] / v[m].sum() for m in (part & (cell == c) for c in range(k))]
            )
            assert (means - means[0]).abs().max() <= 1e-9 * h.abs().max()
        assert torch.linalg.matrix_rank(eraser.matrix, tol=1e-6) == min(6, (k - 1) * len(parts))
    unknown = cell.clone()
    unknown[:50] = -1
    assert torch.equal(Eraser(h, y, unknown).matrix, Eraser(h[50:], y[50:], cell[50:]).matrix)


def test_check_20_the_map_is_leace_by_its_definition() -> None:
    h, y, cell = people(3)
    x = h.numpy()
    z = np.eye(3)[cell.numpy()]
    sigma = np.cov(x.T, bias=True)
    cross = (x - x.mean(0)).T @ (z - z.mean(0)) / len(x)
    root = np.real(scipy.linalg.sqrtm(sigma))
    columns = np.linalg.inv(root) @ cross
    projector = columns @ np.linalg.pinv(columns)
    reference = x - (x - x.mean(0)) @ (root @ projector @ np.linalg.inv(root)).T
    assert np.abs(Eraser(h, y, cell)(h).numpy() - reference).max() < 1e-9
    # the least change in the metric of S^-1 among maps that erase: an orthogonal projection erases, too
    ours, q = Eraser(h, y, cell), np.linalg.qr(cross)[0][:, :2]
    other = q @ q.T
    inverse = np.linalg.inv(sigma)

    def change(m: np.ndarray) -> float:
        return float(np.trace(m @ sigma @ m.T @ inverse))

    assert change(ours.matrix.numpy()) < change(other) - 1e-6


def test_check_20_equals_concept_erasure() -> None:
    package = pytest.importorskip("concept_erasure", reason="the package concept-erasure is not installed")
    h, y, cell = people(3)
    fitter = package.LeaceFitter.fit(h, torch.nn.functional.one_hot(cell).double(), shrinkage=False)
    assert (fitter.eraser(h) - Eraser(h, y, cell)(h)).abs().max() < 1e-6


def test_the_edit_of_a_layer_is_the_layer_after_erasure_and_a_singular_input_is_no_trouble() -> None:
    h, y, cell = people(3)
    h = torch.cat([h, h[:, :1], torch.zeros_like(h[:, :1])], 1)  # a double and a constant column
    layer = nn.Linear(8, 4).double()
    eraser = Eraser(h, y, cell)
    state = {f"0.{name}": value.detach() for name, value in layer.named_parameters()}
    stack = edited(state, "0", eraser, torch.tensor([0.0, 1.0, 0.3], dtype=torch.float64))
    for i, size in enumerate((0.0, 1.0, 0.3)):
        out = h @ stack["0.weight"][i].T + stack["0.bias"][i]
        wanted = layer(h + size * (eraser(h) - h))
        assert (out - wanted).abs().max() < 1e-9
    means = torch.stack([eraser(h)[cell == c].mean(0) for c in range(3)])
    assert (means - means[0]).abs().max() < 1e-9


def test_three_groups_are_brought_together_by_one_line_of_a_table() -> None:
    h, y, cell = people(3)
    x = h.float()
    network = nn.Sequential(nn.Linear(6, 1))
    with torch.no_grad():
        network[0].weight.copy_(torch.linalg.lstsq(h - h.mean(0), (2.0 * y - 1)[:, None].double()).solution.T)
        network[0].bias.zero_()
    assert "erase" in METHODS
    options = {"objective": {"constraints": ["gap(selection) <= 0.1"]}, "groups": {"small": 0}}
    names = {"g": ["abc"[c] for c in cell.tolist()]}
    fitted = Debiaser(network, method="erase", **options).fit(x, y, names)
    base = Debiaser(network, method="base", **options).fit(x, y, names)
    people_ = Groups.of(names, small=0)

    def gap(decided: np.ndarray) -> float:
        rates = counts(torch.as_tensor(decided), y, people_).rate("selection")
        return float(rates.max() - rates.min())

    assert gap(base.predict(x)) > 0.15 and gap(fitted.predict(x)) <= 0.1 and fitted.result_.rho > 0.55
    with pytest.raises(ConfigError, match="no linear layer"):
        Debiaser(network, method="erase", method_options={"layer": "9"}).fit(x, y, cell % 2)
    with pytest.raises(ConfigError, match="within"):
        Debiaser(network, method="erase", method_options={"within": "labels"}).fit(x, y, cell % 2)
