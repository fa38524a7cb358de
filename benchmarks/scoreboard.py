"""Check ``results/*.json`` and write the pages drawn from them (``--check``: only compare).

Each file is one recorded claim or benchmark. Its keys:

``system``
    One of :data:`SYSTEMS`.
``kind``
    ``published`` (a figure of a paper or of its authors' own files), ``claim`` (what this project says of
    itself) or ``performance`` (time, memory, counts of evaluations).
``claim``
    One sentence.
``figures``
    A list of ``{what, ours, spread, reference, relation, tolerance}``. ``ours`` is a number, or null where
    nothing could be measured; ``spread`` a number beside it; ``reference`` the published value, a peer's or
    the bar; ``relation`` is ``within`` (``|ours - reference| <= tolerance``), ``at most`` or ``at least``.
    All but ``what`` and ``ours`` may be missing.
``source``
    Where the reference was read, for ``published``.
``spread``
    What ``spread`` is: ``standard error``, ``standard deviation``, ``95 % interval``, ``range``.
``command``, ``commit``, ``date``, ``machine``, ``card``, ``seeds``
    How ``ours`` was measured; ``card`` is null without a GPU. Missing only where no figure has ``ours``.
``why``
    Why figures differ or could not be measured; required unless the verdict is ``reproduced`` or
    ``measured``.

The verdict of a file follows from its figures and is written nowhere else.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = {
    "deq_flow": "DEQ optical flow",
    "bananas": "BANANAS",
    "encodings": "Encodings for NAS",
    "local_search": "Local search for NAS",
    "nas_bench_x11": "NAS-Bench-x11",
    "debiasing": "Post-hoc debiasing",
    "diffreps": "Diffusing differentiable representations",
    "suite": "The suite",
}
RELATIONS = ("within", "at most", "at least")
MEASURED = ("command", "commit", "date", "machine", "seeds")
KEYS = {"system", "kind", "claim", "figures", "source", "spread", "why", "card", *MEASURED}
FIGURE_KEYS = {"what", "ours", "spread", "reference", "relation", "tolerance"}
Claim = Mapping[str, Any]


def reproduced(figure: Claim) -> bool | None:
    """Return whether a figure agrees with its reference; None where it has none or was not measured."""
    ours, reference = figure.get("ours"), figure.get("reference")
    if ours is None or reference is None:
        return None
    match figure.get("relation", "within"):
        case "at most":
            return bool(ours <= reference)
        case "at least":
            return bool(ours >= reference)
        case _:
            return bool(abs(ours - reference) <= figure["tolerance"] * (1 + 1e-9))


def verdict(claim: Claim) -> str:
    """Return the verdict that follows from the figures of a claim."""
    figures = claim["figures"]
    judged = [outcome for outcome in map(reproduced, figures) if outcome is not None]
    if all(figure.get("ours") is None for figure in figures):
        return "unreachable here"
    if not judged:
        return "measured"
    if all(judged):
        return "reproduced"
    return f"reproduced in {sum(judged)} of {len(judged)}" if any(judged) else "not reproduced"


def problems(name: str, claim: Claim) -> list[str]:
    """Return what is wrong with the content of a file, one line each."""
    faults = [f"unknown key '{key}'" for key in claim if key not in KEYS]
    faults += [f"no '{key}'" for key in ("system", "kind", "claim", "figures") if not claim.get(key)]
    if faults:
        return [f"{name}: {fault}" for fault in faults]
    if claim["system"] not in SYSTEMS:
        faults.append(f"system '{claim['system']}' is none of {', '.join(SYSTEMS)}")
    if claim["kind"] not in ("published", "claim", "performance"):
        faults.append(f"kind '{claim['kind']}' is none of published, claim, performance")
    for figure in claim["figures"]:
        faults += [f"unknown key '{key}' in a figure" for key in figure if key not in FIGURE_KEYS]
        relation = figure.get("relation", "within")
        if "what" not in figure or "ours" not in figure or relation not in RELATIONS:
            faults.append(f"figure {figure} needs 'what', 'ours' and a relation of {RELATIONS}")
        elif relation == "within" and figure.get("reference") is not None and figure["ours"] is not None:
            faults += [f"figure '{figure['what']}' needs a tolerance"] * ("tolerance" not in figure)
    if faults:
        return [f"{name}: {fault}" for fault in faults]
    if any(figure["ours"] is not None for figure in claim["figures"]):
        faults += [f"figures without '{key}'" for key in MEASURED if claim.get(key) in (None, "")]
    if any("spread" in figure for figure in claim["figures"]) and not claim.get("spread"):
        faults.append("'spread' must say what the figures' spread is")
    if claim["kind"] == "published" and not claim.get("source"):
        faults.append("a published figure needs its 'source'")
    if verdict(claim) not in ("reproduced", "measured") and not claim.get("why"):
        faults.append(f"'{verdict(claim)}' needs a 'why'")
    return [f"{name}: {fault}" for fault in faults]


def read(folder: Path = ROOT / "results") -> dict[str, Claim]:
    """Return ``{file name without ending: content}``, sorted by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def number(value: float | None) -> str:
    """Format a number of a table; a missing one is a dash."""
    return "-" if value is None else f"{value:,.4g}"


