"""Print the shape of the code against the project's bars; exit status 1 if one is broken.

``python benchmarks/shape.py [--json]``; the bars are explained in CONTRIBUTING.md.
"""

import ast
import functools
import importlib
import json
import re
import statistics
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
ADAPTERS = ("lightning_modules", "datamodules", "callbacks")
CODE = ("sevenfold", *ADAPTERS, "train.py")
WINDOW = 8
NO_ALGORITHMS = (
    "__init__.py",
    "base.py",
    "nodes.py",
    "components.py",
    "errors.py",
    "transforms.py",
    "tree.py",
    "uncompiled.py",
    "weights.py",
)
COMMENTS, REFERENCES, BLOCKS, WORDS = 0, 0, 0, 0
Function = ast.FunctionDef | ast.AsyncFunctionDef


def files(*names: str) -> list[Path]:
    """Return the Python files below the given names of the project's root."""
    found = []
    for name in names:
        path = ROOT / name
        found += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return found


@functools.cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text())


def nodes(paths: list[Path], kind: type | tuple[type, ...]) -> Iterator[tuple[Path, ast.AST]]:
    for path in paths:
        for node in ast.walk(tree(path)):
            if isinstance(node, kind):
                yield path, node


def public(paths: list[Path]) -> Iterator[tuple[Path, ast.AST]]:
    """Yield module-level classes and functions, and methods, whose names start with no underscore."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path in paths:
        level = list(tree(path).body)
        while level:
            node = level.pop()
            if isinstance(node, kinds) and not node.name.startswith("_"):
                yield path, node
                level += node.body if isinstance(node, ast.ClassDef) else []


def function_lines(paths: list[Path]) -> list[int]:
    return [
        node.end_lineno - node.lineno + 1 for _, node in nodes(paths, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


def duplicated(paths: list[Path]) -> float:
    """Return the share of windows of eight code lines that also occur in another file."""
    where: dict[tuple[str, ...], set[Path]] = defaultdict(set)
    windows: list[tuple[str, ...]] = []
    for path in paths:
        lines = [line.strip() for line in path.read_text().splitlines()]
        code = [line for line in lines if line and not line.startswith(("#", "import ", "from "))]
        for start in range(len(code) - WINDOW + 1):
            window = tuple(code[start : start + WINDOW])
            windows.append(window)
            where[window].add(path)
    return sum(len(where[window]) > 1 for window in windows) / max(1, len(windows))


def undocumented(paths: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{node.name}" for path, node in public(paths) if not ast.get_docstring(node)
    ]


def unannotated(paths: list[Path]) -> list[str]:
    missing = []
    for path, node in nodes(paths, (ast.FunctionDef, ast.AsyncFunctionDef)):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        typed = all(a.annotation for a in arguments if a.arg not in ("self", "cls"))
        if not typed or (node.returns is None and node.name != "__init__"):
            missing.append(f"{path.relative_to(ROOT)}:{node.name}")
    return missing


def longest_steps(paths: list[Path]) -> int:
    steps = [node for _, node in nodes(paths, ast.FunctionDef) if node.name.endswith("_step")]
    return max((node.end_lineno - node.lineno + 1 for node in steps), default=0)


# Verbs that name how a thing was obtained instead of the thing, and other words of a private dialect.
DIALECT = (
    "found", "kept", "told", "asked", "hears", "heard", "came to", "come to", "comes to", "is told",
    "unless told",
    "what is said", "the way there", "on the way", "close the books", "begun", "drawn up", "looked at",
    "taken up", "take up", "taken back", "take back", "let go", "lets go", "hand over", "hands over",
    "handed over", "answers as", "knows nothing", "wants it", "bring along", "brings along", "came up",
    "stands in for", "stand in for", "laid over", "lay over", "of its own", "by itself", "goes on",
)  # fmt: skip
EQUATION = re.compile(r"et al\.|\b(19|20)\d\d\b|\beq(uation|\.)|\balgorithm \d|\bsection \d", re.IGNORECASE)
ALGORITHMS = (
    "sevenfold/deq", "sevenfold/nas/algorithms", "sevenfold/nas/lce", "sevenfold/nas/encodings",
    "sevenfold/fairness/intra", "sevenfold/fairness/post", "sevenfold/diffreps/methods",
    "sevenfold/diffreps/solvers", "sevenfold/diffreps/representations",
)  # fmt: skip
PAGES_NOT_RUN: tuple[str, ...] = ()


def comment_share(paths: list[Path]) -> float:
    """Return the share of lines, in %, that are or hold a comment which a reader is meant to read."""
    lines = comments = 0
    for path in paths:
        for token in tokenize.generate_tokens(iter(path.read_text().splitlines(keepends=True)).__next__):
            text = token.string.removeprefix("#").strip()
            comments += token.type == tokenize.COMMENT and not text.startswith(("noqa", "type:", "fmt:"))
        lines += len(path.read_text().splitlines())
    return 100 * comments / max(1, lines)


def dialect(paths: list[Path]) -> int:
    """Return how often the docstrings use words of :data:`DIALECT`, and names are such a word."""
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, DIALECT))})\b", re.IGNORECASE)
    count = 0
    for _, node in nodes(paths, (ast.Module, ast.ClassDef, ast.FunctionDef)):
        text = re.sub(r"^ *\w+: ", "", ast.get_docstring(node) or "", flags=re.MULTILINE)  # names of options
        count += len(pattern.findall(text))
    names = [node for _, node in nodes(paths, ast.Name) if isinstance(node.ctx, ast.Store)]
    return count + sum(node.id in DIALECT for node in names)


def without_reference(paths: list[Path]) -> list[str]:
    """Return the files of algorithms that name no paper, equation or year."""
    code = [path for path in paths if path.name not in NO_ALGORITHMS]
    return [str(path.relative_to(ROOT)) for path in code if not EQUATION.search(path.read_text())]


def snippets_not_run() -> int:
    """Return how many Python blocks stand in pages that tests/test_docs.py does not run."""
    return sum((ROOT / page).read_text().count("```python") for page in PAGES_NOT_RUN)


def without_example() -> list[str]:
    """Return public names of the families whose docstring has no example; only tables are imported."""
    missing = []
    for family in ("deq", "diffreps", "fairness", "flow", "nas", "testing"):
        for name, reference in importlib.import_module(f"sevenfold.{family}")._PUBLIC.items():
            place = ROOT / reference.partition(":")[0].replace(".", "/")
            path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            texts = [ast.get_docstring(node) or "" for _, node in public([path]) if node.name == name]
            missing += [name] * (">>>" not in "".join(texts))
    return missing


def measure() -> dict[str, tuple[float, float]]:
    """Return ``{figure: (value, bar)}``; every bar is an upper bound."""
    code, core, tests = files(*CODE), files("sevenfold"), files("tests")
    sizes = [len(path.read_text().splitlines()) for path in code if path.stat().st_size]
    functions = sorted(function_lines(code))
    total, tested = sum(sizes), sum(len(path.read_text().splitlines()) for path in tests)
    return {
        "file lines, median": (statistics.median(sizes), 150),
        "file lines, largest": (max(sizes), 400),
        "function lines, median": (statistics.median(functions), 12),
        "function lines, 90th percentile": (functions[int(0.9 * (len(functions) - 1))], 45),
        "function lines, largest": (functions[-1], 100),
        "longest *_step of a module": (longest_steps(files("lightning_modules")), 32),
        "adapter lines": (sum(len(path.read_text().splitlines()) for path in files(*ADAPTERS)), 4200),
        "8-line windows in more than one file, %": (round(100 * duplicated(code), 2), 3),
        "public names without docstring": (len(undocumented(code)), 0),
        "signatures in sevenfold without annotations": (len(unannotated(core)), 0),
        "code lines per test line": (round(total / max(1, tested), 2), 3),
        "public names without example": (len(without_example()), 0),
        # The bars of what follows are the backlog as it stands: they fall, the aim is 0.
        "comments missing to 2 % of lines, %": (round(max(0, 2 - comment_share(code)), 2), COMMENTS),
        "algorithm files without a reference": (len(without_reference(files(*ALGORITHMS))), REFERENCES),
        "Python blocks in pages that no test runs": (snippets_not_run(), BLOCKS),
        "words of a private dialect": (dialect(code), WORDS),
    }


def main() -> int:
    figures = measure()
    if "--json" in sys.argv:
        print(json.dumps({name: {"value": value, "bar": bar} for name, (value, bar) in figures.items()}))
    else:
        width = max(map(len, figures))
        print(f"{'':{width}}  {'value':>8}  {'bar':>6}")
        for name, (value, bar) in figures.items():
            print(f"{name:{width}}  {value:8g}  {bar:6g}{'' if value <= bar else '  BROKEN'}")
    for name in undocumented(files(*CODE)) + unannotated(files("sevenfold")):
        print(f"  {name}", file=sys.stderr)
    return int(any(value > bar for value, bar in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
