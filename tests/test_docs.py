"""Snippets of the pages run as printed, commands are valid, links lead somewhere, results are whole."""

import re
import shlex
import sys
import types
from pathlib import Path

import pytest

from benchmarks.scoreboard import pages, problems, read
from benchmarks.shape import PAGES_NOT_RUN
from sevenfold.main import main

ROOT = Path(__file__).resolve().parents[1]
GENERATED = ("_build", "gallery", "claims", "reference")
PAGES = [
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
    if path.relative_to(ROOT).parts[1:2] not in {(name,) for name in GENERATED}
    and path.name not in ("recipes.md", "zoo.md")
]
STUDIES = "docs/studies.md"
ELSEWHERE = (STUDIES, *PAGES_NOT_RUN)


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [p for p in PAGES if p not in ELSEWHERE and blocks(p, "python")])
def test_the_snippets_of_a_page_run_as_printed_one_after_the_other(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)  # compilers look the module of a function up
    for snippet in blocks(page, "python"):
        exec(compile(snippet, page, "exec"), module.__dict__)


@pytest.mark.parametrize("snippet", blocks(STUDIES, "python"))
def test_a_study_takes_ten_lines_and_prints_its_report(
    snippet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "snippet", "exec"), {"__name__": "snippet"})
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) > 4 and "---" in printed
    assert len([line for line in snippet.splitlines() if line.strip()]) <= 10


def commands() -> list[str]:
    """Return every command of the pages that starts a recipe, continued lines joined, comments left out."""
    lines: list[str] = []
    for page in PAGES:
        for block in blocks(page, "") + blocks(page, "console"):
            texts = [line.partition(" #")[0].strip() for line in block.replace("\\\n", " ").splitlines()]
            lines += [text.removeprefix("$ ") for text in texts if "--config" in text]
    return sorted({line for line in lines if line.startswith(("python train.py", "sevenfold "))})


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_pages_is_a_valid_configuration(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if (
        "FILE" in command.split("#")[0].split("key=")[0].split()
        or "--ckpt" in command
        or "--allow" in command
    ):
        pytest.skip("names a file of the reader's own")
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)[2 if command.startswith("python") else 1 :]
    resolved = [word for word in words if word not in ("check", "--resume")]
    status = main([*resolved, "--print-config"])
    printed = capsys.readouterr()
    if "lrr" in command:  # the page shows this mistake and its message
        assert status == 2 and "Did you mean: 'lr'?" in printed.err
    else:
        assert status == 0, printed.err


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_of_a_page_exist(page: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        path = (ROOT / page).parent / target
        made = any(
            part in target for part in ("gallery/", "recipes.md", "zoo.md", "reference/")
        )  # by make docs
        assert target.startswith("http") or made or path.exists(), (
            f"{page} links to {target}, which is not there"
        )


def test_recorded_results_are_complete_and_their_pages_are_drawn_from_them() -> None:
    claims = read()
    assert [fault for name, claim in claims.items() for fault in problems(name, claim)] == []
    for path, text in pages(claims).items():
        assert (ROOT / "docs" / path).read_text() == text, f"docs/{path}: run make scoreboard"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"system": "flow"}, "is none of"),
        ({"figures": [{"what": "error", "ours": 1.0, "reference": 2.0}]}, "needs a tolerance"),
        ({"command": None}, "figures without 'command'"),
        ({"source": ""}, "needs its 'source'"),
        ({"figures": [{"what": "error", "ours": None}]}, "'unreachable here' needs a 'why'"),
        (
            {"figures": [{"what": "error", "ours": 3.0, "reference": 2.0, "relation": "at most"}]},
            "needs a 'why'",
        ),
        ({"pubished": 1}, "unknown key"),
    ],
)
def test_an_incomplete_result_is_refused(change: dict[str, object], message: str) -> None:
    claim = {**read()["local_search-queries-to-optimum"], **change}
    assert any(message in fault for fault in problems("claim", claim))


PUBLISHED = ROOT.parent / "shared/specs/published_numbers.md"
SYSTEMS = {
    "1": ("deq_flow",),
    "2": ("bananas",),
    "3": ("encodings",),
    "4": ("local_search", "bananas"),
    "5": ("nas_bench_x11",),
    "6": ("debiasing",),
    "7": ("diffreps",),
}


def published_rows() -> list[tuple[str, str, list[float]]]:
    """Return (section, row, decimal figures but spreads and ranges) of the tables of published numbers."""
    rows, section = [], ""
    for line in PUBLISHED.read_text().splitlines():
        section = line.split()[1].rstrip(".") if line.startswith("## ") else section
        if line.startswith("|") and section in SYSTEMS:
            text = re.sub(
                r"`[^`]*`|\(\d*\.?\d+\)|\+-\s*\d*\.\d+|\[[^\]]*\]", "", line.strip("|").partition("|")[2]
            )
            figures = [float(each) for each in re.findall(r"(?<![\w.])-?\d*\.\d+", text)]
            rows.append((section, line, figures))
    return [row for row in rows if row[2]]


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the list of published numbers lies outside the project")
def test_the_scoreboard_has_every_row_of_the_published_tables() -> None:
    known: dict[str, set[float]] = {}
    for claim in read().values():
        texts = " ".join([claim["claim"], claim.get("why", ""), *(f["what"] for f in claim["figures"])])
        figures = [figure["reference"] for figure in claim["figures"] if figure.get("reference") is not None]
        numbers = [*re.findall(r"\d*\.\d+", texts), *figures]
        known.setdefault(claim["system"], set()).update(round(abs(float(each)), 6) for each in numbers)
    units = (1, 100, 0.01, 1000, 0.001)  # shares stand as per cent, thousandths as fractions
    for section, row, figures in published_rows():
        there = set().union(*(known[system] for system in SYSTEMS[section]))
        absent = [x for x in figures if not there & {round(abs(x) * unit, 6) for unit in units}]
        assert not absent, f"{absent} of: {row}"
