"""The exceptions that mean: what was given is at fault, not the program."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Report bad input in one line: what was given, what was expected, what to do.

    ``train.py`` prints the message alone and ends with status 2; everything else keeps its traceback.
    """


class ConfigError(InputError):
    """A mistake in a configuration, carrying the full dotted ``key`` of the option at fault."""

    def __init__(self, key: str, message: str):
        key, message = " ".join(key.splitlines()), " ".join(message.splitlines())
        super().__init__(f"{key}: {message}" if key else message)
        self.key, self.message = key, message


def suggest(word: object, known: Iterable[str]) -> str:
    """Name the known word that is meant, the nearest three, or all of a short list."""
    known = sorted(known)
    near = difflib.get_close_matches(str(word), known, n=1, cutoff=0.8)
    near = near or difflib.get_close_matches(str(word), known, n=3, cutoff=0.5)
    if near:
        return f"Did you mean {' or '.join(repr(name) for name in near)}?"
    if len(known) <= 12:
        return f"Known: {', '.join(known) or 'none'}."
    return f"Nearest of {len(known)}: {', '.join(difflib.get_close_matches(str(word), known, cutoff=0.0))}."


def one_line(error: object) -> str:
    """Return the text of an exception on one line, or its type where it has no text."""
    return " ".join(str(error).split()) or type(error).__name__


def shown(value: object, width: int = 80) -> str:
    """Return the ``repr`` of a value given by the user, cut to ``width`` characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= width else f"{text[: width - 3]}..."
