"""Samples end to end: records, report, pictures, resume, ranks; what bad input is told."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from sevenfold.records import read_folder
from train import main

ROOT = Path(__file__).resolve().parents[1]
DIFFUSION = ROOT.parent / "shared/data/diffusion"
SMALL = ["data.samples=5", "data.chunk=3", "data.prior.source.size=8", "data.prior.components=1",
         "data.real.size=8", "callbacks.progress=null", "data.representations.siren.size=8",
         "data.representations.siren.width=8"]  # fmt: skip


def run(tmp_path: Path, *settings: str, config: str = "demo") -> Path:
    path = ROOT / f"configs/diffreps/{config}.yaml"
    assert main(["--config", str(path), f"output_dir={tmp_path}", *settings]) == 0
    return max((tmp_path / config).glob("version_*"), key=lambda p: int(p.name.split("_")[1]))


def numbers(folder: Path) -> list[dict[str, Any]]:
    return [
        {k: v for k, v in r.items() if k not in ("seconds", "memory")}
        for r in read_folder(folder / "records")
    ]


def short(path: Path) -> list[str]:
    """A configuration with few, short methods, for every command line alike."""
    content = {
        "base": str(ROOT / "configs/diffreps/demo.yaml"),
        "name": "demo",
        "data": {
            "methods": {"ddim": None, "pullback_adam": None, "fit": None, "sjc": None},
        },
    }
    path.write_text(yaml.safe_dump(content))
    return [
        "data.methods.reference.schedule.levels=8", "data.methods.sds.count=30",
        "data.methods.pullback.schedule={name: karras, levels: 12}", *SMALL,
    ]  # fmt: skip


def start(tmp_path: Path, *settings: str) -> Path:
    own = short(tmp_path / "short.yaml")
    assert main(["--config", str(tmp_path / "short.yaml"), f"output_dir={tmp_path}", *own, *settings]) == 0
    return max((tmp_path / "demo").glob("version_*"), key=lambda p: int(p.name.split("_")[1]))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return start(tmp_path_factory.mktemp("samples"))


def test_every_sample_has_a_record_and_every_group_is_told(finished: Path) -> None:
    records = read_folder(finished / "records")
    assert len(records) == len({record["key"] for record in records}) == 3 * 5
    metrics = json.loads((finished / "results.json").read_text())["metrics"]
    assert metrics["siren/pullback/calls"] == 12 and metrics["siren/sds/calls"] == 30
    assert metrics["siren/pullback/psnr"] > metrics["siren/sds/psnr"] and 0 < metrics["siren/sds/entropy"] < 1
    assert "psnr" not in next(r for r in records if r["group"] == "siren/reference")
    text = (finished / "table.txt").read_text()
    assert "real images" in text and "Frechet, local" in text and "log-lik." in text
    page = (finished / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 1 and "no Inception FID" in page
    pictures = {path.name for path in (finished / "images").iterdir()}
    assert {"contact.png", "curves.png", "siren--pullback.gif"} <= pictures
    assert not list((finished / "samples").glob("*.snapshot"))


def test_check_12_a_run_that_was_cut_off_goes_on_and_ends_the_same(finished: Path, tmp_path: Path) -> None:
    """The second chunk of the pullback is cut off after some levels, as a kill would do; the rest is gone."""
    from sevenfold.diffreps.methods.pullback import Pullback

    advance, seen = Pullback.advance, []

    def dies(self: Any, task: Any, state: Any) -> None:
        seen.append(len(task))
        if type(self) is Pullback and len(task) == 2 and state.step == 10:
            raise KeyboardInterrupt
        advance(self, task, state)

    Pullback.advance = dies  # type: ignore[method-assign]
    try:
        with pytest.raises((SystemExit, KeyboardInterrupt)):
            start(tmp_path, "model.snapshot_every=5")
    finally:
        Pullback.advance = advance  # type: ignore[method-assign]
    folder = tmp_path / "demo/version_0"
    assert len(list((folder / "samples").glob("*.snapshot"))) == 1
    assert start(tmp_path, "model.snapshot_every=5") == folder
    assert numbers(folder) == numbers(finished)


@pytest.mark.distributed
def test_check_12_one_and_two_processes_draw_the_same_samples(finished: Path, tmp_path: Path) -> None:
    settings = short(tmp_path / "short.yaml")
    environment = {key: value for key, value in os.environ.items() if key != "SEVENFOLD_RUN_FOLDER"}
    two = ["trainer.devices=2", "trainer.strategy=ddp", f"output_dir={tmp_path}"]
    command = [sys.executable, str(ROOT / "train.py"), "--config", str(tmp_path / "short.yaml")]
    done = subprocess.run([*command, *settings, *two], cwd=tmp_path, env=environment, capture_output=True,
                          text=True, timeout=600)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert numbers(tmp_path / "demo/version_0") == numbers(finished)


def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, *settings: str) -> str:
    path = ROOT / "configs/diffreps/siren_gmm.yaml"
    assert main(["--config", str(path), f"output_dir={tmp_path}", *settings]) == 2
    assert not list(tmp_path.iterdir())
    return capsys.readouterr().err


BAD = [
    (["data.representations.siren.size=8"], "shape (1, 8, 8), the prior knows (1, 16, 16)"),
    (["data.representations={g: {name: gaussians2d, low: 0.0}}"], "from 0 to 1.2, the prior's images"),
    (["data.methods.pullback.schedule.name=kerras"], "Did you mean 'karras'?"),
    (["data.methods.pullback.schedule={name: karras, sigma_min: 30}"], "needs 0 < sigma_min <"),
    (["data.methods.pullback.schedule={name: table, levels: 2000}"], "has 1000 entries, 2000 were"),
    (["data.methods.pullback.solver={name: linear}"], "affine in its parameters, which Siren is not"),
    (["data.methods.pullback.solver.name=gauss"], "Known: cg, decoded, dense, dense_cg, inner, linear, lsmr"),
    (["data.view_noises={a: {name: anchored}}"], "Siren has no places of its own to anchor noise to"),
    (["data.conditions=[0, 10]"], "10 is none of the prior's 10 classes"),
    (["data.methods.pullback.resampling.rounds=-1"], "needs rounds >= 0"),
    (["data.prior={name: state_dict, path: nowhere.pth}"], "weights 'nowhere.pth' do not exist"),
    (["data.prior={name: unet, path: nowhere.ckpt}"], "nowhere.ckpt"),
    (["data.chunk=0"], "must be at least 1, got 0"),
    (["data.representations.siren.w0=-3"], "must be positive, got -3"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "said"), BAD, ids=[said[:30] for _, said in BAD])
def test_bad_input_is_told_before_anything_starts(
    settings: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cheap = [] if "data.prior=" in settings[0] else ["data.prior.components=1"]
    assert said in refused(capsys, tmp_path, *cheap, *settings)


def test_a_reference_that_is_no_method_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = ROOT / "configs/diffreps/siren_gmm.yaml"
    settings = ["model.reference=heun", "data.prior.components=1", f"output_dir={tmp_path}"]
    assert main(["--config", str(path), *settings]) == 2
    assert "'heun' is none of reference, pullback" in capsys.readouterr().err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from sevenfold.diffreps.networks.diffusers_unet import DiffusersUNet

    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ValueError, match=r"pip install 'sevenfold\[diffrep\]'"):
        DiffusersUNet()


def test_a_checkpoint_of_the_trainer_is_a_prior(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("diffusers")
    few = ["trainer.max_epochs=1", "trainer.limit_train_batches=2", "trainer.limit_val_batches=1",
           "test_after_fit=false", "model.network.widths=[16]", "callbacks.progress=null"]  # fmt: skip
    checkpoint = run(tmp_path, *few, config="train_unet_digits") / "checkpoints/last.ckpt"
    assert torch.load(checkpoint, weights_only=True)["denoiser"]["classes"] == 10
    levels = [
        f"data.methods.{name}.schedule.levels=4" for name in ("reference", "pullback", "pullback_guided")
    ]
    few = [f"data.prior.path={checkpoint}", "data.samples=2", "callbacks.progress=null", *levels]
    folder = run(tmp_path, *few, config="siren_unet")
    record = next(r for r in read_folder(folder / "records") if r["group"] == "siren/pullback_guided")
    assert record["evaluations"] == 2 * record["calls"] == 8 and record["asked"] in (0, 1)
    path = ROOT / "configs/diffreps/siren_unet.yaml"
    assert main(["--config", str(path), f"data.prior.path={checkpoint}", "data.prior.name=unet",
                 "data.representations.siren.size=16"]) == 2  # fmt: skip
    assert "the prior knows (1, 8, 8)" in capsys.readouterr().err


@pytest.mark.slow
def test_check_16_the_demo_reaches_its_bars(tmp_path: Path) -> None:
    metrics = json.loads((run(tmp_path) / "results.json").read_text())["metrics"]
    assert metrics["siren/pullback/calls"] == 30 and metrics["siren/pullback/psnr"] >= 35
    assert metrics["siren/pullback/entropy"] >= 0.93
    assert metrics["siren/pullback/pairwise"] >= 0.9 * metrics["siren/reference/pairwise"]
    assert metrics["siren/pullback/frechet_local"] <= 1.25 * metrics["siren/reference/frechet_local"]
    for name in ("sds", "sjc"):
        assert metrics[f"siren/{name}/calls"] == 600 and metrics[f"siren/{name}/entropy"] <= 0.7


@pytest.mark.slow
@pytest.mark.skipif(not DIFFUSION.is_dir(), reason="shared/data/diffusion is not here")
def test_check_18_sine_networks_follow_ddim_through_the_third_party_network(tmp_path: Path) -> None:
    folder = run(tmp_path, f"data.root={DIFFUSION}", config="siren_mnist")
    metrics = json.loads((folder / "results.json").read_text())["metrics"]
    assert metrics["siren/pullback/calls"] == 25
    assert metrics["siren/pullback/psnr"] >= 30 and metrics["siren/pullback/psnr_worst"] >= 24
    assert metrics["siren/pullback/confidence"] >= 0.9 * metrics["siren/reference/confidence"]


@pytest.mark.slow
def test_check_17_a_denoiser_of_its_own_and_sine_networks_through_it(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    trained = run(tmp_path, config="train_unet_digits")
    metrics = json.loads((trained / "results.json").read_text())["metrics"]
    assert metrics["test/class_accuracy"] >= 0.95 and metrics["test/entropy"] >= 0.97
    checkpoint = trained / "checkpoints/last.ckpt"
    sampled = json.loads(
        (run(tmp_path, f"data.prior.path={checkpoint}", config="siren_unet") / "results.json").read_text()
    )["metrics"]
    assert sampled["siren/pullback/correct"] >= 0.9 and sampled["siren/pullback/entropy"] >= 0.93
