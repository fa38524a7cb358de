"""The build of the benchmark: shards, resumption, the table."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.digits.build import Build, class_numbers, class_ops, plan_shards, train_shard
from sevenfold.nas.digits.training import Recipe
from sevenfold.nas.spaces.nb201_keys import classes
from train import main

ROOT = Path(__file__).resolve().parents[3]
CONFIG = ROOT / "configs/nas/build_digits_nb201.yaml"
TINY = [
    "study.classes=4",
    "study.seeds=2",
    "study.block=2",
    "study.recipe.epochs=2",
    "study.recipe.channels=4",
]
RECIPE = Recipe(epochs=2, channels=4)


def tiny(folder: Path, **options: int) -> Build:
    return Build(folder, RECIPE, **{"seeds": 2, "block": 2, "classes": 4, **options})


def test_shards_cover_every_class_and_seed_once() -> None:
    shards = plan_shards(np.arange(5425), seeds=3, size=128)
    for seed in range(3):
        members = np.concatenate([shard.members for shard in shards if shard.seed == seed])
        assert np.array_equal(np.sort(members), np.arange(5425))
    assert [shard.seed for shard in shards] == sorted(shard.seed for shard in shards)
    assert len({shard.name for shard in shards}) == len(shards)
    assert len(class_ops()) == 5425


def test_a_build_resumes_and_its_table_holds_every_run(tmp_path: Path) -> None:
    build = tiny(tmp_path)
    for shard in build.shards[:2]:
        build.run(shard)
    assert [shard.name for shard in build.missing()] == [shard.name for shard in build.shards[2:]]
    for shard in build.missing():
        build.run(shard)
    headline = build.assemble()
    bench = load_benchmark("digits-nb201", path=str(build.table))
    strings = np.flatnonzero(np.isin(classes("functional"), class_numbers()[:4]))
    assert np.array_equal(bench.space.index(bench.archs), strings)
    shard = build.shards[3]
    arrays = train_shard(shard, recipe=RECIPE)
    archs = bench.space.archs(class_numbers()[shard.members])
    for place, (split, size) in enumerate({"train": 600, "val": 598, "test": 599}.items()):
        acc = bench.curves(archs, split=split, metric="acc", seed=shard.seed).values[:, 0]
        loss = bench.curves(archs, split=split, metric="loss", seed=shard.seed).values[:, 0]
        np.testing.assert_allclose(acc * size / 100, arrays["correct"][:, :, place], atol=1.01)
        np.testing.assert_allclose(loss, arrays["loss"][:, :, place], rtol=5e-3)
        rows = bench.space.archs(class_numbers()[:4])
        mean = bench.query(rows, split=split, metric="acc", epoch="last", seed="mean").mean()
        assert headline[f"{split}_acc"] == pytest.approx(mean)
    assert bench.property_of(bench.archs, "params").min() > 0
    again = build.table.read_bytes()
    build.assemble()
    assert build.table.read_bytes() == again


def test_shards_of_another_recipe_are_refused(tmp_path: Path) -> None:
    build = tiny(tmp_path, classes=2)
    build.run(build.shards[0])
    with pytest.raises(InputError, match="another root"):
        Build(tmp_path, Recipe(epochs=3, channels=4), seeds=2, block=2, classes=2).read(build.shards[0])


@pytest.mark.slow
def test_a_build_killed_at_any_moment_gives_the_same_table(tmp_path: Path) -> None:
    """Kill the command with SIGKILL again and again, until a start finds nothing left to do."""
    tables = []
    for name, killed in (("whole", False), ("killed", True)):
        folder = tmp_path / name
        command = [sys.executable, str(ROOT / "train.py"), "--config", str(CONFIG), *TINY]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        folder.mkdir()
        kills = 0
        while not (table := folder / "data/digits_nb201/digits_nb201_v1.npz").is_file():
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            if killed and kills < 3:
                before = len(list(folder.rglob("seed_*.npz")))
                while process.poll() is None and len(list(folder.rglob("seed_*.npz"))) == before:
                    time.sleep(0.05)
                time.sleep(0.1 * kills)
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.wait(timeout=900)
        assert kills == 3 * killed
        with np.load(table) as file:
            tables.append({key: file[key] for key in file.files})
    assert tables[0].keys() == tables[1].keys()
    for key, array in tables[0].items():
        assert np.array_equal(array, tables[1][key]), key


def test_the_command_builds_and_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    settings = ["study.classes=2", "study.seeds=1", *TINY[2:], "callbacks.progress=null"]
    assert main(["--config", str(CONFIG), *settings]) == 0
    results = json.loads((tmp_path / "runs/build_digits_nb201/version_0/results.json").read_text())
    assert results["status"] == "finished" and 0 < results["metrics"]["table/val_acc/mean"] <= 100
    assert (tmp_path / "data/digits_nb201/digits_nb201_v1.npz").is_file()
