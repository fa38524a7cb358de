"""Exported programs answer as the modules do; what is no program of tensors says so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import library
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightning_modules.debias import DebiasModule
from lightning_modules.flow import FlowModule
from lightning_modules.study import StudyModule
from lightning_modules.tabular import ImageClassifier, TabularClassifier
from sevenfold.config import build
from sevenfold.errors import InputError
from sevenfold.fairness.batch import InputFacts
from sevenfold.studies import STUDIES

NETWORKS: dict[str, dict[str, Any]] = {
    "raft": {"name": "raft", "variant": "demo", "design": {"h_init": "zeros", "norm": "weight"}},
    "deq": {"name": "deq_flow", "variant": "demo", "solver": {"name": "anderson"}},
    "deq_gma": {"name": "deq_flow", "variant": "demo", "design": {"gma": True}},
}


def program(path: Path) -> Callable[..., Tensor]:
    return torch.export.load(path).module()


def random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "name", [name if name == "deq" else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def test_flow_is_a_program_of_a_fixed_number_of_steps(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = FlowModule(network=NETWORKS[name])
    path = module.export(tmp_path / "flow.pt2", size=(50, 70), iterations=3, batch=2)
    first, second = random(2, 2, 3, 50, 70)
    torch.testing.assert_close(
        program(path)(first, second), module.estimate(first, second, iterations=3), atol=1e-4, rtol=1e-4
    )


def test_a_solver_without_a_static_form_is_refused(tmp_path: Path) -> None:
    module = FlowModule(network={**NETWORKS["deq"], "solver": {"name": "broyden"}})
    with pytest.raises(InputError, match="cannot be exported: Broyden has no form without side effects"):
        module.export(tmp_path / "flow.pt2")
    with pytest.raises(InputError, match="iterations: a network takes at least one step"):
        FlowModule(network=NETWORKS["raft"]).export(tmp_path / "flow.pt2", iterations=0)


def test_classifiers_take_any_number_of_rows(tmp_path: Path) -> None:
    module = TabularClassifier(width=8, depth=1)
    with pytest.raises(InputError, match="has no network yet"):
        module.export(tmp_path / "rows.pt2")
    module.prepare_for(InputFacts(torch.zeros(6)))
    module.configure_model()
    run = program(module.export(tmp_path / "rows.pt2"))
    for count in (1, 5):
        torch.testing.assert_close(run(random(count, 6)), module.eval()(random(count, 6)))


def test_classifiers_of_images_have_a_size(tmp_path: Path) -> None:
    module = ImageClassifier()
    module.prepare_for(InputFacts(torch.zeros(3, 1, 1)))
    module.configure_model()
    run = program(module.export(tmp_path / "images.pt2", size=(32, 40)))
    torch.testing.assert_close(run(random(3, 3, 32, 40)), module.eval()(random(3, 3, 32, 40)))


def test_predictors_take_any_number_of_encoded_cells(tmp_path: Path) -> None:
    module, _ = library.parts("nas_predictor")
    x = module._encoded(torch.from_numpy(module.space.sample(np.random.default_rng(0), 5)))
    torch.testing.assert_close(program(module.export(tmp_path / "cells.pt2"))(x), module(x))


def test_a_denoiser_is_exported_with_its_noise_levels(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    from sevenfold.diffreps.batch import Picture

    module, _ = library.parts("denoiser_trainer")
    module.picture = Picture((1, 8, 8), (-1.0, 1.0))
    run = program(module.export(tmp_path / "prior.pt2", batch=3))
    x, sigma, labels = random(3, 1, 8, 8), torch.tensor([0.1, 1.0, 7.0]), torch.tensor([0, 9, -1])
    torch.testing.assert_close(run(x, sigma, labels), module(x, sigma, labels))


def test_a_fair_network_is_exported_with_its_threshold(tmp_path: Path) -> None:
    study = build(STUDIES, {"name": "debias", "methods": {"base": {"name": "base"}}}, "study")
    module = DebiasModule(study, network=nn.Sequential(nn.Linear(4, 1)))
    module.threshold.fill_(0.1)
    with pytest.raises(InputError, match="needs example=: some rows"):
        module.export(tmp_path / "fair.pt2")
    run = program(module.export(tmp_path / "fair.pt2", example=random(2, 4)))
    assert torch.equal(run(random(9, 4)), module.decide(random(9, 4)))


def test_what_is_no_program_of_tensors_says_so(tmp_path: Path) -> None:
    surrogate, _ = library.parts("curve_surrogate")
    study = StudyModule(
        build(STUDIES, {"name": "nas_search", "algorithms": {"a": {"name": "random"}}}, "study")
    )
    for module in (surrogate, study):
        with pytest.raises(InputError, match="computes more than tensors and cannot be exported"):
            module.export(tmp_path / "x.pt2")


class Counting(nn.Module):
    """A network whose output's shape depends on its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0] if bool(x.sum() > 0) else -x[:, 0]


def test_a_network_that_cannot_be_traced_is_one_line(tmp_path: Path) -> None:
    study = build(STUDIES, {"name": "debias", "methods": {"base": {"name": "base"}}}, "study")
    module = DebiasModule(study, network=Counting())
    with pytest.raises(InputError, match="Decisions cannot be exported: ") as caught:
        module.export(tmp_path / "x.pt2", example=random(2, 4))
    assert "\n" not in str(caught.value) and not (tmp_path / "x.pt2").exists()
