"""Scores of flow over two processes are those of one, to the last digit that a sum's order leaves alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import flow_trees
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "trainer.accelerator=cpu", "callbacks.progress=null", "model.network.variant=demo", "data.workers=0",
    "model.evaluation={iterations: 2, budgets: [1]}",
]  # fmt: skip


def run(folder: Path, *arguments: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "SEVENFOLD_RUN_FOLDER"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *arguments, *SMALL, f"output_dir={folder}"],
        env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.distributed
def test_check_11_two_processes_score_as_one(tmp_path: Path) -> None:
    root = flow_trees.every_set(tmp_path / "data")
    flow_trees.kitti(root, 3)  # 11 pairs: an odd number, of several sets
    common = [
        "test",
        "--untrained",
        "--config",
        str(ROOT / "configs/flow/deq_b_things.yaml"),
        f"data.root={root}",
    ]
    run(tmp_path, *common, "name=one")
    run(tmp_path, *common, "name=two", "trainer.devices=2", "trainer.strategy=ddp")
    one, two = (
        json.loads((tmp_path / name / "version_0/results.json").read_text()) for name in ("one", "two")
    )
    assert {"test/sintel_final/epe_at_1", "test/kitti/fl_all"} <= one["metrics"].keys()
    for part in ("metrics", "reference"):
        assert one[part].keys() == two[part].keys()
        assert two[part] == pytest.approx(one[part], rel=1e-12)


@pytest.mark.slow
@pytest.mark.distributed
def test_two_processes_predict_as_one_and_keep_sequences_whole(tmp_path: Path) -> None:
    from sevenfold.flow.formats import read_flow
    from sevenfold.records import read_folder

    flow_trees.sintel(tmp_path / "data")
    configs = [f"--config={ROOT}/configs/flow/{name}.yaml" for name in ("demo", "submit_sintel")]
    common = ["predict", "--untrained", *configs, f"data.root={tmp_path}/data/Sintel/test"]
    run(tmp_path, *common, "name=one")
    run(tmp_path, *common, "name=two", "trainer.devices=2", "trainer.strategy=ddp")
    one, two = (tmp_path / name / "version_0" for name in ("one", "two"))
    fields = sorted(path.relative_to(one) for path in one.glob("predictions/**/*.flo"))
    assert len(fields) == 8
    for path in fields:
        torch.testing.assert_close(read_flow(two / path)[0], read_flow(one / path)[0])
    keys = [[record["key"] for record in read_folder(each / "records")] for each in (one, two)]
    assert keys[0] == keys[1] and len(keys[0]) == 4
