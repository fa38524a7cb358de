"""Every Lightning module as a library: trained, loaded, used in five lines, saved, loaded again, equal."""

import copy
import pickle
from pathlib import Path
from typing import Any

import library
import pytest
import torch
import yaml
from pytorch_lightning.tuner import Tuner

from lightning_modules import MODELS
from sevenfold.loading import load
from train import main

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*number of training batches",
    "ignore:.*tensorboardX",
    "ignore:.*Checkpoint directory",
    "ignore:.*configure_optimizers.*returned",
    "ignore:Detected call of `lr_scheduler.step",
)


@pytest.fixture(scope="module", params=list(MODELS))
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "denoiser_trainer":
        pytest.importorskip("diffusers")
    return request.param


@pytest.fixture(scope="module")
def trained(name: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A module trained by a plain trainer, and its checkpoint."""
    folder = tmp_path_factory.mktemp(name)
    module, data = library.parts(name)
    trainer = library.trainer(folder)
    trainer.fit(module, datamodule=data)
    trainer.save_checkpoint(folder / "own.ckpt")
    return module, folder / "own.ckpt"


def test_a_run_is_loaded_used_saved_and_loaded_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    assert main(["--config", str(library.configuration(name, tmp_path)), "callbacks.progress=null"]) == 0
    folder = next((tmp_path / "runs" / name).glob("version_*"))
    module = load(folder)
    assert not module.training and module.config == yaml.safe_load((folder / "config.yaml").read_text())
    answer = library.use(name, module)
    torch.save(module, tmp_path / "module.pt")
    again = torch.load(tmp_path / "module.pt", weights_only=False)
    assert torch.equal(library.use(name, again), answer) and again.config == module.config
    saver = library.trainer(tmp_path)
    saver.strategy.connect(module)
    saver.save_checkpoint(tmp_path / "again.ckpt")
    last = load(tmp_path / "again.ckpt")
    assert torch.equal(library.use(name, last), answer) and last.config == module.config


def test_a_checkpoint_of_a_plain_trainer_has_options_and_all_that_was_learned(
    name: str, trained: tuple[Any, Path]
) -> None:
    module, path = trained
    content = torch.load(path, weights_only=True)
    assert content["model"] == name and "config" not in content
    assert yaml.safe_load(yaml.safe_dump(content["hyper_parameters"])) == content["hyper_parameters"]
    answer = library.use(name, module)
    random = torch.get_rng_state()
    found = type(module).load_from_checkpoint(path)
    assert torch.equal(torch.get_rng_state(), random)
    assert found.hparams == module.hparams and found.config["model"]["name"] == name
    assert torch.equal(library.use(name, found), answer)
    assert torch.equal(library.use(name, load(path)), answer)


def test_a_checkpoint_from_before_options_were_recorded_is_loaded_by_its_configuration(
    name: str, trained: tuple[Any, Path], tmp_path: Path
) -> None:
    module, path = trained
    content = torch.load(path, weights_only=True)
    for key in ("hyper_parameters", "hparams_name", "model"):
        content.pop(key, None)
    torch.save({**content, "config": {"model": library.nodes(name)[0]}}, tmp_path / "old.ckpt")
    assert torch.equal(library.use(name, load(tmp_path / "old.ckpt")), library.use(name, module))


def test_copies_and_pickles_answer_alike_before_and_after_training(
    name: str, trained: tuple[Any, Path]
) -> None:
    module, _ = trained
    assert module._trainer is not None  # what is attached does not hinder
    answer = library.use(name, module)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(library.use(name, other), answer) and other.hparams == module.hparams
    fresh, _ = library.parts(name)
    for other in (copy.deepcopy(fresh), pickle.loads(pickle.dumps(fresh))):
        for key, value in fresh.state_dict().items():
            assert torch.equal(other.state_dict()[key], value), key


def test_the_rate_finder_reaches_the_optimizer(name: str, tmp_path: Path) -> None:
    module, data = library.parts(name)
    trainer = library.trainer(tmp_path, max_epochs=30, limit_val_batches=0)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    found = Tuner(trainer).lr_find(module, datamodule=data, num_training=12, early_stop_threshold=None)
    assert found is not None and len(found.results["lr"]) == 12
    assert all(torch.equal(module.state_dict()[key], value) for key, value in before.items())
    module.lr = 0.0123
    again = library.trainer(tmp_path)
    again.fit(module, datamodule=data)
    rates = {
        group.get("max_lr", group.get("initial_lr", group["lr"]))
        for group in again.optimizers[0].param_groups
    }
    assert rates == {0.0123}


def test_the_batch_size_finder_reaches_the_data(name: str, tmp_path: Path) -> None:
    module, data = library.parts(name)
    trainer = library.trainer(tmp_path, limit_val_batches=0)
    found = Tuner(trainer).scale_batch_size(
        module, datamodule=data, init_val=2, max_trials=2, steps_per_trial=1
    )
    assert found == data.batch_size
