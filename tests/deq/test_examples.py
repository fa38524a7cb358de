"""The examples in the docstrings run."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest
import torch

import sevenfold.deq

FOLDER = Path(sevenfold.deq.__file__).parent
MODULES = sorted(
    path.relative_to(FOLDER).with_suffix("").as_posix().replace("/", ".")
    for path in FOLDER.rglob("[a-z]*.py")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    results = doctest.testmod(import_module(f"sevenfold.deq.{name}"), extraglobs={"torch": torch})
    assert not results.failed
    assert results.attempted or name not in ("driver", "layer", "reuse")
