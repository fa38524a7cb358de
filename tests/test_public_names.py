"""Public names of the families are imported on first use, and each has an example that runs."""

import doctest
import importlib
import subprocess
import sys
import warnings

import pytest

import sevenfold.nas
from sevenfold.tables import locate

FAMILIES = ("deq", "diffreps", "fairness", "flow", "nas", "testing")
LONGEST = 8


def public() -> list[tuple[str, str]]:
    names = {family: importlib.import_module(f"sevenfold.{family}").__all__ for family in FAMILIES}
    return [(family, name) for family in FAMILIES for name in names[family]]


@pytest.mark.parametrize(("family", "name"), public())
def test_a_public_name_has_a_short_example_that_runs(family: str, name: str) -> None:
    target = getattr(importlib.import_module(f"sevenfold.{family}"), name)
    scope = vars(importlib.import_module(target.__module__)).copy()
    found = doctest.DocTestFinder(recurse=False).find(target, name, globs=scope)
    examples = [example for test in found for example in test.examples]
    assert examples, f"the docstring of {name} has no example"
    assert sum(example.source.count("\n") for example in examples) <= LONGEST
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    with warnings.catch_warnings(action="ignore"):
        for test in found:
            runner.run(test)
    assert not runner.summarize(verbose=False).failed


@pytest.mark.parametrize("family", FAMILIES)
def test_public_names_are_those_of_their_modules(family: str) -> None:
    package = importlib.import_module(f"sevenfold.{family}")
    assert set(package.__all__) == set(package._PUBLIC) <= set(dir(package))
    for name, reference in package._PUBLIC.items():
        assert getattr(package, name) is locate(reference)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Banana'. Did you mean 'Bananas'"):
        sevenfold.nas.Banana  # noqa: B018
    with pytest.raises(ImportError):
        from sevenfold.nas import Banana  # noqa: F401


@pytest.mark.parametrize("family", FAMILIES)
def test_importing_a_family_imports_nothing_heavy(family: str) -> None:
    heavy = "{'torch', 'numpy', 'scipy', 'sklearn'}"
    code = f"import sys, sevenfold.{family}; print(*({heavy} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.split()
