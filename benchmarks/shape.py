"""Print the shape of the code against the project's bars; exit status 1 if one is broken.

``python benchmarks/shape.py [--json]``; the bars are explained in CONTRIBUTING.md.
"""

import ast
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ADAPTERS = ("lightning_modules", "datamodules", "callbacks")
CODE = ("sevenfold", *ADAPTERS, "train.py")
WINDOW = 8
Function = ast.FunctionDef | ast.AsyncFunctionDef


def files(*names: str) -> list[Path]:
    """Return the Python files below the given names of the project's root."""
    found = []
    for name in names:
        path = ROOT / name
        found += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return found


def nodes(paths: list[Path], kind: type | tuple[type, ...]) -> Iterator[tuple[Path, ast.AST]]:
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kind):
                yield path, node


def public(paths: list[Path]) -> Iterator[tuple[Path, ast.AST]]:
    """Yield module-level classes and functions, and methods, whose names start with no underscore."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path in paths:
        level = list(ast.parse(path.read_text()).body)
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
