"""Studies of samples end to end: records, report, pictures, resumption, ranks; bad input is refused."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_modules.diffrep import DiffrepSampler
from sevenfold.config import build, merge, read_file
from sevenfold.diffreps.studies import STUDIES
from sevenfold.records import read_folder
from sevenfold.study import Context, Study
from train import main

ROOT = Path(__file__).resolve().parents[2]
DIFFUSION = ROOT.parent / "shared/data/diffusion"
DEMO = ROOT / "configs/diffreps/demo.yaml"
SMALL: dict[str, Any] = {
    "samples": 5,
    "chunk": 3,
    "prior": {"source": {"name": "digits", "size": 8}, "components": 1},
    "real": {"size": 8},
    "representations": {"siren": {"size": 8, "width": 8}},
    "methods": {
        "ddim": None,
        "pullback_adam": None,
        "fit": None,
        "sjc": None,
        "reference": {"schedule": {"levels": 8}},
        "sds": {"count": 30},
        "pullback": {"schedule": {"name": "karras", "levels": 12}},
    },
}  # few, short methods


def run(tmp_path: Path, *settings: str, config: str = "demo") -> Path:
    path = ROOT / f"configs/diffreps/{config}.yaml"
    quiet = [f"output_dir={tmp_path}", "callbacks.progress=null"]
    assert main(["--config", str(path), *quiet, *settings]) == 0
    return max((tmp_path / config).glob("version_*"), key=lambda p: int(p.name.split("_")[1]))


def numbers(folder: Path) -> list[dict[str, Any]]:
    return read_folder(folder / "records")


def study(**changes: Any) -> Study:
    return build(STUDIES, merge(merge(read_file(DEMO)["study"], SMALL), changes), "study")


def short(tmp_path: Path) -> Path:
    """The small demo as a file, for command lines."""
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump({"base": str(DEMO), "name": "demo", "study": SMALL}))
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    settings = [f"output_dir={folder}", "callbacks.progress=null"]
    assert main(["--config", str(short(folder)), *settings]) == 0
    return folder / "demo/version_0"


def test_every_sample_has_a_record_and_every_group_is_reported(finished: Path) -> None:
    records = numbers(finished)
    assert len(records) == len({record["key"] for record in records}) == 3 * 5
    assert not any({"seconds", "memory"} & set(record) for record in records)
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


def test_a_report_needs_neither_prior_nor_images(finished: Path, tmp_path: Path) -> None:
    """The report is written by a study whose files do not exist."""
    absent = {"prior": {"name": "unet", "path": "nowhere.ckpt"}, "real": {"name": "mnist", "root": "nowhere"}}
    report = study(**absent).report(numbers(finished), finished)
    assert {len(row) for row in report.headline} == {8}
    assert [row[0] for row in report.headline[1:]] == [
        "real images", "siren/reference", "siren/pullback", "siren/sds",
    ]  # fmt: skip
    assert dict(report.scalars) == json.loads((finished / "results.json").read_text())["metrics"]
    assert [path.name for path in report.pictures][:2] == ["contact.png", "curves.png"]
    assert all(path.is_file() for path in report.pictures)


def cut_off(monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    """Raise within the second chunk of the pullback, after some levels."""
    from sevenfold.diffreps.methods.pullback import Pullback

    advance = Pullback.advance

    def dies(self: Any, task: Any, state: Any) -> None:
        if type(self) is Pullback and len(task) == 2 and state.step == 10:
            raise error
        advance(self, task, state)

    monkeypatch.setattr(Pullback, "advance", dies)


def test_an_interrupted_study_resumes_and_ends_the_same(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what a killed process leaves on disk remains."""
    with monkeypatch.context() as patch:
        cut_off(patch, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            study(snapshot_every=5).run_all(tmp_path)
    assert len(list((tmp_path / "samples").glob("*.snapshot"))) == 1
    study(snapshot_every=5).run_all(tmp_path)
    assert numbers(tmp_path) == numbers(finished)


def stopping_after(calls: int) -> Callable[[], bool]:
    """A signal that arrives after ``calls`` checks."""
    seen = []

    def stopping() -> bool:
        seen.append(None)
        return len(seen) > calls

    return stopping


STOPS = [
    ("siren/reference", 0),
    ("siren/reference", 7),  # in the last step
    ("siren/pullback", 4),
    ("siren/pullback", 15),  # among the images of the reference, which follow the piece's own 12 levels
    ("siren/sds", 9),
]


@pytest.mark.parametrize(("method", "calls"), STOPS)
def test_a_stopped_piece_resumes_from_its_snapshot(
    finished: Path, tmp_path: Path, method: str, calls: int
) -> None:
    """The signal arrives among its samples, or among those of the reference that they are compared with."""
    sampling, shares = study(), []
    piece = next(piece for piece in sampling.pieces() if piece.group == method)
    context = Context(tmp_path, stopping=stopping_after(calls), progress=shares.append)
    assert sampling.run(piece, context) == [] and len(shares) == 1 and 0 < shares[0] <= 1
    assert len(list((tmp_path / "samples").glob("*.snapshot"))) == 1
    records = sampling.run(piece, Context(tmp_path))
    expected = [record for record in numbers(finished) if record["key"] in piece.keys]
    assert [{k: v for k, v in r.items() if k not in sampling.timing} for r in records] == expected
    assert not list((tmp_path / "samples").glob("*.snapshot"))


@pytest.mark.slow
def test_a_piece_is_the_same_in_any_process_and_order(finished: Path, tmp_path: Path) -> None:
    sampling = study()
    sampling.check()
    assert not {"prior", "scorer", "methods"} & set(vars(pickle.loads(pickle.dumps(sampling))))
    expected = {record["key"]: record for record in numbers(finished)}
    for piece in reversed(sampling.pieces()):
        fresh = pickle.loads(pickle.dumps(sampling))
        for record in fresh.run(pickle.loads(pickle.dumps(piece)), Context(tmp_path)):
            assert {k: v for k, v in record.items() if k not in sampling.timing} == expected[record["key"]]


def test_the_module_draws_the_samples_of_the_study(finished: Path) -> None:
    module = DiffrepSampler(study())
    pictures = module.sample(2)
    saved = torch.load(finished / "samples/siren--pullback--00000.pt", weights_only=True)["pictures"][:2]
    torch.testing.assert_close(pictures.cpu().float(), saved, atol=1e-3, rtol=0)
    assert not torch.equal(module.sample(2, seed=1), pictures)
    assert torch.equal(module.sample(2), pictures)
    assert module.sample(3, method="reference").shape == (3, 1, 8, 8)


def test_a_curve_in_the_plane_is_drawn_over_its_prior(tmp_path: Path) -> None:
    node = read_file(ROOT / "configs/diffreps/toy2d.yaml")["study"]
    changes = {"samples": 20, "chunk": 20, "methods": {"resampled": None, "fit": None, "sds": {"count": 5}}}
    sampling = build(STUDIES, merge(node, changes), "study")
    report = sampling.report(sampling.run_all(tmp_path))
    assert report.pictures[0].name == "plane.png" and report.pictures[0].is_file()
    facts = torch.load(tmp_path / "samples/plane.pt", weights_only=True)
    assert torch.trapezoid(facts["law"], facts["t"]) == pytest.approx(1)
    points = torch.load(tmp_path / "samples/curve--pullback--00000.pt", weights_only=True)["images"].flatten(
        1
    )
    torch.testing.assert_close(points[:, 1], 0.6 * torch.sin(1.2 * points[:, 0]))


@pytest.mark.distributed
def test_one_and_two_processes_draw_the_same_samples(finished: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "SEVENFOLD_RUN_FOLDER"}
    two = ["trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu", f"output_dir={tmp_path}"]
    command = [sys.executable, str(ROOT / "train.py"), "--config", str(short(tmp_path))]
    process = subprocess.run([*command, *two], cwd=tmp_path, env=environment, capture_output=True,
                          text=True, timeout=600)  # fmt: skip
    assert process.returncode == 0, process.stderr[-2000:]
    assert numbers(tmp_path / "demo/version_0") == numbers(finished)


def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, *settings: str) -> str:
    path = ROOT / "configs/diffreps/siren_gmm.yaml"
    assert main(["--config", str(path), f"output_dir={tmp_path}", *settings]) == 2
    assert not list(tmp_path.iterdir())
    return capsys.readouterr().err


