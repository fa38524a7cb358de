"""The Python snippets of the pages run as printed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("studies",)


def snippets() -> list[object]:
    found = []
    for page in PAGES:
        blocks = re.findall(r"```python\n(.*?)```", (ROOT / f"docs/{page}.md").read_text(), re.DOTALL)
        found += [pytest.param(block, id=f"{page}-{number}") for number, block in enumerate(blocks)]
    return found


@pytest.mark.parametrize("snippet", snippets())
def test_a_snippet_runs_as_printed(
    snippet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "snippet", "exec"), {"__name__": "snippet"})
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) > 4 and "---" in printed
    assert len([line for line in snippet.splitlines() if line.strip()]) <= 10
