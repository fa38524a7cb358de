"""The recipes that come with the suite: by path, or by name such as ``flow/demo``."""

from pathlib import Path

from sevenfold.errors import ConfigError, suggest

PACKAGED = Path(__file__).with_name("configs")  # in a wheel; in a checkout a link to configs/
CHECKOUT = Path(__file__).parents[1] / "configs"
PARTS = ("base", "sweeps")


def folder() -> Path:
    """Return the folder that holds the recipes."""
    return PACKAGED if PACKAGED.is_dir() else CHECKOUT


def names() -> list[str]:
    """Return the names of all recipes, such as ``flow/demo``; files that only serve others are left out."""
    files = sorted(folder().rglob("*.yaml"))
    relative = [file.relative_to(folder()).with_suffix("") for file in files]
    return [name.as_posix() for name in relative if not set(PARTS) & set(name.parts)]


def recipe(path: str) -> Path:
    """Return the file that ``--config`` means: a file of that path, else the recipe of that name.

    >>> recipe("flow/demo").name
    'demo.yaml'
    """
    file = Path(path)
    if file.is_file() or file.suffix in (".yaml", ".yml"):
        return file
    packaged = folder() / f"{path}.yaml"
    if not packaged.resolve().is_relative_to(folder().resolve()) or not packaged.is_file():
        raise ConfigError("", f"'{path}' is neither a file nor a recipe. {suggest(path, names())}")
    return packaged
