"""The examples in the docstrings run."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import sevenfold.deq

MODULES = sorted(path.stem for path in Path(sevenfold.deq.__file__).parent.glob("[a-z]*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    results = doctest.testmod(import_module(f"sevenfold.deq.{name}"))
    assert not results.failed
    assert results.attempted or name not in ("driver", "layer", "reuse")
