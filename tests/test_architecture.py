"""The house rules that a machine can check: imports, tables, the wheel, the shape."""

import ast
import importlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sevenfold.tables import ComponentTable

ROOT = Path(__file__).resolve().parents[1]
ADAPTERS = {"lightning_modules", "datamodules", "callbacks"}
FAMILIES = {"flow", "nas", "fairness", "diffreps"}
DOORS = {"main.py", "loading.py"}  # where the package is entered: they import the adapters inside functions
HEAVY = {"torch", "pytorch_lightning", "wandb", "torchvision", "torchmetrics", "numpy", "scipy", "sklearn"}


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    """Return the dotted names a file imports; at module level only, if asked."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module}
    return names


def roots(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", python_files("sevenfold"), ids=lambda path: str(path.relative_to(ROOT)))
def test_core_knows_nothing_of_lightning_or_adapters(path: Path) -> None:
    if path.name in DOORS or path.parent.name == "testing":
        return
    names = imports(path)
    outer = ADAPTERS | {"pytorch_lightning", "wandb", "train", "lightning_fabric"}
    if str(path.relative_to(ROOT / "sevenfold")) in DOORS:
        assert not roots(names) & {"wandb", "train"} and not roots(imports(path, True)) & (outer | HEAVY)
    else:
        assert not roots(names) & outer
    family = path.relative_to(ROOT / "sevenfold").parts[0]
    others = {name.split(".")[1] for name in names if name.startswith("sevenfold.")} & (FAMILIES - {family})
    if family != "studies.py":  # the table of all studies
        assert not others, f"{family} imports another family: {others}"
    if family not in ("deq", "flow", "diffreps"):
        assert "sevenfold.deq" not in {".".join(name.split(".")[:2]) for name in names}
    if path.name != "config.py" and path.parent.name != "reference":
        assert "omegaconf" not in roots(names)


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("datamodules", {"lightning_modules", "callbacks", "wandb", "omegaconf", "train"}),
        ("lightning_modules", {"datamodules", "callbacks", "wandb", "omegaconf", "train"}),
        ("callbacks", {"datamodules", "lightning_modules", "train", "omegaconf"}),
    ],
)
def test_adapters_keep_apart(folder: str, forbidden: set[str]) -> None:
    for path in python_files(folder):
        assert not roots(imports(path)) & forbidden, path
        assert "wandb" not in roots(imports(path, top_level_only=True)), path


def test_light_modules_stay_light() -> None:
    light = ["sevenfold/__init__.py", "sevenfold/config.py", "sevenfold/command.py", "train.py"]
    light += [f"{folder}/__init__.py" for folder in ADAPTERS]
    for path in light:
        assert not roots(imports(ROOT / path, top_level_only=True)) & HEAVY, path


def test_no_module_reads_the_environment_or_the_command_line() -> None:
    for folder in ("sevenfold", "lightning_modules", "datamodules"):
        for path in python_files(folder):
            if path.parts[-2] != "sweep" and path.name not in DOORS | {"__main__.py"}:
                assert "os.environ" not in path.read_text() and "sys.argv" not in path.read_text(), path


def tables() -> list[tuple[str, str, str]]:
    """Return (table, name, reference) of every table: a dict of strings "module:attribute" in an
    ``__init__``.
    """
    found = []
    for folder in ("sevenfold", *sorted(ADAPTERS)):
        for path in (ROOT / folder).rglob("__init__.py"):
            module = ".".join(path.parent.relative_to(ROOT).parts)
            for name, value in vars(importlib.import_module(module)).items():
                if (
                    name.isupper()
                    and isinstance(value, ComponentTable)
                    and all(isinstance(v, str) for v in value.values())
                ):
                    found += [(f"{module}.{name}", key, entry) for key, entry in value.items()]
    return found


@pytest.mark.parametrize(("table", "name", "reference"), tables(), ids=lambda value: str(value))
def test_every_table_entry_exists_with_a_schema(table: str, name: str, reference: str) -> None:
    from sevenfold.config import locate, schema

    target = locate(reference)
    assert target.__doc__
    if not reference.startswith("pytorch_lightning"):
        import inspect

        function = target.__init__ if inspect.isclass(target) else target
        options = [p for n, p in inspect.signature(function).parameters.items() if n != "self"]
        loose = [p.name for p in options if p.kind is not p.KEYWORD_ONLY and p.default is not p.empty]
        assert not loose, f"{table}: {name} has options that are not keyword-only: {loose}"
        assert isinstance(schema(target), dict)


def adapter_trees() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text())) for folder in ADAPTERS for path in python_files(folder)]


def test_adapters_say_what_they_exchange() -> None:
    for path, tree in adapter_trees():
        nodes = list(ast.walk(tree))
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        names |= {node.name for node in nodes if isinstance(node, ast.alias)}
        assert "Any" not in names, f"{path}: Any hides what is exchanged"


def test_modules_take_nothing_out_of_the_trainer_s_data_module() -> None:
    for path, tree in adapter_trees():
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert "datamodule" not in names or path == ROOT / "lightning_modules/study.py", path


def test_the_core_has_no_dumping_ground() -> None:
    for folder in ("sevenfold", *ADAPTERS):
        for path in python_files(folder):
            assert path.stem not in ("utils", "misc", "helpers", "common"), path


def test_shape_bars_hold() -> None:
    done = subprocess.run([sys.executable, "benchmarks/shape.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_wheel_holds_exactly_the_four_packages(tmp_path: Path) -> None:
    shutil.copytree(ROOT, source := tmp_path / "source", ignore=shutil.ignore_patterns(".*", "build", "runs"))
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == {"sevenfold", *ADAPTERS}


@pytest.mark.parametrize("family", ["deq", "diffreps", "fairness", "flow", "nas", "testing"])
def test_no_public_name_is_that_of_a_file_beside_it(family: str) -> None:
    """Importing such a file would put the module in the name's place."""
    folder = ROOT / "sevenfold" / family
    files = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not files & set(importlib.import_module(f"sevenfold.{family}")._PUBLIC)
