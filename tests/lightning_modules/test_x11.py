"""Surrogates trained by the trainer: trees, networks, checkpoints."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.x11 import CurveTables
from lightning_modules.x11 import CurveSurrogate
from sevenfold.config import ConfigError
from sevenfold.nas.benchmarks import load_benchmark
from train import main

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["callbacks.progress=null", "data.archs=400", "data.train=0.8", "model.members=2",
         "model.noise.name=gauss", "trainer.accelerator=cpu"]  # fmt: skip


def run(tmp_path: Path, monkeypatch, *settings: str) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    assert main(["--config", str(ROOT / "configs/nas/x11_fit_digits.yaml"), *SMALL, *settings]) == 0
    return max((tmp_path / "runs/x11_fit_digits").glob("version_*"))


def metrics(folder: Path) -> dict[str, float]:
    return json.loads((folder / "results.json").read_text())["metrics"]


def test_trees_by_the_trainer_are_those_of_the_plain_fit(tmp_path, monkeypatch) -> None:
    folder = run(tmp_path, monkeypatch)
    found = metrics(folder)
    assert found["test/avg_r2"] > 0.5 and found["test/leak"] == 0 < found["test_string/leak"] < 1
    bench = load_benchmark(f"x11:{folder}/surrogate")
    data = CurveTables(archs=400, train=0.8)
    plain = type(bench.surrogate.ensemble)(data.training.space, **bench.surrogate.ensemble.options())
    plain.fit(data.training.archs, data.training.means())
    archs = data.judged[0].test.archs
    curves = bench.curves(archs, split="val", metric="acc", seed="mean").values[:, 0]
    assert np.array_equal(curves, plain.predict(archs)[:, :, 0])
    for name in ("x11_curves.png", "x11_spectrum.png", "x11_tau.png"):
        assert (folder / "images" / name).stat().st_size > 5000


@pytest.mark.parametrize("compression", ["svd", pytest.param("vae", marks=pytest.mark.slow)])
def test_a9_networks_are_trained_by_the_trainer_and_come_back(compression, tmp_path, monkeypatch) -> None:
    node = f"model.compression={{name: {compression}, k: 3}}"
    regressor = "model.regressor={name: mlp, epochs: 2, width: 16}"
    small = ["trainer.max_epochs=6", "model.folds=2", "data.archs=150", "data.beside=null"]
    folder = run(tmp_path, monkeypatch, node, regressor, *small)
    stored = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    weights = [name for name in stored["state_dict"] if name.startswith("networks.")]
    assert len(weights) > 8
    first = metrics(folder)
    assert main(["test", "--ckpt", str(folder / "checkpoints/last.ckpt"), "callbacks.progress=null"]) == 0
    again = metrics(max((tmp_path / "runs/x11_fit_digits").glob("version_*")))
    assert again["test/avg_r2"] == pytest.approx(first["test/avg_r2"], abs=1e-6)


def test_hidden_weights_change_in_a_run(tmp_path) -> None:
    import pytorch_lightning as pl

    data = CurveTables(archs=200, train=0.8)
    module = CurveSurrogate(
        regressor={"name": "mlp", "epochs": 1}, members=1, folds=2, noise={"name": "none"}
    )
    before: list[torch.Tensor] = []

    class Look(pl.Callback):
        def on_train_start(self, trainer, pl_module) -> None:
            before.extend(value.detach().clone() for value in pl_module.networks.parameters())

    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, enable_model_summary=False, callbacks=[Look()],
                         default_root_dir=tmp_path)  # fmt: skip
    trainer.fit(module, datamodule=data)
    after = list(module.networks.parameters())
    assert len(after) == 6 and all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_second_table_judges(tmp_path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    codes = np.stack(np.unravel_index(np.arange(243), (3,) * 5), axis=1).astype(np.uint8)
    curves = codes.sum(axis=1)[:, None] * np.linspace(1, 5, 12) + rng.uniform(20, 21, (243, 12))
    order = rng.permutation(243)
    for name, rows in {"a.npz": order[:180], "b.npz": order[180:]}.items():
        stored = (curves[rows] * 250).round().astype(np.uint16)
        np.savez(tmp_path / name, ops=codes[rows], val_acc_x250=stored)
    folder = run(tmp_path, monkeypatch, f"data.path={tmp_path}/a.npz", f"data.test_path={tmp_path}/b.npz",
                 "data.archs=null", "model.compression.k=3")  # fmt: skip
    found = metrics(folder)
    assert found["test/rows"] == 63 and found["test/avg_r2"] > 0.8 and "test_string/avg_r2" not in found
    bench = load_benchmark(f"x11:{folder}/surrogate")
    assert bench.space.size == 243  # completed: rows of neither table have curves too
    assert bench.curves(codes.astype(np.int8), split="val", metric="acc", seed=0).values.shape == (243, 1, 12)


def test_wrong_data_options_are_named() -> None:
    with pytest.raises(ConfigError, match=r"judge_run: is \[3\]; the table has 3 runs"):
        CurveTables(judge_run=3)
