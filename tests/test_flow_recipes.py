"""The published flow recipes: what they say, against a table of its own; that each builds and runs."""

from pathlib import Path
from typing import Any

import flow_trees
import pytest
import torch

from sevenfold.config import compose, prepare, read_file
from train import main

FLOW = Path(__file__).resolve().parents[1] / "configs/flow"
RECIPES = sorted(
    path.stem
    for path in FLOW.glob("*.yaml")
    if read_file(path).get("data", {}).get("name") == "flow_mix" and path.stem not in ("adapt", "own")
)
BENCHMARKS = ["sintel_clean", "sintel_final", "kitti"]
EVALUATED = {"chairs": ["chairs"], "things": BENCHMARKS, "sintel": BENCHMARKS, "kitti": ["kitti"]}
SETS = {
    "chairs": {"chairs"}, "things": {"things", *BENCHMARKS}, "kitti": {"kitti"},
    "sintel": {*BENCHMARKS, "hd1k", "things_clean"},
}  # fmt: skip
CROPS = {"chairs": (368, 496), "things": (400, 720), "sintel": (368, 768), "kitti": (288, 960)}
MOST = {"chairs": 120_000, "things": 120_000, "sintel": 120_000, "kitti": 50_000}
DEQ_RATES = {"chairs": (12, 4e-4), "things": (6, 1.25e-4), "sintel": (6, 1.25e-4), "kitti": (6, 1e-4)}

# RAFT: stage, steps, batch, learning rate, weight decay, gamma, precision
RAFT = {
    "raft_chairs": ("chairs", 100_000, 10, 4e-4, 1e-4, 0.8, None),
    "raft_things": ("things", 100_000, 6, 1.25e-4, 1e-4, 0.8, None),
    "raft_sintel": ("sintel", 100_000, 6, 1.25e-4, 1e-5, 0.85, None),
    "raft_kitti": ("kitti", 50_000, 6, 1e-4, 1e-5, 0.85, None),
    "raft_chairs_mixed": ("chairs", 120_000, 8, 2.5e-4, 1e-4, 0.8, "bf16-mixed"),
    "raft_things_mixed": ("things", 120_000, 5, 1e-4, 1e-4, 0.8, "bf16-mixed"),
    "raft_sintel_mixed": ("sintel", 120_000, 5, 1e-4, 1e-5, 0.85, "bf16-mixed"),
    "raft_kitti_mixed": ("kitti", 50_000, 5, 1e-4, 1e-5, 0.85, "bf16-mixed"),
}
# Version 1: stage, variant, solver, training steps of f, n, k, graph, optimizer steps
V1 = {
    "deq_v1_b_chairs": ("chairs", "B", "anderson", 36, 6, 1, "indexing", 120_000),
    "deq_v1_b_things": ("things", "B", "anderson", 40, 2, 3, "indexing", 120_000),
    "deq_v1_b_things_1step": ("things", "B", "anderson", 40, 1, 1, "indexing", 100_000),
    "deq_v1_h_chairs": ("chairs", "H_v1", "broyden", 36, 6, 1, "sliced", 120_000),
    "deq_v1_h_things": ("things", "H_v1", "broyden", 36, 6, 3, "sliced", 120_000),
    "deq_v1_h_sintel": ("sintel", "H_v1", "broyden", 36, 6, 3, "sliced", 120_000),
    "deq_v1_h_kitti": ("kitti", "H_v1", "broyden", 36, 6, 1, "sliced", 50_000),
    "deq_v1_h_things_1step": ("things", "H_v1", "anderson", 60, 1, 1, "indexing", 120_000),
}
# Version 2: stage -> steps of f, n, k; the one-step variants have n = k = 1
V2 = {"chairs": (36, 6, 1), "things": (40, 2, 3), "sintel": (40, 2, 3), "kitti": (40, 2, 3)}


def v2_recipes() -> dict[str, tuple[str, str, str, int, int, int, str, int]]:
    """Return the rows of version 2 in the form of V1's."""
    rows = {}
    for family, variant in {"b": "B", "l": "L", "h": "H", "gma": "B"}.items():
        for stage, settings in V2.items():
            rows[f"deq_{family}_{stage}"] = (stage, variant, "fixed_point", *settings, "sliced", MOST[stage])
    for family in "bh":
        for stage in ("chairs", "things"):
            settings = (V2[stage][0], 1, 1)
            rows[f"deq_{family}_{stage}_1step"] = (
                stage, family.upper(), "fixed_point", *settings, "sliced", MOST[stage],
            )  # fmt: skip
    rows["deq_h_things_3x"] = (*rows["deq_h_things"][:-1], 360_000)
    return rows


DEQ = V1 | v2_recipes()
MILLIONS = {"B": 5.243, "L": 8.674, "H": 13.395, "H_v1": 12.800, "gma": 5.784}


def config(name: str, *settings: str) -> dict[str, Any]:
    return compose([read_file(FLOW / f"{name}.yaml")], settings)


def model(name: str, *settings: str) -> Any:
    """Build a recipe's model without memory for its weights."""
    from lightning_modules import MODELS

    make = prepare(MODELS, config(name, *settings)["model"], "model")  # imports, so outside of "meta"
    with torch.device("meta"):
        return make()


