"""What may be loaded, by which class, with which options; everything else is one clear line."""

from pathlib import Path
from typing import Any

import library
import pytest
import torch

from lightning_modules.flow import FlowModule
from lightning_modules.nas_predictor import NASPredictor
from lightning_modules.tabular import ImageClassifier
from sevenfold.errors import InputError
from sevenfold.loading import load

NETWORK = library.SMALL["flow"]["network"]


def save(module: Any, folder: Path) -> Path:
    trainer = library.trainer(folder)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(folder / "saved.ckpt")
    return folder / "saved.ckpt"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save(library.parts("flow")[0], tmp_path)


def altered(path: Path, **changes: Any) -> Path:
    content = torch.load(path, weights_only=True)
    whole = {key: value for key, value in {**content, **changes}.items() if value is not None}
    torch.save(whole, other := path.with_name("altered.ckpt"))
    return other


def message(path: Path | str, kind: Any = None, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(path, **options) if kind is None else kind.load_from_checkpoint(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_options_of_a_call_are_laid_over_the_recorded_ones(saved: Path) -> None:
    found = FlowModule.load_from_checkpoint(saved, evaluation={"budgets": [1]}, seed=5)
    assert (found.evaluation.iterations, found.evaluation.budgets, found.seed) == (3, [1], 5)
    assert found.config["model"]["evaluation"] == {"iterations": 3, "by_dataset": {}, "budgets": [1]}
    assert "evaluation.budget: " in message(saved, FlowModule, evaluation={"budget": [1]})
    assert "seed: expected a number" in message(saved, FlowModule, seed=-1)


class Wider(FlowModule):
    """A user's own module, which hands options on."""

    def __init__(self, *, factor: float = 2.0, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor


def test_a_subclass_with_options_of_its_own_is_loaded_as_itself_and_from_its_base(
    saved: Path, tmp_path: Path
) -> None:
    module = Wider(factor=3.0, network=NETWORK)
    assert module.hparams == {"factor": 3.0, "network": NETWORK}
    assert Wider.load_from_checkpoint(saved, factor=4.0).factor == 4.0
    assert "factr: unknown key" in message(saved, Wider, factr=4.0)
    assert Wider.load_from_checkpoint(save(module, tmp_path)).hparams == module.hparams
    assert "is a checkpoint of the model" in message(tmp_path / "saved.ckpt", NASPredictor)


def test_weights_are_not_read_again(tmp_path: Path) -> None:
    torch.save(FlowModule(network=NETWORK).network.state_dict(), weights := tmp_path / "weights.pth")
    module = FlowModule(network=NETWORK, weights=str(weights))
    path = save(module, tmp_path)
    weights.unlink()
    assert torch.load(path, weights_only=True)["hyper_parameters"]["weights"] == str(weights)
    found = FlowModule.load_from_checkpoint(path)
    assert found.hparams["weights"] is None
    for key, value in module.state_dict().items():
        assert torch.equal(found.state_dict()[key], value)


def test_an_untrained_classifier_of_images_is_loaded_without_its_file(tmp_path: Path) -> None:
    path = save(ImageClassifier(), tmp_path)
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["weights"] = "/nowhere/imagenet.pth"
    torch.save(content, path)
    assert ImageClassifier.load_from_checkpoint(path).hparams["weights"] is None


def test_loaded_where_it_is_wanted(saved: Path) -> None:
    assert FlowModule.load_from_checkpoint(str(saved), map_location="cpu").device == torch.device("cpu")
    assert load(str(saved), device="meta").device == torch.device("meta")


def test_a_checkpoint_of_another_model_is_refused(saved: Path) -> None:
    assert "is a checkpoint of the model 'flow', not of NASPredictor" in message(saved, NASPredictor)
    state = torch.load(saved, weights_only=True)["state_dict"]
    assert "missing network." in message(altered(saved, state_dict=dict(list(state.items())[1:])))
    shorter = {key: value[:1] if value.ndim else value for key, value in state.items()}
    assert "the model's is" in message(altered(saved, state_dict=shorter))
    with pytest.raises(InputError, match="of another model"):
        FlowModule.load_from_checkpoint(altered(saved, state_dict=shorter), strict=False)
    fewer = altered(saved, state_dict=dict(list(state.items())[1:]))
    assert FlowModule.load_from_checkpoint(fewer, strict=False).seed == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": None, "hyper_parameters": None}, "does not say which model it is of"),
        ({"model": None, "hyper_parameters": None, "config": {"model": 3}}, "does not say which model"),
        ({"model": "flowy"}, "model.name: 'flowy' is not known. Did you mean 'flow'"),
        ({"hyper_parameters": {"network": 3}}, "network: "),
        ({"hyper_parameters": {"network": {"name": "rafft"}}}, "network.name: 'rafft' is not known"),
        ({"hyper_parameters": {3: 4}}, "is damaged"),
        ({"state_dict": None}, "holds no weights by name"),
        ({"pytorch-lightning_version": None}, "is no checkpoint of a run"),
        ({"stale_start": [1]}, "is damaged or of another version"),
    ],
)
def test_foreign_and_damaged_checkpoints_are_one_line(saved: Path, changes: Any, words: str) -> None:
    assert words in message(altered(saved, **changes))


def test_damaged_bytes_are_one_line(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    saved.write_bytes(content)
    assert "is damaged" in message(saved)
    saved.write_bytes(content[: len(content) // 2])
    message(saved)


def test_what_is_no_run_says_what_may_be_given(tmp_path: Path) -> None:
    assert "give a run folder (output_dir/name/version_N), a checkpoint file" in message("flow/deq-small")
    assert "is no run folder: it has no config.yaml" in message(tmp_path)
    (run := tmp_path / "runs/demo/version_3").mkdir(parents=True)
    (run / "config.yaml").write_text("model: {name: flow}\n")
    assert f"its newest run is '{run}'" in message(tmp_path / "runs/demo")
    assert "holds no checkpoint" in message(run)


def test_a_run_without_a_last_checkpoint_gives_its_best(saved: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "run/checkpoints").mkdir(parents=True)
    (folder.parent / "config.yaml").write_text("model: {name: flow}\n")
    (folder / "best.ckpt").write_bytes(saved.read_bytes())
    assert load(folder.parent).hparams["seed"] == 0
    content = torch.load(saved, weights_only=True)
    content["callbacks"] = {"ModelCheckpoint{}": {"best_model_path": "/gone/best.ckpt"}}
    content["hyper_parameters"]["seed"] = 7
    torch.save(content, folder / "newer.ckpt")
    assert load(folder.parent).hparams["seed"] == 0


@pytest.fixture
def own_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A network in a package of one's own, which leaves a trace when it is imported."""
    from sevenfold import tables

    (package := tmp_path / "own_flow").mkdir()
    (package / "__init__.py").write_text("")
    (package / "nets.py").write_text(
        "from pathlib import Path\n"
        "from sevenfold.flow.raft import RAFT\n"
        f"Path({str(tmp_path / 'imported')!r}).touch()\n"
        "class Mine(RAFT):\n"
        "    '''RAFT again.'''\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(tables, "_allowed", set())
    return "own_flow.nets:Mine"


def test_code_outside_the_suite_needs_allow(saved: Path, tmp_path: Path, own_network: str) -> None:
    options = torch.load(saved, weights_only=True)["hyper_parameters"]
    path = altered(saved, hyper_parameters={**options, "network": {**NETWORK, "name": own_network}})
    assert "is code outside the suite: give allow= with own_flow" in message(path)
    assert "is code outside the suite" in message(altered(saved, model="own_flow.nets:Mine"))
    assert not (tmp_path / "imported").exists()
    path = altered(saved, hyper_parameters={**options, "network": {**NETWORK, "name": own_network}})
    assert type(load(path, allow="own_flow").network).__name__ == "Mine"
