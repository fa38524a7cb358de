"""Tables over runs and the self-contained page."""

import json
from pathlib import Path

import pytest

from sevenfold.report import html_report, main, text_table


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
        (folder / "images/one.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        folders.append(folder)
    return folders


def test_table_has_a_column_per_run_and_a_dash_for_what_is_missing(runs: list[Path]) -> None:
    lines = {line.split()[0]: line.split()[1:] for line in text_table(runs).splitlines()[2:]}
    assert lines["epe"] == ["0.51235", "2"] and lines["extra"] == ["-", "-"]
    assert lines["reference/zero_flow"] == ["3", "3"] and lines["status"] == ["finished", "finished"]


def test_page_is_self_contained_and_escapes(runs: list[Path]) -> None:
    page = html_report(runs)
    assert page.count("<svg") == 2 and page.count("data:image/png;base64,") == 2
    assert "<b>run" not in page and "&lt;b&gt;run" in page
    assert "<script" not in page and 'src="http' not in page and "href=" not in page.replace("xlink:href", "")


def test_command_prints_and_writes(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    assert main([*map(str, runs), "--out", str(out)]) == 0
    assert "epe" in capsys.readouterr().out and out.read_text().startswith("<!doctype html>")
    assert main([str(tmp_path)]) == 2
    assert "has no results.json" in capsys.readouterr().err
