"""Parts of a fit run that do not fit together are refused from their classes, before anything is built."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, NotRequired, get_type_hints, is_typeddict

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from callbacks import CALLBACKS
from datamodules import DATAMODULES
from datamodules.fairness import FairnessRows
from lightning_modules import MODELS
from lightning_modules.tabular import TabularClassifier
from sevenfold.config import ConfigError, build, locate
from sevenfold.errors import InputError
from sevenfold.exchange import check_exchange
from sevenfold.fairness.batch import InputFacts
from train import main

ROOT = Path(__file__).resolve().parents[1]
TABLES = {"model": MODELS, "data": DATAMODULES, "callbacks": CALLBACKS}
NEEDY = [name for name, reference in CALLBACKS.items() if hasattr(locate(reference), "needs")]


def check(model: str, data: str, *callbacks: str) -> None:
    parts = {"model": {"name": model}, "data": {"name": data}}
    check_exchange({**parts, "callbacks": {name: {} for name in callbacks}}, TABLES)


def gives(kind: str, name: str) -> set[type]:
    target = locate(TABLES[kind][name])
    return {target.batch, getattr(target, "outputs", target.batch)}


@pytest.mark.parametrize(("model", "data"), list(product(MODELS, DATAMODULES)))
def test_every_module_and_every_data_module(model: str, data: str) -> None:
    takes, offers = locate(MODELS[model]).batch, locate(DATAMODULES[data]).batch
    if takes is offers:
        check(model, data)
        return
    expected = f"data.name: '{data}' gives {offers.__name__}, and model '{model}' takes {takes.__name__}"
    with pytest.raises(ConfigError) as caught:
        check(model, data)
    assert str(caught.value) == expected


@pytest.mark.parametrize(("model", "callback"), list(product(MODELS, NEEDY)))
def test_every_callback_that_looks_at_batches_or_outputs(model: str, callback: str) -> None:
    data = next(name for name in DATAMODULES if gives("data", name) <= gives("model", model))
    if locate(CALLBACKS[callback]).needs in gives("model", model):
        check(model, data, callback)
        return
    with pytest.raises(ConfigError, match=rf"^callbacks\.{callback}: needs \w+, and this run gives \w+"):
        check(model, data, callback)


@pytest.mark.parametrize("callback", NEEDY)
def test_a_study_has_no_batches(callback: str) -> None:
    with pytest.raises(ConfigError, match="a study gives records"):
        check_exchange({"study": {"name": "nas_search"}, "callbacks": {callback: {}}}, TABLES)
    check_exchange({"study": {"name": "nas_search"}, "callbacks": {callback: None}}, TABLES)


class Own(pl.LightningModule):
    """A module of somebody else's, which names nothing."""


def test_what_names_nothing_is_not_checked() -> None:
    tables = {**TABLES, "model": {"own": "test_exchange:Own"}}
    for data, callback in product(DATAMODULES, NEEDY):
        parts = {"model": {"name": "own"}, "data": {"name": data}, "callbacks": {callback: {}}}
        check_exchange(parts, tables)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "data={name: predictor_cells}",
            "data.name: 'predictor_cells' gives CellBatch, and model 'flow' takes",
        ),
        (
            "callbacks.x11_report={}",
            "callbacks.x11_report: needs Judgement, and this run gives FlowBatch and",
        ),
    ],
)
def test_a_mismatch_is_one_line_and_nothing_is_written(
    setting: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(ROOT / "configs/flow/demo.yaml")
    assert main(["--config", config, f"output_dir={tmp_path}/runs", setting]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}") and error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


SMALL: dict[str, dict[str, Any]] = {
    "attribute_images": {"shapes": 64, "batch_size": 8},
    "curve_tables": {"archs": 120},
    "denoiser_images": {},
    "fairness_rows": {"source": {"name": "synthetic", "n": 600}},
    "predictor_cells": {"benchmark": {"name": "synthetic-nb201"}, "train": 20, "val": 10, "test": 10},
    "synthetic": {"crop": 64, "train_pairs": 4},
}


@pytest.mark.parametrize("name", SMALL)
def test_a_batch_is_what_the_data_module_says(name: str) -> None:
    data = build(DATAMODULES, {"name": name, **SMALL[name]}, "data")
    data.setup("fit")
    batch, kind = next(iter(data.train_dataloader())), type(data).batch
    if is_typeddict(kind):
        optional = {key for key, hint in get_type_hints(kind, include_extras=True).items() if _optional(hint)}
        assert set(kind.__annotations__) - optional <= set(batch) <= set(kind.__annotations__)
    else:
        assert type(batch) is kind


def _optional(hint: object) -> bool:
    return getattr(hint, "__origin__", None) is NotRequired


@pytest.fixture
def quick_trainer(tmp_path: Path) -> Callable[[], pl.Trainer]:
    def make() -> pl.Trainer:
        return pl.Trainer(
            max_epochs=1, limit_train_batches=2, accelerator="cpu", devices=1, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            default_root_dir=tmp_path,
        )  # fmt: skip

    return make


def test_facts_come_from_the_data_module_or_from_the_caller(quick_trainer: Callable[[], pl.Trainer]) -> None:
    rows = FairnessRows(**SMALL["fairness_rows"])
    handed_over, by_hand = TabularClassifier(depth=1), TabularClassifier(depth=1)
    torch.manual_seed(0)  # dropout draws from the global generator
    quick_trainer().fit(handed_over, rows)
    train, val = rows.train_dataloader(), rows.val_dataloader()
    by_hand.prepare_for(InputFacts(rows.split.train.x[0]))
    torch.manual_seed(0)
    quick_trainer().fit(by_hand, train, val)
    for name, value in handed_over.state_dict().items():
        assert torch.equal(value, by_hand.state_dict()[name]), name


@pytest.mark.parametrize("model", [name for name in MODELS if hasattr(locate(MODELS[name]), "prepare_for")])
def test_without_facts_one_line_says_what_to_do(model: str, quick_trainer: Callable[[], pl.Trainer]) -> None:
    if model == "denoiser_trainer":
        pytest.importorskip("diffusers", reason="needs the extra diffrep (diffusers)")
    options = {
        "nas_predictor": {"training": {"standardize": True}},
        "noise_study": {"noises": {"gauss": {"name": "gauss"}}},
        "denoiser_trainer": {"network": {"name": "diffusers_unet", "widths": [16]}},
    }
    module = build(MODELS, {"name": model, **options.get(model, {})}, "model")
    loader: DataLoader = DataLoader([torch.zeros(1)])  # type: ignore[arg-type]
    expected = r"knows nothing of its data: .*prepare_for\(\)|expected 3 channels|a batch to train on"
    with pytest.raises(InputError, match=expected):
        if model == "denoiser_trainer":
            module.prior()
        else:
            validates = type(module).validation_step is not pl.LightningModule.validation_step
            quick_trainer().fit(module, loader, loader if validates else None)
