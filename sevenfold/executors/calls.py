"""The contract of what computes calls of one function, and its simplest form."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sevenfold.errors import InputError, one_line
from sevenfold.ranges import Checked

Say = Callable[[Any], Any]
"""Sends a message from within a call and returns the answer."""
Hear = Callable[[int, Any], Any]
"""Takes the ticket of a call and a message from within it; returns the answer."""
Prepare = Callable[[], Callable[..., Any]]
"""Returns the function that is called, as ``function(*given, say=...)``."""


@dataclass(frozen=True)
class Ending:
    """The end of a call: its ticket, and what it returned, or in ``error`` the reason why it did not."""

    ticket: int
    value: Any = None
    error: str | None = None


class Calls(Checked, ABC):
    """Computes calls of one function, several at a time; each is named by a ticket of the caller's choice."""

    limits: bool = False
    """Whether a call can be ended after some seconds."""

    @abstractmethod
    def start(self, prepare: Prepare, hear: Hear) -> None:
        """Take ``prepare``, which returns the function where calls are computed; ``hear`` takes messages."""

    @property
    @abstractmethod
    def idle(self) -> int:
        """How many calls could be taken at once."""

    @property
    @abstractmethod
    def busy(self) -> bool:
        """Whether calls have not ended."""

    @abstractmethod
    def submit(self, ticket: int, *given: Any, seconds: float | None = None) -> None:
        """Begin a call; it ends with an error after ``seconds``."""

    @abstractmethod
    def collect(self) -> list[Ending]:
        """Wait for calls to end and return their ends: one at least, unless there is no call."""

    @abstractmethod
    def stop(self) -> None:
        """Give up what has not ended."""


def called(function: Callable[..., Any], ticket: int, given: tuple[Any, ...], say: Say) -> Ending:
    """Return the end of a call that is computed now; an exception is its error."""
    try:
        return Ending(ticket, function(*given, say=say))
    except InputError as error:  # a line written for its reader
        return Ending(ticket, error=one_line(error))
    except Exception as error:
        return Ending(ticket, error=f"{type(error).__name__}: {one_line(error)}")


class HereCalls(Calls):
    """Compute each call at once in this process.

    >>> calls = HereCalls()
    >>> calls.start(lambda: lambda x, say: x / say("?"), lambda ticket, message: ticket)
    >>> for number in (2, 0):
    ...     calls.submit(number, 6)
    >>> calls.collect()
    [Ending(ticket=2, value=3.0, error=None), Ending(ticket=0, value=None, error='ZeroDivision...')]
    """

    def start(self, prepare: Prepare, hear: Hear) -> None:
        """Prepare the function."""
        self._function, self._hear = prepare(), hear
        self._ended: list[Ending] = []

    @property
    def idle(self) -> int:
        """One, until its end is collected."""
        return int(not self._ended)

    @property
    def busy(self) -> bool:
        """Whether an end was not collected."""
        return bool(self._ended)

    def submit(self, ticket: int, *given: Any, seconds: float | None = None) -> None:
        """Compute a call, however long it takes."""
        self._ended.append(called(self._function, ticket, given, lambda message: self._hear(ticket, message)))

    def collect(self) -> list[Ending]:
        """Return what has ended."""
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None:
        """Nothing is being computed."""
