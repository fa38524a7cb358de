"""Public names of ``sevenfold.nas`` are imported on first use, and each has an example that runs."""

import doctest
import subprocess
import sys

import pytest

import sevenfold.nas
from sevenfold.tables import locate

LONGEST = 8


@pytest.mark.parametrize("name", sevenfold.nas.__all__)
def test_a_public_name_has_a_short_example_that_runs(name: str) -> None:
    target = getattr(sevenfold.nas, name)
    found = doctest.DocTestFinder(recurse=False).find(target, name, globs={})
    examples = [example for test in found for example in test.examples]
    assert examples, f"the docstring of {name} has no example"
    assert sum(example.source.count("\n") for example in examples) <= LONGEST
    runner = doctest.DocTestRunner()
    for test in found:
        runner.run(test)
    assert not runner.summarize(verbose=False).failed


def test_public_names_are_those_of_their_modules() -> None:
    assert set(sevenfold.nas.__all__) == set(sevenfold.nas._PUBLIC) <= set(dir(sevenfold.nas))
    for name, reference in sevenfold.nas._PUBLIC.items():
        assert getattr(sevenfold.nas, name) is locate(reference)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Banana'. Did you mean 'Bananas'"):
        sevenfold.nas.Banana  # noqa: B018
    with pytest.raises(ImportError):
        from sevenfold.nas import Banana  # noqa: F401


def test_importing_the_family_imports_nothing_heavy() -> None:
    code = "import sys, sevenfold.nas; print(*({'torch', 'numpy', 'scipy', 'sklearn'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.split()