BAD = [
    (["study.representations.siren.size=8"], "shape (1, 8, 8), the prior knows (1, 16, 16)"),
    (["study.representations={g: {name: gaussians2d, low: 0.0}}"], "from 0 to 1.2, the prior's images"),
    (["study.methods.pullback.schedule.name=kerras"], "Did you mean 'karras'?"),
    (["study.methods.pullback.schedule={name: karras, sigma_min: 30}"], "needs 0 < sigma_min <"),
    (["study.methods.pullback.schedule={name: table, levels: 2000}"], "has 1000 entries, 2000 were"),
    (["study.methods.pullback.solver={name: linear}"], "affine in its parameters, which Siren is not"),
    (["study.methods.pullback.solver.name=gauss"], "Known: cg, decoded, dense, dense_cg, inner, linear"),
    (["study.view_noises={a: {name: anchored}}"], "Siren has no places of its own to anchor noise to"),
    (["study.conditions=[0, 10]"], "10 is none of the prior's 10 classes"),
    (["study.methods.pullback.resampling.rounds=-1"], "resampling.rounds: expected a number from 0"),
    (["study.prior={name: network, weights: nowhere.pth}"], "weights 'nowhere.pth' do not exist"),
    (["study.prior={name: unet, path: nowhere.ckpt}"], "nowhere.ckpt"),
    (["study.chunk=0"], "study.chunk: expected a number from 1"),
    (["study.representations.siren.w0=-3"], "siren.w0: expected a number above 0"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "message"), BAD, ids=[message[:30] for _, message in BAD])
