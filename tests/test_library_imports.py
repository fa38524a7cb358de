"""What importing the package costs, and what its public names bring along."""

import subprocess
import sys
from pathlib import Path

import pytest

import sevenfold.deq

ROOT = Path(__file__).resolve().parents[1]
HEAVY = (
    "pytorch_lightning",
    "torchvision",
    "torchmetrics",
    "wandb",
    "scipy",
    "sklearn",
    "matplotlib",
    "omegaconf",
)


def modules_after(statement: str) -> set[str]:
    program = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_package_alone_imports_next_to_nothing() -> None:
    assert not modules_after("import sevenfold") & {*HEAVY, "torch", "numpy", "yaml"}


@pytest.mark.parametrize("names", ["solve", "DEQ, Anderson, solve"])
def test_equilibrium_layers_need_torch_alone(names: str) -> None:
    loaded = modules_after(f"from sevenfold.deq import {names}")
    assert "torch" in loaded and not loaded & set(HEAVY)


@pytest.mark.parametrize(
    "statement",
    ["import sevenfold.deq.driver; from sevenfold.deq import solve",
     "from sevenfold.deq import solve; import sevenfold.deq.driver",
     "import sevenfold.loading; from sevenfold import load as solve"],
)  # fmt: skip
def test_a_public_name_is_the_function_whatever_was_imported_before(statement: str) -> None:
    modules_after(f"{statement}; assert callable(solve), solve")


def test_an_unknown_public_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Andersen'. Did you mean 'Anderson'"):
        sevenfold.deq.Andersen  # noqa: B018