def test_the_tables_name_every_recipe():
    assert sorted(RAFT | DEQ) == RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_schedule_and_data(name):
    given = config(name)
    stage = (RAFT | DEQ)[name][0]
    if name in RAFT:
        _, steps, batch, rate, decay, _, precision = RAFT[name]
    else:
        (batch, rate), steps, decay, precision = DEQ_RATES[stage], DEQ[name][-1], 1e-4, None
    optim = {"lr": rate, "weight_decay": decay, "eps": 1e-8, "warmup": 0.05, "extra_steps": 100}
    assert given["model"]["optim"] == optim
    data = {**given["data"]}
    assert data.pop("sets").keys() == SETS[stage] and data.pop("evaluate_on") == EVALUATED[stage]
    assert data == {"name": "flow_mix", "crop": list(CROPS[stage]), "batch_size": batch}
    assert given["trainer"]["max_steps"] == steps and given["trainer"]["max_epochs"] == -1
    assert given["trainer"]["gradient_clip_val"] == 1.0
    assert given["trainer"].get("precision") == precision
    assert given["callbacks"]["checkpoint"].get("monitor") is None


@pytest.mark.parametrize("name", RAFT)
def test_networks_of_raft(name):
    built = model(name)
    assert built.network.gamma == RAFT[name][5] and built.rules.iterations == [12]
    assert built.network.design.freeze_batch_norm == (RAFT[name][0] != "chairs")
    assert built.network.design.norm == "none" and built.network.design.h_init == "context"
    assert sum(p.numel() for p in built.parameters()) / 1e6 == pytest.approx(5.258, abs=5e-4)


@pytest.mark.parametrize("name", DEQ)
def test_networks_of_deq_flow(name):
    stage, variant, solver, steps, n, k, graph, _ = DEQ[name]
    network = (built := model(name)).network
    deq = network.deq
    assert type(deq.solver).__name__.lower() == solver.replace("_", "")
    assert built.rules.iterations == [steps]
    assert built.evaluation.iterations == 1.5 * steps and built.evaluation.budgets == [3 * steps]
    assert (deq.correction.n, deq.rule.steps, deq.correction.graph) == (n, k, graph)
    assert deq.rule.damping == 1 and len(deq.correction.at(steps)) == n
    assert network.gamma == (0.9 if stage in ("sintel", "kitti") else 0.8)
    assert network.detach_flow == (name in V1 or stage == "chairs")
    assert (deq.stop.mode, deq.stop.tol, network.residual) == ("abs", 1e-3, "reference")
    assert deq.returned == ("best" if name in V1 else "last")
    assert network.design.freeze_batch_norm == (stage != "chairs")
    assert network.design.gma == ("gma" in name)
    size = MILLIONS["gma" if "gma" in name else variant]
    assert sum(p.numel() for p in built.parameters()) / 1e6 == pytest.approx(size, abs=5e-4)


def arguments(folder: Path, name: str, *settings: str) -> list[str]:
    return [
        "--config", str(FLOW / f"{name}.yaml"), "trainer.accelerator=cpu", "callbacks.progress=null",
        f"output_dir={folder}", "trainer.enable_model_summary=false", *settings,
    ]  # fmt: skip


TINY = [
    "data.crop=[32,40]", "data.batch_size=2", "data.epoch_batches=1", "data.workers=0", "trainer.max_steps=2",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        pytest.param(
            "raft_things_mixed",
            ["model.network.variant=demo", "model.training.iterations=[3]"],
            marks=pytest.mark.slow,
        ),
        ("deq_h_sintel", ["model.network.variant=demo", "model.training.iterations=[4]"]),
    ],
)
@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*")
def test_two_steps_on_tiny_data_sets(name, settings, tmp_path, monkeypatch):
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    root = flow_trees.every_set(tmp_path / "data")
    few = [
        "model.evaluation={iterations: 2, budgets: [], by_dataset: {sintel_clean: 2}}",
        f"data.root={root}",
        "data.evaluate_on=[kitti, sintel_clean]",
    ]
    assert main(arguments(tmp_path, name, *TINY, *settings, *few)) == 0
    checkpoint = torch.load(
        tmp_path / name / "version_0/checkpoints/last.ckpt", weights_only=True, map_location="cpu"
    )
    assert checkpoint["global_step"] == 2 and checkpoint["epoch"] == 2  # both are over
    results = (tmp_path / name / "version_0/results.json").read_text()
    assert '"test/sintel_clean/s10-40"' in results and '"test/kitti/fl_all"' in results


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_check_16_a_dry_run_needs_no_data(name, tmp_path, monkeypatch):
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    monkeypatch.chdir(tmp_path)
    shallow = [
        "model.evaluation.iterations=2",
        "model.evaluation.by_dataset={}",
        "model.evaluation.budgets=[]",
    ]
    settings = [] if name == "deq_b_chairs" else shallow  # one of them exactly as published
    assert main(arguments(tmp_path, name, "trainer.fast_dev_run=true", *settings)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["raft_chairs", "deq_b_things_1step"])
def test_check_16_training_on_synthetic_pairs_instead(name, tmp_path, monkeypatch):
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    short = ["trainer.max_steps=2", "data.evaluation={size: 128, val_pairs: 1, test_pairs: 1}"]
    assert main(arguments(tmp_path, name, "data.name=synthetic", "data.train_pairs=2", *short)) == 0
