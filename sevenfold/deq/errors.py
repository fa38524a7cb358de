"""What the equilibrium library raises."""

from typing import TYPE_CHECKING

from sevenfold.errors import InputError

if TYPE_CHECKING:
    from sevenfold.deq.base import Solution


class NotConverged(ArithmeticError):
    """A solve missed its tolerance under a rule with ``strict=True``.

    Args:
        message: how far it came, and what to do.
        solution: the record of the forward solve, if that failed.

    Example:
        >>> import torch
        >>> from sevenfold.deq import Implicit, fixed_point
        >>> try:
        ...     fixed_point(lambda z: z + 1, torch.zeros(1, 1), adjoint=Implicit(strict=True), max_iter=5)
        ... except NotConverged as error:
        ...     print(error.solution.counts()["max_iter"])
        1
    """

    def __init__(self, message: str, solution: "Solution | None" = None) -> None:
        super().__init__(message)
        self.solution = solution


class PreflightError(InputError):
    """A map f that no solver can be right about.

    Args:
        finding: the fault in a word: ``in_place``, ``coupled``, ``random``, ``structure``, ``closure``,
            ``scalars`` or ``nonfinite``.
        message: what was seen, and the cure.

    Example:
        >>> import torch
        >>> from sevenfold.deq import fixed_point
        >>> try:
        ...     fixed_point(lambda z: z.mul_(0.5).add_(1), torch.zeros(2, 3))
        ... except PreflightError as error:
        ...     print(error.finding)
        in_place
    """

    def __init__(self, finding: str, message: str) -> None:
        super().__init__(message)
        self.finding = finding


class ReversibleError(ArithmeticError):
    """The reversible rule could not reconstruct its start, so its gradient cannot be trusted."""
