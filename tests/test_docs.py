"""The Python snippets of the pages run as printed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/extending.md", "docs/python.md")


def snippets(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_the_snippets_of_a_page_run_as_printed_one_after_the_other(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    names = {"__name__": "page"}
    for snippet in snippets(page):
        exec(compile(snippet, page, "exec"), names)


@pytest.mark.parametrize("snippet", snippets("docs/studies.md"))
def test_a_study_takes_ten_lines_and_prints_its_report(
    snippet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "snippet", "exec"), {"__name__": "snippet"})
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) > 4 and "---" in printed
    assert len([line for line in snippet.splitlines() if line.strip()]) <= 10
