import json
from pathlib import Path

import flow_trees
import pytest
from PIL import Image

from sevenfold.errors import InputError
from sevenfold.flow.formats import read_flow
from sevenfold.flow.formats.animation import write_animation
from sevenfold.flow.formats.layout import path_of
from sevenfold.records import read_folder
from train import main

ROOT = Path(__file__).resolve().parents[2]


def predict(folder, root, *settings, config="video"):
    return main(
        [
            "predict", "--untrained", "--config", str(ROOT / "configs/flow/demo.yaml"),
            "--config", str(ROOT / f"configs/flow/{config}.yaml"), f"data.root={root}",
            f"output_dir={folder}", "name=run", "trainer.accelerator=cpu", "callbacks.progress=null",
            "model.evaluation.iterations=2", "trainer.enable_model_summary=false", *settings,
        ]
    )  # fmt: skip


@pytest.fixture(autouse=True)
def no_folder(monkeypatch):
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)


def files(folder, pattern="**/*"):
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file())


def test_sintel_submission_and_going_on_after_a_kill(tmp_path, monkeypatch):
    flow_trees.sintel(tmp_path / "data")
    root, run = tmp_path / "data/Sintel/test", tmp_path / "run/version_0"
    with monkeypatch.context() as patch:
        patch.setattr("sevenfold.flow.field_files.write_flow", dies_at(5))
        with pytest.raises(RuntimeError, match="out of power"):
            predict(tmp_path, root, config="submit_sintel")
    assert json.loads((run / "results.json").read_text())["status"] != "finished"
    assert [record["key"] for record in read_folder(run / "records")] == ["clean/alley_1", "clean/cave_2"]
    marked = run / "predictions/clean/alley_1/frame0001.flo"
    before = marked.stat().st_mtime_ns
    assert predict(tmp_path, root, "--resume", config="submit_sintel") == 0
    assert marked.stat().st_mtime_ns == before  # not done again
    expected = [
        f"{render}/{scene}/frame{number:04d}.flo"
        for render in ("clean", "final") for scene in ("alley_1", "cave_2") for number in (1, 2)
    ]  # fmt: skip
    assert files(run / "predictions") == sorted(expected)
    assert read_flow(marked)[0].shape == (2, *flow_trees.SIZE)
    results = json.loads((run / "results.json").read_text())
    assert results["status"] == "finished" and results["metrics"]["video/evaluations/mean"] == 2
    assert results["metrics"]["video/pairs/n"] == 4


def dies_at(count):
    from sevenfold.flow.formats import write_flow

    calls = []

    def write(*arguments, **options):
        calls.append(1)
        if len(calls) == count:
            raise RuntimeError("out of power")
        write_flow(*arguments, **options)

    return write


def test_kitti_submission(tmp_path):
    flow_trees.kitti(tmp_path / "data")
    assert predict(tmp_path, tmp_path / "data/KittiFlow/testing", config="submit_kitti") == 0
    folder = tmp_path / "run/version_0/predictions"
    assert files(folder) == ["000000_10.png", "000001_10.png"]
    field, valid = read_flow(folder / "000000_10.png")
    assert field.shape == (2, *flow_trees.SIZE) and valid.all()


def test_a_video_with_colors_and_an_animation(tmp_path):
    for number in (3, 4, 5):
        flow_trees.picture(tmp_path / f"data/walk/{number}.png")
    carry = "model.carry={what: state, iterations: 1}"
    assert predict(tmp_path, tmp_path / "data", carry, "callbacks.flow_writer.radius=5") == 0
    folder = tmp_path / "run/version_0"
    assert files(folder / "predictions") == ["walk/3.flo", "walk/4.flo"]
    assert files(folder / "colors") == ["walk.gif", "walk/3.png", "walk/4.png"]
    with Image.open(folder / "colors/walk.gif") as animation:
        assert animation.n_frames == 2 and animation.size == flow_trees.SIZE[::-1]
    (record,) = read_folder(folder / "records")
    assert record["pairs"] == 2 and record["evaluations"] == 1.5


def test_pairs_are_written_by_name(tmp_path):
    flow_trees.kitti(tmp_path / "data")
    data = f"data={{name: pairs, root: {tmp_path / 'data/KittiFlow/training'}}}"
    assert predict(tmp_path, "unused", data, "callbacks.flow_writer.color=false") == 0
    folder = tmp_path / "run/version_0"
    assert files(folder / "predictions") == ["kitti/000000_10.flo", "kitti/000001_10.flo"]
    assert not (folder / "colors").exists()


def test_layouts_refuse_what_they_cannot_place():
    item = {"name": "walk/3", "sequence": "walk", "frame": "3"}
    with pytest.raises(InputError, match="set data.root to Sintel/test"):
        path_of(item, "sintel")
    with pytest.raises(InputError, match="the layout 'kitti' needs sequences; use data.name=video"):
        path_of({"name": "chairs/1"}, "kitti")
    assert path_of({**item, "sequence": "x/final/cave_1", "frame": "frame_0007"}, "sintel") == Path(
        "final/cave_1/frame0007.flo"
    )


def test_animations_are_scaled_and_not_empty(tmp_path):
    flow_trees.picture(tmp_path / "1.png", (50, 100))
    write_animation(tmp_path / "a.gif", [tmp_path / "1.png"] * 3, seconds=0.5, width=40)
    with Image.open(tmp_path / "a.gif") as animation:
        assert animation.size == (40, 20)
    with pytest.raises(ValueError, match="at least one picture"):
        write_animation(tmp_path / "b.gif", [])
