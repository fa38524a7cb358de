"""The wheel alone, in an environment of its own: lists, describes, trains, loads."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import studies

ROOT = Path(__file__).resolve().parents[1]
TINY = [
    "data.workers=0",
    "data.evaluation={size: 64, val_pairs: 1, test_pairs: 1}",
    "data.crop=64",
    "data.train_pairs=2",
    "model.training.iterations=[3]",
    "model.evaluation={iterations: 3, budgets: []}",
    "trainer.accelerator=cpu",
    "callbacks.progress=null",
]
ONE_STEP = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", "trainer.limit_val_batches=1"]
USE = """
import torch, sevenfold
model = sevenfold.load("runs/flow_demo/version_0")
flow = model.estimate(torch.rand(3, 64, 64), torch.rand(3, 64, 64))
assert flow.shape[-3:] == (2, 64, 64) and model.config["name"] == "flow_demo"
assert "site-packages" in sevenfold.__file__, sevenfold.__file__
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, source := folder / "source", ignore=shutil.ignore_patterns(".*", "build", "runs"))
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_alone_lists_describes_trains_and_loads(wheel: Path, tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    if not uv.is_file():
        pytest.skip("uv, which the Makefile installs, is not in this environment")
    subprocess.run(
        [uv, "venv", "--python", sys.executable, tmp_path / "env"], check=True, capture_output=True
    )
    python, program = tmp_path / "env/bin/python", tmp_path / "env/bin/sevenfold"
    install = [uv, "pip", "install", "--python", python, wheel]
    subprocess.run(install, check=True, capture_output=True)

    def run(*words: object) -> str:
        done = subprocess.run(
            list(map(str, words)), cwd=tmp_path, capture_output=True, text=True, env=studies.environment()
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "deq.solvers" in run(program, "list") and "flow/demo" in run(program, "list", "recipes")
    assert "damping" in run(program, "describe", "deq.solvers=fixed_point")
    fit = (program, "fit", "--config", "flow/demo", *TINY)
    printed = run(*fit, "trainer.fast_dev_run=true")
    assert "run folder" in printed and "\r" not in printed
    shutil.rmtree(tmp_path / "runs")
    run(*fit, *ONE_STEP)
    run(python, "-c", USE)


@pytest.mark.slow
def test_check_23_the_equilibrium_library_needs_torch_numpy_and_omegaconf_alone(
    wheel: Path, tmp_path: Path
) -> None:
    uv = Path(sys.executable).with_name("uv")
    if not uv.is_file():
        pytest.skip("uv, which the Makefile installs, is not in this environment")
    subprocess.run(
        [uv, "venv", "--python", sys.executable, tmp_path / "env"], check=True, capture_output=True
    )
    python = tmp_path / "env/bin/python"
    for words in (["torch", "numpy", "omegaconf", "pytest"], ["--no-deps", wheel]):
        subprocess.run([uv, "pip", "install", "--python", python, *words], check=True, capture_output=True)
    # The tests alone, without the tree beside them: what they import comes from the wheel.
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "tests/conftest.py", tmp_path / "tests")
    shutil.copytree(ROOT / "tests/deq", tmp_path / "tests/deq")
    words = ["-m", "pytest", "-q", "-m", "not slow and not gpu and not distributed", "tests/deq"]
    done = subprocess.run(
        [python, *words], cwd=tmp_path, capture_output=True, text=True, env=studies.environment()
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    loads = (
        "import torch, sys; a = set(sys.modules); import sevenfold.deq.layer; print(*set(sys.modules) - a)"
    )
    new = subprocess.run([python, "-c", loads], cwd=tmp_path, capture_output=True, text=True, check=True)
    packages = {name.split(".")[0] for name in new.stdout.split()} - sys.stdlib_module_names
    assert packages <= {"sevenfold", "numpy", "omegaconf", "yaml", "attr"} | {
        name
        for name in packages
        if name.startswith("_cython")  # numpy's own
    }
