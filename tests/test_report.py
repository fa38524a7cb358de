"""Reports: the end of a run, tables over runs, and the self-contained page."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sevenfold.flow.headline import flow_headline
from sevenfold.report import Report, Section, aligned
from sevenfold.report.__main__ import main
from sevenfold.report.pictures import WIDEST, scaled
from sevenfold.report.run import plain_headline, read_run, table_rows, training_report, write_report


def noise(path: Path, width: int, height: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    folders = []
    for number, metrics in enumerate(({"epe": 0.51234567}, {"epe": 2.0, "extra": None})):
        folder = tmp_path / f"version_{number}"
        (folder / "images").mkdir(parents=True)
        content = {"name": "<b>run", "verb": "fit", "seed": 0, "status": "finished", "seconds": 1.0}
        content |= {"metrics": metrics, "reference": {"zero_flow": 3.0}}
        (folder / "results.json").write_text(json.dumps(content))
        (folder / "metrics.csv").write_text(
            "step,epoch,train/loss,val/epe\n0,0,3.0,\n10,1,2.0,5.5\n20,2,1.0,4.5\n"
        )
        noise(folder / "images/test_one.png", 20, 10)
        folders.append(folder)
    return folders


def test_a_table_has_a_column_per_run_and_a_dash_for_what_is_missing(runs: list[Path]) -> None:
    rows = {row[0]: row[1:] for row in table_rows([read_run(run) for run in runs])}
    assert rows["epe"] == ["0.51235", "2"] and rows["extra"] == ["-", "-"]
    assert rows["reference/zero_flow"] == ["3", "3"] and rows["status"] == ["finished", "finished"]


@pytest.mark.parametrize("count", [1, 2])
def test_a_page_is_self_contained_and_shows_pictures_before_numbers(runs: list[Path], count: int) -> None:
    out = runs[0].parent / "page.html"
    assert main([*map(str, runs[:count]), "--out", str(out)]) == 0
    page = out.read_text()
    assert page.count("<svg") == 1 and page.count("data:image/png;base64,") == count
    assert page.index("data:image") < page.index("<table") < page.index("<svg")
    assert "<b>run" not in page and "&lt;b&gt;run" in page
    assert "<script" not in page and 'src="http' not in page and "href=" not in page.replace("xlink:href", "")


def test_a_page_of_one_run_lies_in_its_folder_and_is_the_same_when_drawn_again(runs: list[Path]) -> None:
    report = training_report(
        read_run(runs[0]), runs[0], [["", "value"], ["epe", "0.5"]], ["Half a pixel."], []
    )
    first = re.sub(r'id="[^"]*"|#[^");]*', "", write_report(report, runs[0]).read_text())
    assert main([str(runs[0])]) == 0
    assert re.sub(r'id="[^"]*"|#[^");]*', "", (runs[0] / "report.html").read_text()) == first
    assert "Half a pixel." in first


def test_no_run_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "has no results.json" in capsys.readouterr().err


def test_large_pictures_are_scaled_and_a_page_stays_under_two_megabytes(tmp_path: Path) -> None:
    files = []
    for number in range(4):  # noise does not compress: about 1.1 MB each at 1,200 x 900 with 256 colors
        files.append(tmp_path / f"picture_{number}.png")
        noise(files[-1], 1600, 1200)
    with Image.open(files[0]) as image:
        assert image.width == 1600
    (tmp_path / "scaled.png").write_bytes(scaled(files[0]) or b"")
    with Image.open(tmp_path / "scaled.png") as image:
        assert image.width == WIDEST
    page = write_report(Report("Pictures", [["", "x"], ["a", "1"]], pictures=files), tmp_path)
    text = page.read_text()
    assert page.stat().st_size < 2_000_000
    assert text.count("data:image") == 1 and text.count('href="picture_') == 3


def test_a_broken_picture_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    report = Report("Pictures", [["", "x"], ["a", "1"]], pictures=[tmp_path / "broken.png"])
    assert "broken" not in write_report(report, tmp_path).read_text()


def test_the_end_of_a_run_is_short_and_the_rest_is_in_the_file(tmp_path: Path) -> None:
    rows = [["arm", *(f"column {i}" for i in range(10))], *([f"arm {i}", *"0123456789"] for i in range(30))]
    report = Report("Many", rows, ["First.", "Second."], [Section("More", ["text"], [["a"], ["b"]])])
    lines = str(report).splitlines()
    assert len(lines) == 2 + 1 + 2 + 12 + 1 and lines[-1] == "18 more rows: table.txt"
    assert "column 6" in lines[3] and "column 7" not in lines[3]
    write_report(report, tmp_path)
    table = (tmp_path / "table.txt").read_text()
    assert aligned(rows) in table and "More" in table


def test_a_training_reports_its_last_stage_with_baselines_beside() -> None:
    metrics = {"train/loss": 1.0, "val/auc": 0.5, "test/auc": 0.75, "test/loss": 0.25}
    assert plain_headline(metrics, {"test/auc": 0.5, "test/constant": 0.1}) == [
        ["", "value", "baseline"],
        ["test/auc", "0.75", "0.5"],
        ["test/loss", "0.25", "-"],
        ["test/constant", "-", "0.1"],
    ]
    assert plain_headline({"val/auc": 0.5}, {}) == [["", "value"], ["val/auc", "0.5"]]


def test_flow_is_reported_by_steps_beside_zero_flow() -> None:
    metrics = {"test/kitti/epe": 2.0, "test/kitti/epe_at_24": 1.5, "test/kitti/evaluations": 16.0}
    rows, text = flow_headline(metrics, {"test/kitti/zero_flow_epe": 4.0})
    assert rows[1:] == [["kitti", "16", "2", "4", "0.5"], ["kitti", "24", "1.5", "4", "0.375"]]
    assert text == [
        "On kitti the end-point error is 2 px after 16 evaluations of the update; the estimate that nothing "
        "moves has 4 px, so this is 50% less."
    ]
