"""What docstrings say: a component's one line, and one line for each of its options.

Options are documented in the section ``Args:`` of a class or function, Google style: ``name: text``, or
``name, other: text`` for several at once; a continuation line is indented further. A subclass inherits the
lines of its bases.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

_HEADS = ("Args:", "Arguments:", "Parameters:")
_ENTRY = re.compile(r"([\w*]+(?:, [\w*]+)*)(?: \([^)]*\))?: (.*)")


def headline(target: Any) -> str:
    """Return the first sentence of a component's docstring, on one line.

    >>> headline(headline)
    "Return the first sentence of a component's docstring, on one line."
    """
    text = inspect.cleandoc(target.__doc__ or "").split("\n\n")[0]
    return _plain(re.split(r"(?<=[.:])\s", text, maxsplit=1)[0].rstrip(":"))


def option_lines(target: Callable[..., Any]) -> dict[str, str]:
    """Return ``{option: its line}`` for the options that a class, its bases or a function documents.

    >>> def scaled(*, factor: float) -> float:
    ...     '''Return a factor.
    ...
    ...     Args:
    ...         factor: above 0.
    ...     '''
    >>> option_lines(scaled)
    {'factor': 'above 0'}
    """
    lines: dict[str, str] = {}
    # From the most general class on, so that a subclass's line wins.
    for owner in reversed(inspect.getmro(target)) if inspect.isclass(target) else (target,):
        texts = [owner.__doc__]
        if inspect.isclass(owner) and "__init__" in vars(owner):
            texts.append(owner.__init__.__doc__)
        for text in texts:
            lines |= dict(_entries(text or ""))
    return lines


def _entries(text: str) -> Iterator[tuple[str, str]]:
    lines = inspect.cleandoc(text).splitlines()
    starts = [index for index, line in enumerate(lines) if line.strip() in _HEADS]
    for start in starts:
        yield from _section(lines, start)


def _section(lines: list[str], start: int) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of one ``Args:`` section, which ends where the indentation does."""
    head = _indent(lines[start])
    body = []
    for line in lines[start + 1 :]:
        if line.strip() and _indent(line) <= head:
            break
        body.append(line)
    depth = next((_indent(line) for line in body if line.strip()), 0)
    names: list[str] = []
    words: list[str] = []
    # The last, artificial entry makes the loop yield the one before it.
    for line in [*body, " " * depth + "end: of section"]:
        match = _ENTRY.match(line.strip()) if _indent(line) == depth else None
        if match is None:
            words.append(line.strip())
            continue
        for name in names:
            yield name, _plain(" ".join(words)).rstrip(".")
        names, words = [name.lstrip("*") for name in match[1].split(", ")], [match[2]]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _plain(text: str) -> str:
    """Return running text without the marks of reStructuredText."""
    text = re.sub(r":\w+:`~?([^`<]*)(?: <[^`]*>)?`", r"\1", text)
    return " ".join(text.replace("``", "").split())
