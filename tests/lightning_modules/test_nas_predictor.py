"""The predictor module learns what the plain loop learns; the study skips finished trials."""

import json
from pathlib import Path

import pytest
import torch

from datamodules.nas_predictor import PredictorCells
from lightning_modules.nas_predictor import NASPredictor
from sevenfold.nas.predictors.sample import encode
from sevenfold.nas.predictors.training import Training, fit, predict
from train import main

ROOT = Path(__file__).resolve().parents[2]
SYNTHETIC = {"name": "synthetic-nb201"}


@pytest.mark.parametrize("standardize", [False, True])
def test_the_trainer_and_the_plain_loop_agree(standardize: bool, tmp_path: Path) -> None:
    import pytorch_lightning as pl

    training = Training(epochs=3, standardize=standardize, cosine=True, batch_size=8)
    module = NASPredictor(
        network={"name": "mlp", "layers": 2, "width": 7}, training=training, members=2, k=10, seed=4
    )
    data = PredictorCells(benchmark=SYNTHETIC, train=30, val=20, test=40, members=2, batch_size=8, seed=4)
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, default_root_dir=tmp_path, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    plain = NASPredictor(network={"name": "mlp", "layers": 2, "width": 7}, members=2).predictor
    x = encode(module.space, data.cells.train.archs, "trunc_path")
    fit(plain, x[None], data.training_targets()[None], training=training, seeds=[4], members=2)
    torch.testing.assert_close(
        predict(module.predictor, x, members=2), predict(plain, x, members=2), rtol=1e-4, atol=1e-4
    )
    trainer.test(module, datamodule=data, verbose=False)
    metrics = trainer.callback_metrics
    assert {"test/mae", "test/kendall", "test/precision_at_10", "test/removed_duplicates"} <= set(metrics)


def test_a_study_prints_its_table_and_skips_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    settings = [
        "data.benchmark.name=synthetic-nb201", "data.train=[20,40]", "data.test=60", "data.seeds=2",
        "data.encodings=[adj,trunc_path]", "model.members=2", "model.training.epochs=2", "model.k=10",
        "callbacks.progress=null",
    ]  # fmt: skip
    config = str(ROOT / "configs/nas/encodings_predictor.yaml")
    assert main(["--config", config, *settings, "trainer.limit_predict_batches=1"]) == 0
    folder = tmp_path / "runs/encodings_predictor/version_0"
    first = [json.loads(line) for line in (folder / "records/records.jsonl").read_text().splitlines()]
    assert [record["key"] for record in first] == ["adj/20/0", "adj/20/1"]
    assert main(["--config", config, *settings]) == 0
    assert "trunc_path/40/spearman/mean" in capsys.readouterr().out
    whole = [
        json.loads(line)
        for line in (folder.with_name("version_1") / "records/records.jsonl").read_text().splitlines()
    ]
    assert len(whole) == 2 * 2 * 2
    assert [r for r in whole if r["key"] in ("adj/20/0", "adj/20/1")] == first


def test_a_study_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from datamodules.nas_predictor import EncodingTrials
    from sevenfold.records import append_record

    data = EncodingTrials(benchmark=SYNTHETIC, encodings=["adj", "path"], train=[20, 30], test=50, seeds=2)
    data.trainer = SimpleNamespace(default_root_dir=tmp_path)
    (tmp_path / "records").mkdir()
    for seed in (0, 1):
        append_record(tmp_path / "records/rank_0.jsonl", {"key": f"path/20/{seed}"})
    append_record(tmp_path / "records/rank_0.jsonl", {"key": "adj/20/0"})
    data.setup("predict")
    assert [(item["encoding"], item["train"]) for item in data.items] == [
        ("adj", 20), ("adj", 30), ("path", 30),
    ]  # fmt: skip
