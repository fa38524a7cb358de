import json

import numpy as np
import pytest
import torch
from PIL import Image

from sevenfold.flow import command, read_flow
from sevenfold.flow.deq_flow import DEQFlow
from sevenfold.flow.estimator import Estimator
from sevenfold.main import main


@pytest.fixture
def small(monkeypatch):
    """A small untrained network where the shipped one would be."""
    torch.manual_seed(0)
    network = DEQFlow(variant="demo")
    monkeypatch.setattr(
        command,
        "load",
        lambda model, *, weights, device, steps, both, tile, carry: Estimator(
            network, steps=steps or 2, both=both, tile=tile, carry=carry
        ),
    )


def frames(folder, numbers, height=40, width=56):
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    wide = random.integers(0, 256, (height, width + 40, 3), dtype=np.uint8)
    for shift, number in enumerate(numbers):
        Image.fromarray(wide[:, shift : shift + width]).save(folder / f"f{number}.png")
    return folder


def test_a_folder_gives_fields_video_first_picture_and_summary(small, tmp_path, capsys):
    folder = frames(tmp_path / "clip", (0, 2, 4, 10))
    assert main(["flow", str(folder), "--out", str(tmp_path / "out"), "--show", "panel,colors"]) == 0
    out = tmp_path / "out"
    assert sorted(path.name for path in (out / "flow").iterdir()) == ["f0.flo", "f2.flo", "f4.flo"]
    summary = json.loads((out / "summary.json").read_text())
    assert [row["name"] for row in summary["pairs"]] == ["f0", "f2", "f4"]
    for row in summary["pairs"]:
        flow, _ = read_flow(out / f"flow/{row['name']}.flo")
        assert row["mean"] == pytest.approx(float(flow.norm(dim=0).mean()), rel=1e-5)
    assert (out / "first.png").is_file() and len(list((out / "colors").iterdir())) == 3
    assert list(out.glob("clip.mp4")) or list(out.glob("clip.gif"))
    assert summary["scale"] >= 1.0 and "clip: 3 pairs" in capsys.readouterr().out


def test_a_damaged_frame_is_named_and_the_rest_written(small, tmp_path, capsys):
    folder = frames(tmp_path / "clip", (0, 1, 2, 3))
    (folder / "f1.png").write_bytes((folder / "f1.png").read_bytes()[:200])
    assert main(["flow", str(folder), "--out", str(tmp_path / "out"), "--show", "none"]) == 1
    assert sorted(path.name for path in (tmp_path / "out/flow").iterdir()) == ["f0.flo", "f2.flo"]
    assert "f1.png" in capsys.readouterr().err
    assert main(["flow", str(folder), "--out", str(tmp_path / "strict"), "--strict"]) == 2


def test_two_prefixes_are_two_clips(small, tmp_path):
    folder = frames(tmp_path / "clip", (9, 10))
    for number in (1, 2):
        Image.fromarray(np.zeros((40, 56, 3), np.uint8)).save(folder / f"g{number}.png")
    assert main(["flow", str(folder), "--out", str(tmp_path / "out"), "--show", "none", "--json"]) == 0
    assert [p.name for p in (tmp_path / "out/f/flow").iterdir()] == ["f9.flo"]
    assert [p.name for p in (tmp_path / "out/g/flow").iterdir()] == ["g1.flo"]


def test_frames_are_chosen(small, tmp_path):
    folder = frames(tmp_path / "clip", range(7))
    arguments = ["--out", str(tmp_path / "out"), "--show", "none", "--from", "1", "--to", "5", "--every", "2"]
    assert main(["flow", str(folder), *arguments]) == 0
    assert sorted(p.stem for p in (tmp_path / "out/flow").iterdir()) == ["f1", "f3"]


def test_the_scale_is_one_for_the_clip(small, tmp_path):
    folder = frames(tmp_path / "clip", range(4))
    assert main(["flow", str(folder), "--out", str(tmp_path / "a"), "--show", "colors", "--scale", "5"]) == 0
    summary = json.loads((tmp_path / "a/summary.json").read_text())
    assert summary["scale"] == 5.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.mp4"], "absent.mp4: no such file"),
        (["CLIP", "--show", "colours"], "--show: 'colours' is unknown; known are"),
        (["CLIP", "--scale", "-1"], "--scale: expected a number above 0"),
        (["CLIP", "--tile", "wide"], "--tile: expected a number above 0"),
        (["CLIP", "--every", "0"], "--every: expected a number of at least 1"),
    ],
)
def test_bad_input_is_one_line(small, tmp_path, capsys, arguments, message):
    folder = frames(tmp_path / "clip", range(2))
    assert main(["flow", *(str(folder) if word == "CLIP" else word for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
