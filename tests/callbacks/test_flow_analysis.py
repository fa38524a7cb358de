"""The callbacks that look closer at a tested flow model: convergence, speed bins, cost."""

import json
from pathlib import Path

import flow_trees
import pytest
import pytorch_lightning as pl
from torch.utils.data import DataLoader

from callbacks.cost import Cost
from callbacks.flow_convergence import FlowConvergence
from callbacks.flow_speed import FlowSpeed
from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from train import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A test run of the demo model with all of them, on two pairs with flow and one without."""
    folder = tmp_path_factory.mktemp("analysis")
    flow_trees.kitti(folder / "data", 3)
    (folder / "data/KittiFlow/training/flow_occ/000001_10.png").unlink()
    flow_trees.kitti(folder / "data", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
        settings = [
            f"data={{name: pairs, root: {folder / 'data/KittiFlow/training'}}}",
            f"output_dir={folder}", "name=run",
            "trainer.accelerator=cpu", "callbacks.progress=null", "callbacks.flow_images=null",
            "model.evaluation={iterations: 2, budgets: []}", "trainer.enable_model_summary=false",
            "callbacks.flow_convergence={steps: [1, 2, 5], radius_iterations: 4, count: 5}",
            "callbacks.flow_speed={bounds: [2, 4.5]}", "callbacks.cost={}",
        ]  # fmt: skip
        assert main(["test", "--untrained", "--config", str(ROOT / "configs/flow/demo.yaml"), *settings]) == 0
    return folder / "run/version_0"


def results(run):
    return json.loads((run / "results.json").read_text())["metrics"]


def test_convergence_is_drawn_and_recorded(run):
    found = json.loads((run / "analysis/convergence.json").read_text())
    assert found["pairs"] == ["kitti/000000_10", "kitti/000002_10"] and found["steps"] == [1, 2, 5]
    for solver in ("fixed_point", "anderson", "broyden"):
        assert [len(row) for row in found[solver]["residual"]] == [2] * 5
        assert [len(row) for row in found[solver]["epe"]] == [2] * 3
        last = sum(found[solver]["epe"][-1]) / 2  # the median of two
        assert results(run)[f"convergence/{solver}/epe"] == pytest.approx(last)
    # the first step is the same for all, and plain iteration is what the model was tested with
    assert found["anderson"]["epe"][0] == pytest.approx(found["fixed_point"]["epe"][0], rel=1e-4)
    assert sum(found["fixed_point"]["epe"][1]) / 2 == pytest.approx(results(run)["test/kitti/epe"], rel=0.2)
    assert len(found["spectral_radius"]) == 2 and results(run)["convergence/spectral_radius"] > 0
    assert (run / "images/convergence.png").stat().st_size > 5000


def test_speed_bins_hold_the_error_of_their_pixels(run):
    bins = {name: value for name, value in results(run).items() if name.startswith("speed/")}
    # the pairs move by (0, 1) and (8, 1) px
    assert bins.keys() == {"speed/kitti/0-2", "speed/kitti/4.5+"}
    mean = results(run)["test/kitti/epe"]  # of the two images' means
    assert sum(bins.values()) / 2 == pytest.approx(mean, rel=1e-6)
    assert (run / "images/speed.png").is_file()


def test_cost_is_among_the_results(run):
    assert 0 < results(run)["cost/test/seconds_per_batch"] < float("inf")
    assert results(run)["cost/test/peak_mib"] > 50


class Blank(pl.LightningModule):
    def test_step(self, batch, _):
        return None


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.parametrize("callback", [FlowConvergence(), FlowSpeed()])
def test_other_models_are_refused(callback, tmp_path):
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, callbacks=[callback], enable_progress_bar=False,
        default_root_dir=tmp_path, enable_checkpointing=False,
    )  # fmt: skip
    with pytest.raises(InputError, match="use it with a model of flow"):
        trainer.test(Blank(), DataLoader([{"name": "a"}]), verbose=False)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (FlowConvergence, {"steps": []}, "steps: must be increasing"),
        (FlowConvergence, {"steps": [4, 2]}, "steps: must be increasing"),
        (
            FlowConvergence,
            {"solvers": ["andersen"]},
            "solvers: 'andersen' is no solver. Did you mean 'anderson'",
        ),
        (FlowConvergence, {"radius_iterations": 1}, "radius_iterations: "),
        (FlowSpeed, {"bounds": [5, 1]}, "bounds: must be increasing"),
    ],
)
def test_impossible_options_are_refused(make, options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)


def test_cost_forgets_warming_up():
    cost = Cost(skip=1)
    cost._times = {"train": [9.0, 1.0, 3.0], "val": [2.0]}
    assert cost.results() == {"cost/train/seconds_per_batch": 2.0, "cost/val/seconds_per_batch": 2.0}
