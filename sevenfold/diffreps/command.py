"""``python -m sevenfold check prior CONFIG``: is the prior of a recipe read as its network was trained?"""

import sys
from collections.abc import Sequence
from typing import Any

from sevenfold.errors import InputError
from sevenfold.tables import allow

USAGE = """usage: python -m sevenfold check prior CONFIG [OPTION=VALUE ...] [--allow PACKAGE ...]

Reads study.prior, study.real and study.root of a recipe and prints whether the prior is configured as its
network was trained, with the line that sets what is wrong (study.images: how many images are denoised)."""
OPTIONS = ("prior", "real", "root", "images")


def main(words: Sequence[str]) -> int:
    """Print the report; return 0 where all is right, 1 where something fails, 2 for bad input."""
    if not words or {"-h", "--help"} & set(words):
        print(USAGE)
        return 0 if words else 2
    try:
        print(text := report(words))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if "FAILS" in text else 0


def report(words: Sequence[str]) -> str:
    """Return the report of a command line: a recipe, settings and allowed packages."""
    from sevenfold.config import build, compose, read_file
    from sevenfold.diffreps.studies import STUDIES
    from sevenfold.recipes import recipe

    settings, packages, rest = [], [], list(words[1:])
    while rest:
        word = rest.pop(0)
        if word == "--allow" and rest:
            packages.append(rest.pop(0))
        elif word.startswith("--allow="):
            packages.append(word.removeprefix("--allow="))
        else:
            settings.append(word)
    allow(*packages)
    study: Any = compose([read_file(recipe(words[0]))], settings).get("study")
    if not isinstance(study, dict) or "prior" not in study:
        raise InputError(f"'{words[0]}' has no study.prior to check")
    # what else a recipe sets belongs to its own study
    node = {"name": "check_prior", **{name: study[name] for name in OPTIONS if name in study}}
    check = build(STUDIES, node, "study")
    return str(check.report(check.run_all()))