def ours(figure: Claim) -> str:
    spread = f" ± {number(figure['spread'])}" if figure.get("spread") is not None else ""
    return number(figure["ours"]) + spread


def reference(figure: Claim) -> str:
    sign = {"at most": "≤ ", "at least": "≥ "}.get(figure.get("relation", ""), "")
    return "-" if figure.get("reference") is None else sign + number(figure["reference"])


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(map(cell, row)) for row in (header, *rows)]
    rule = ["---"] * len(lines[0])
    return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:])) + "\n"


def anchor(name: str) -> str:
    """Return the name of a claim's place on the page of the scoreboard."""
    return f"result-{re.sub(r'[^a-z0-9]+', '-', name.lower())}"


def details(name: str, claim: Claim) -> str:
    """Return a claim with all its figures, its source, command and reason."""
    lines = [f"({anchor(name)})=", f"### {claim['claim'].rstrip('.')}", "", f"**{verdict(claim)}**", ""]
    marks = {None: "", True: "yes", False: "no"}
    rows = [[f["what"], ours(f), reference(f), marks[reproduced(f)]] for f in claim["figures"]]
    lines += [table(("", "ours", "published or bar", "agrees"), rows)]
    facts = {
        "Source": claim.get("source"),
        "Spread": claim.get("spread"),
        "Why": claim.get("why"),
        "Command": f"`{claim['command']}`" if claim.get("command") else None,
        "Measured": ", ".join(
            str(part) for part in (claim.get("date"), claim.get("machine"), claim.get("card")) if part
        ),
        "Seeds": str(claim["seeds"]) if claim.get("seeds") is not None else None,
        "Commit": claim.get("commit"),
    }
    lines += [f"- {key}: {value}" for key, value in facts.items() if value]
    return "\n".join([*lines, ""])


def summary(claims: Mapping[str, Claim], link: str) -> str:
    """Return the table of claims with verdicts, each linked to its details."""
    rows = [
        [f"[{claim['claim'].rstrip('.')}]({link}#{anchor(name)})", headline(claim), verdict(claim)]
        for name, claim in claims.items()
    ]
    return table(("claim", "ours (published or bar)", "verdict"), rows)


def headline(claim: Claim) -> str:
    """Return the first measured figure of a claim with its reference, else how many are published."""
    figure = next((f for f in claim["figures"] if f["ours"] is not None), None)
    if figure is None:
        count = sum(f.get("reference") is not None for f in claim["figures"])
        return f"{count} published" if count else "none could be read"
    more = len(claim["figures"]) - 1
    rest = f", and {more} more" if more else ""
    return f"{figure['what']}: {ours(figure)} ({reference(figure)}){rest}"


