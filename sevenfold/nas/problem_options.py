"""The options of a problem: their defaults, and what no search can have."""

from collections.abc import Mapping
from typing import Any

from sevenfold.errors import InputError, shown
from sevenfold.nas.goals import Goals, read_goals

DEFAULTS: dict[str, Any] = {
    "budget": 100, "seed": 0, "retries": 1, "minimize": None, "maximize": [], "constraints": {}, "seeds": 1,
    "epochs": None,
}  # fmt: skip


def goals_of(options: Mapping[str, Any]) -> Goals:
    """Return the goals in the options of a problem."""
    return read_goals(options["minimize"], options["maximize"], options["constraints"])


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse numbers that no search can have."""
    least = {"budget": 1, "retries": 0, "seed": 0} | ({} if options["epochs"] is None else {"epochs": 1})
    for key, low in least.items():
        if type(options[key]) is not int or options[key] < low:
            raise InputError(f"'{key}' must be a whole number of at least {low}, got {shown(options[key])}")
    seeds, goals = options["seeds"], goals_of(options)
    if seeds != 1 and len(goals.losses) > 1:
        raise InputError(f"'seeds' are of the best, and {', '.join(goals.losses)} have none: leave it out")
    if seeds == 1 and seeds is not True:
        return
    if not isinstance(seeds, dict) or seeds.keys() != {"max", "last"}:
        raise InputError(f"'seeds' must be 1 or {{max: 3, last: 0.07}}, got {shown(seeds)}")
    if type(seeds["max"]) is not int or seeds["max"] < 2:
        raise InputError(f"seeds.max must be a whole number of at least 2, got {shown(seeds['max'])}")
    if not isinstance(seeds["last"], float) or not 0 < seeds["last"] < 1:
        raise InputError(f"seeds.last is a share of the budget between 0 and 1, got {shown(seeds['last'])}")
