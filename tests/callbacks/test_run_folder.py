"""Run folders: versions, agreement between ranks, what is written."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from callbacks.run_folder import INHERITED, choose_folder, discard
from sevenfold.results import Results

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.delenv(INHERITED, raising=False)
    return {"output_dir": str(tmp_path / "runs"), "name": "n", "verb": "fit", "seed": 0}


def test_versions_count_up_and_survive_gaps(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "runs/n/version_9").mkdir(parents=True)
    (tmp_path / "runs/n/version_x").mkdir()
    assert choose_folder(config).name == "version_10"
    assert choose_folder(config).name == "version_11"


def test_launched_ranks_inherit_the_choice(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    first = choose_folder(config)
    assert os.environ[INHERITED] == str(first)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_folder(config) == first


def test_only_an_unfinished_predict_of_the_same_configuration_goes_on(config: dict[str, Any]) -> None:
    config["verb"] = "predict"
    first = choose_folder(config)
    (first / "config.yaml").write_text(yaml.safe_dump(config))
    assert choose_folder(config) == first
    Results(first, config).write("interrupted")
    assert choose_folder(config) == first
    assert choose_folder({**config, "seed": 1}) != first
    discard(first.parent / "version_1")
    Results(first, config).write("finished")
    assert choose_folder(config) != first


def test_discard_takes_back_empty_folders_only(config: dict[str, Any], tmp_path: Path) -> None:
    discard(choose_folder(config))
    assert list(tmp_path.iterdir()) == []
    kept = choose_folder(config)
    (kept / "f").touch()
    discard(kept)
    assert (kept / "f").exists()


@pytest.mark.slow
@pytest.mark.distributed
def test_ranks_started_by_torchrun_agree(tmp_path: Path) -> None:
    (script := tmp_path / "agree.py").write_text(
        "import os, pathlib\n"
        "from callbacks.run_folder import choose_folder\n"
        "folder = choose_folder({'output_dir': 'runs', 'name': 'n', 'verb': 'fit'})\n"
        "pathlib.Path(f\"rank_{os.environ['RANK']}\").write_text(str(folder))\n"
    )
    launcher = [sys.executable, "-m", "torch.distributed.run"]
    subprocess.run(
        [*launcher, "--standalone", "--nproc-per-node=2", str(script)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True, capture_output=True, timeout=900,
    )  # fmt: skip
    chosen = {(tmp_path / f"rank_{rank}").read_text() for rank in range(2)}
    assert chosen == {str(tmp_path / "runs/n/version_0")}
