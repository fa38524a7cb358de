"""The predictor module learns what the plain loop learns."""

from pathlib import Path

import pytest
import torch

from datamodules.nas_predictor import PredictorCells
from lightning_modules.nas_predictor import NASPredictor
from sevenfold.nas.predictors.sample import encode
from sevenfold.nas.predictors.training import Training, fit, predict

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
    fit(plain, x[None], data.facts().targets[None], training=training, seeds=[4], members=2)
    torch.testing.assert_close(
        predict(module.predictor, x, members=2), predict(plain, x, members=2), rtol=1e-4, atol=1e-4
    )
    trainer.test(module, datamodule=data, verbose=False)
    metrics = trainer.callback_metrics
    assert {"test/mae", "test/kendall", "test/precision_at_10", "test/removed_duplicates"} <= set(metrics)
