"""What a contract kit is made of: checks with a name and a sentence, run in order."""

from collections.abc import Callable, Sequence
from typing import Any

from sevenfold.docstrings import headline
from sevenfold.errors import one_line

Check = Callable[..., None]


class ContractError(AssertionError):
    """A component that does not keep its contract; ``check`` is the name of the check that failed.

    >>> ContractError("shape", "an image has three dimensions", "got (2, 2)").check
    'shape'
    """

    def __init__(self, check: str, promise: str, observed: str) -> None:
        super().__init__(f"{check}: {promise} {observed}")
        self.check = check


class Violation(AssertionError):
    """What a check observed in place of what it expects."""


def require(holds: object, observed: str) -> None:
    """Raise :class:`Violation` with what was observed where a condition does not hold."""
    if not holds:
        raise Violation(observed)


def run_checks(checks: Sequence[Check], *arguments: Any, **options: Any) -> None:
    """Run checks in order; an exception inside one of them is a violation too."""
    for check in checks:
        run_check(check, *arguments, **options)


def run_check(check: Check, *arguments: Any, **options: Any) -> None:
    """Run one check; raise :class:`ContractError` where it does not hold."""
    try:
        check(*arguments, **options)
    except Violation as violation:
        raise ContractError(check.__name__, headline(check), str(violation)) from None
    except Exception as error:
        observed = f"It raised {type(error).__name__}: {one_line(error)}"
        raise ContractError(check.__name__, headline(check), observed) from error
