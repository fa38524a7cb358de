"""Studies as a library: a run folder's records and report, and modules that decide and sample."""

import copy
import json
import pickle
from pathlib import Path

import library
import numpy as np
import pandas as pd
import pytest
import studies
import torch
import yaml
from torch import Tensor, nn

from lightning_modules import STUDY_MODULE, STUDY_MODULES
from lightning_modules.debias import DebiasModule
from lightning_modules.diffrep import DiffrepSampler
from lightning_modules.study import StudyModule
from sevenfold.config import ConfigError, build
from sevenfold.errors import InputError
from sevenfold.fairness.training import new_network
from sevenfold.loading import load
from sevenfold.studies import STUDIES
from train import main

SHORT = ("nas_search", "samples", "debias")
CASES = [pytest.param(name, marks=[] if name in SHORT else [pytest.mark.slow]) for name in studies.RECIPES]


@pytest.mark.parametrize("name", CASES)
def test_a_study_s_folder_gives_its_records_and_report(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    assert main(studies.settings(name)) == 0
    folder = next((tmp_path / "runs").glob("*/version_*"))
    module = load(folder)
    assert isinstance(module, StudyModule) and not module.training
    assert type(module).__name__ == STUDY_MODULES.get(name, STUDY_MODULE).rpartition(":")[2]
    assert module.config == yaml.safe_load((folder / "config.yaml").read_text())
    keys = {key for piece in module.study.pieces() for key in piece.keys}
    assert {record["key"] for record in module.records()} == keys
    metrics = json.loads((folder / "results.json").read_text())["metrics"]
    scalars = module.report().scalars
    for key, value in metrics.items():
        assert scalars[key] == pytest.approx(float(value), nan_ok=True)  # "nan" and "inf" are texts


def test_a_study_without_a_folder_has_no_records() -> None:
    module = StudyModule(build(STUDIES, studies.node("nas_search"), "study"))
    with pytest.raises(InputError, match="has no run folder: open one with sevenfold.load"):
        module.records()


def test_a_module_computes_a_piece_and_comes_back_with_its_study(tmp_path: Path) -> None:
    module = StudyModule(build(STUDIES, studies.node("nas_search"), "study"), seed=3)
    assert module.hparams["study"]["name"] == "nas_search" and module.hparams["seed"] == 3
    piece = module.study.pieces()[0]
    records = module(piece)
    trainer = library.trainer(tmp_path)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path := tmp_path / "study.ckpt")
    for other in (load(path), StudyModule.load_from_checkpoint(path), pickle.loads(pickle.dumps(module))):
        assert other.hparams == module.hparams and other.study.made_with == module.study.made_with
        timeless = [
            [{**r, "seconds": 0, "searcher_seconds": 0} for r in some] for some in (records, other(piece))
        ]
        assert timeless[0] == timeless[1]


@pytest.fixture(scope="module")
def debiased() -> tuple[DebiasModule, np.ndarray]:
    module = DebiasModule(build(STUDIES, studies.node("debias"), "study"))
    stream = np.random.default_rng(0)
    x = stream.normal(size=(300, 6))
    y, group = (x[:, 0] + x[:, 1] > 0).astype(int), np.where(x[:, 1] > 0, "man", "woman")
    network = new_network(6, 1, width=8, depth=1, dropout=0.2).eval()
    with pytest.raises(ConfigError, match="network: is missing: call debias"):
        module.decide(x)
    module.debias(network, pd.DataFrame(x), y, group, method="random", privileged="man")
    return module, x


def test_a_debiased_network_decides_and_comes_back(
    debiased: tuple[DebiasModule, np.ndarray], tmp_path: Path
) -> None:
    module, x = debiased
    decisions = module.decide(x)
    assert set(decisions.tolist()) <= {0, 1} and torch.equal(module(torch.from_numpy(x).float()), decisions)
    trainer = library.trainer(tmp_path)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path := tmp_path / "debias.ckpt")
    for other in (load(path), DebiasModule.load_from_checkpoint(path), copy.deepcopy(module)):
        assert isinstance(other, DebiasModule) and torch.equal(other.decide(x), decisions)
    again = pickle.loads(pickle.dumps(module))
    assert torch.equal(again.decide(pd.DataFrame(x)), decisions)


class Mine(nn.Module):
    """A network of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


def test_a_network_of_one_s_own_is_given_to_load(tmp_path: Path) -> None:
    module = DebiasModule(build(STUDIES, studies.node("debias"), "study"), network=Mine())
    trainer = library.trainer(tmp_path)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path := tmp_path / "debias.ckpt")
    with pytest.raises(InputError, match="is of your own class: give network="):
        load(path)
    found = DebiasModule.load_from_checkpoint(path, network=Mine())
    x = np.ones((3, 6))
    assert torch.equal(found.decide(x), module.decide(x))


def test_a_sampler_draws_alike_when_it_comes_back(tmp_path: Path) -> None:
    module = DiffrepSampler(build(STUDIES, studies.node("samples"), "study"))
    pictures = module.sample(2, 5)
    trainer = library.trainer(tmp_path)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path := tmp_path / "sampler.ckpt")
    for other in (load(path), copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert isinstance(other, DiffrepSampler) and torch.equal(other.sample(2, 5), pictures)
