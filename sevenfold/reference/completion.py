"""Completion of the command line in a shell, by ``argcomplete``."""

import argparse
from collections.abc import Iterable


def answer_shell(parser: argparse.ArgumentParser) -> None:
    """Print completions and end the process, if a shell asks for them; otherwise do nothing."""
    import argcomplete

    for action in parser._actions:
        if action.dest == "config":
            action.completer = _recipes  # type: ignore[attr-defined]
        elif action.dest == "topic":
            action.completer = _topics  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser)


def _recipes(prefix: str, **_: object) -> list[str]:
    """Return recipes by name, and files."""
    from argcomplete.completers import FilesCompleter

    from sevenfold.recipes import names

    files: Iterable[str] = FilesCompleter(("yaml", "yml"))(prefix)
    return [*names(), *files]


def _topics(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Return tables after ``list``; after ``describe`` also components, as ``table=name``."""
    from sevenfold.reference.listing import table
    from sevenfold.tables import TABLES

    if parsed_args.verb == "sweep":
        from argcomplete.completers import FilesCompleter

        return list(FilesCompleter(("yaml", "yml"))(prefix))
    if parsed_args.verb == "describe":
        return [f"{place}={name}" for place in TABLES for name in table(place)]
    return [*TABLES, "recipes"]