def test_bad_input_is_refused_before_anything_starts(
    settings: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cheap = [] if "study.prior=" in settings[0] else ["study.prior.components=1"]
    assert message in refused(capsys, tmp_path, *cheap, *settings)


def test_a_reference_that_is_no_method_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = ROOT / "configs/diffreps/siren_gmm.yaml"
    settings = ["study.reference=heun", "study.prior.components=1", f"output_dir={tmp_path}"]
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
           "test_after_fit=false", "model.network.widths=[16]"]  # fmt: skip
    checkpoint = run(tmp_path, *few, config="train_unet_digits") / "checkpoints/last.ckpt"
    assert torch.load(checkpoint, weights_only=True)["denoiser"]["classes"] == 10
    levels = [
        f"study.methods.{name}.schedule.levels=4" for name in ("reference", "pullback", "pullback_guided")
    ]
    few = [f"study.prior.path={checkpoint}", "study.samples=2", *levels]
    folder = run(tmp_path, *few, config="siren_unet")
    record = next(r for r in read_folder(folder / "records") if r["group"] == "siren/pullback_guided")
    assert record["evaluations"] == 2 * record["calls"] == 8 and record["asked"] in (0, 1)
    path = ROOT / "configs/diffreps/siren_unet.yaml"
    assert main(["--config", str(path), f"study.prior.path={checkpoint}", "study.prior.name=unet",
                 "study.representations.siren.size=16"]) == 2  # fmt: skip
    assert "the prior knows (1, 8, 8)" in capsys.readouterr().err


@pytest.mark.slow
def test_the_demo_reaches_its_figures(tmp_path: Path) -> None:
    metrics = json.loads((run(tmp_path) / "results.json").read_text())["metrics"]
    assert metrics["siren/pullback/calls"] == 30 and metrics["siren/pullback/psnr"] >= 35
    assert metrics["siren/pullback/entropy"] >= 0.93
    assert metrics["siren/pullback/pairwise"] >= 0.9 * metrics["siren/reference/pairwise"]
    assert metrics["siren/pullback/frechet_local"] <= 1.25 * metrics["siren/reference/frechet_local"]
    for name in ("sds", "sjc"):
        assert metrics[f"siren/{name}/calls"] == 600 and metrics[f"siren/{name}/entropy"] <= 0.7


@pytest.mark.slow
@pytest.mark.skipif(not DIFFUSION.is_dir(), reason="shared/data/diffusion is not here")
def test_sine_networks_follow_ddim_under_the_third_party_network(tmp_path: Path) -> None:
    folder = run(tmp_path, f"study.root={DIFFUSION}", config="siren_mnist")
    metrics = json.loads((folder / "results.json").read_text())["metrics"]
    assert metrics["siren/pullback/calls"] == 25
    assert metrics["siren/pullback/psnr"] >= 30 and metrics["siren/pullback/psnr_worst"] >= 24
    assert metrics["siren/pullback/confidence"] >= 0.9 * metrics["siren/reference/confidence"]


@pytest.mark.slow
def test_a_trained_denoiser_and_sine_networks_under_it_reach_their_figures(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    trained = run(tmp_path, config="train_unet_digits")
    metrics = json.loads((trained / "results.json").read_text())["metrics"]
    assert metrics["test/class_accuracy"] >= 0.95 and metrics["test/entropy"] >= 0.97
    checkpoint = trained / "checkpoints/last.ckpt"
    sampled = json.loads(
        (run(tmp_path, f"study.prior.path={checkpoint}", config="siren_unet") / "results.json").read_text()
    )["metrics"]
    assert sampled["siren/pullback/correct"] >= 0.9 and sampled["siren/pullback/entropy"] >= 0.93


LATENT = sorted(path.stem for path in (ROOT / "configs/diffreps").glob("*_sd.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("config", LATENT)
def test_recipes_of_text_to_image_models_run_with_a_tiny_one(config: str, tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="needs the extra sd (diffusers)")
    pytest.importorskip("transformers", reason="needs the extra sd (transformers)")
    from sevenfold.diffreps.tiny_pipeline import write

    write(folder := tmp_path / "tiny")
    node = read_file(ROOT / f"configs/diffreps/{config}.yaml")["study"]
    settings = [f"study.prior.path={folder}", "study.samples=1"]
    for label, shape in node["representations"].items():
        small = {"size": 8} | ({"length": 24} if "length" in shape["inner"] else {})
        small |= {key: 8 for key in ("resolution", "samples", "width") if key in shape["inner"]}
        settings += [f"study.representations.{label}.inner.{key}={n}" for key, n in small.items()]
    settings += [f"study.methods.{label}.schedule.levels=2" for label in node["methods"]]
    assert (run(tmp_path, *settings, config=config) / "images/contact.png").is_file()