def pages(claims: Mapping[str, Claim]) -> dict[str, str]:
    """Return ``{path below docs: text}`` of everything that is drawn from the files."""
    performance = {name: c for name, c in claims.items() if c["kind"] == "performance"}
    board = {name: c for name, c in claims.items() if c["kind"] != "performance"}
    out = {
        "scoreboard.md": _page("Scoreboard", _BOARD, board),
        "performance.md": _page("Performance", _PERFORMANCE, performance),
    }
    for system in SYSTEMS:
        mine = {name: c for name, c in claims.items() if c["system"] == system}
        kinds = (("scoreboard", board), ("performance", performance))
        of_kind = ((page, {n: c for n, c in mine.items() if n in kind}) for page, kind in kinds)
        parts = [summary(some, f"../{page}.md") for page, some in of_kind if some]
        out[f"claims/{system}.md"] = "\n".join(parts) if mine else "No figure is recorded yet.\n"
    out["claims/conformance.md"] = conformance()
    return out


def conformance() -> str:
    """Return the table of ``benchmarks/deq_conformance.py``: rules by rows, transforms by columns."""
    cells = json.loads((ROOT / "benchmarks/results/deq_conformance.json").read_text())
    refusals: dict[str, int] = {}

    def entry(problems: Mapping[str, float | str]) -> str:
        errors = [value for value in problems.values() if isinstance(value, float)]
        texts = dict.fromkeys(value for value in problems.values() if isinstance(value, str))
        numbers = "".join(f" [{refusals.setdefault(text, len(refusals) + 1)}]" for text in texts)
        return (f"{max(errors):.0e}" if errors else "-") + numbers

    transforms = list(next(iter(cells.values())))
    # Transforms as rows, for they are more than a page is wide.
    rows = [[transform, *(entry(row[transform]) for row in cells.values())] for transform in transforms]
    notes = [f"[{number}] {text}" for text, number in refusals.items()]
    text = "Worst relative error over six problems in float64 (graphs: two); brackets number refusals.\n"
    return "\n".join([text, table(("", *cells), rows), *(f"{note}\n" for note in notes)])


_BOARD = """Every figure that the papers or their authors' own files give and that could be read, and every
claim of this project, against what this code measures. *Reproduced* means: within the tolerance that the file
states. *Unreachable here* means that nothing was measured, for the reason given. The files are
`results/*.json`; `make scoreboard` checks them and draws this page."""
_PERFORMANCE = """Time, memory and counts. Both sides of a ratio were measured in one run, on the machine
named with each figure; milliseconds of another machine mean little. The files are `results/*.json`."""


def _page(title: str, text: str, claims: Mapping[str, Claim]) -> str:
    counts: dict[str, int] = {}
    for claim in claims.values():
        word = re.sub(r" in \d.*", " in part", verdict(claim))
        counts[word] = counts.get(word, 0) + 1
    total = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    parts = [
        f"# {title}\n",
        text + "\n",
        f"{len(claims)} entries: {total}.\n" if claims else "No entry yet.\n",
    ]
    for system, name in SYSTEMS.items():
        mine = {stem: claim for stem, claim in claims.items() if claim["system"] == system}
        if mine:
            parts += [f"## {name}\n", summary(mine, ""), *(details(*item) for item in mine.items())]
    return "\n".join(parts)


def main() -> int:
    """Write the pages, or with ``--check`` only say which are out of date; return the exit status."""
    claims = read()
    faults = [fault for name, claim in claims.items() for fault in problems(name, claim)]
    for path, text in pages(claims).items() if not faults else ():
        place = ROOT / "docs" / path
        if "--check" in sys.argv:
            current = place.is_file() and place.read_text() == text
            faults += [] if current else [f"docs/{path} is out of date: run make scoreboard"]
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
    print("\n".join(faults) or f"{len(claims)} results are in order")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
