"""Configuration of the documentation, which ``make docs`` builds offline."""

import importlib
import inspect
import os
import sys
import typing
from pathlib import Path

from sphinx.util.inspect import stringify_signature

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("WANDB_MODE", "offline")

project = "Sevenfold"
author = "the Sevenfold developers"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",
]
html_theme = "furo"
html_title = "Sevenfold"
html_show_sourcelink = False
exclude_patterns = ["_build", "claims", "gallery/**/*.ipynb", "gallery/**/*.py", "gallery/**/*.md5"]
suppress_warnings = ["config.cache"]  # the order of examples is a function

myst_enable_extensions = ["colon_fence", "dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_use_rtype = False

sphinx_gallery_conf = {
    "examples_dirs": [str(ROOT / "examples")],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"plot_",
    "ignore_pattern": r"digits_cells",  # an objective to run by hand, on the page of own networks
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
}

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

FAMILIES = {
    "deq": "Fixed points",
    "flow": "Optical flow",
    "nas": "Architecture search",
    "fairness": "Debiasing",
    "diffreps": "Sampling of representations",
    "testing": "Contract kits",
}


def public_names(family: str) -> list[str]:
    """Return the sorted full names that ``sevenfold.<family>`` exports, as ``module.Name``."""
    module = importlib.import_module(f"sevenfold.{family}")
    return sorted((reference.replace(":", ".") for reference in module._PUBLIC.values()), key=last_word)


def last_word(name: str) -> str:
    return name.rpartition(".")[2].lower()


def write_reference(family: str, title: str) -> str:
    """Return the page of a family's public names."""
    module = importlib.import_module(f"sevenfold.{family}")
    lines = [f"# {title}: `sevenfold.{family}`", "", (module.__doc__ or "").strip().split("\n\n")[0], ""]
    for name in public_names(family):
        owner, _, attribute = name.rpartition(".")
        value = getattr(importlib.import_module(owner), attribute)
        kind = "autoclass" if isinstance(value, type) else "autofunction" if callable(value) else "autodata"
        members = "   :members:\n   :show-inheritance:\n" if kind == "autoclass" else ""
        lines += [f"## {attribute}", "", "```{eval-rst}", f".. {kind}:: {name}", members + "```", ""]
    return "\n".join(lines)


def write_pages(app: object) -> None:
    """Write the pages that are drawn from the code: the reference and the index of recipes."""
    reference = DOCS / "reference"
    reference.mkdir(exist_ok=True)
    for family, title in FAMILIES.items():
        (reference / f"{family}.md").write_text(write_reference(family, title))
    (DOCS / "recipes.md").write_text(list_recipes())
    (DOCS / "zoo.md").write_text(list_zoo())


def list_recipes() -> str:
    """Return the page of all recipes, a table for each folder of ``configs/``."""
    from sevenfold.reference.listing import listing

    lines, folder = ["# Recipes", "", RECIPES], ""
    for row in listing("recipes"):
        name, line = row["name"], row["line"]
        if name.split("/")[0] != folder:
            folder = name.split("/")[0]
            lines += ["", f"## {folder}", "", "| recipe | |", "|---|---|"]
        lines.append(f"| `{name}` | {line.replace('|', chr(92) + '|').replace('*', chr(92) + '*')} |")
    return "\n".join([*lines, ""])


def list_zoo() -> str:
    """Return the page of everything published, a card each."""
    from sevenfold.reference.listing import card_fields
    from sevenfold.zoo import names

    lines = ["# Weights in the box", "", ZOO]
    for name in names():
        fields = card_fields(name)
        lines += ["", f"## {fields.pop('name')}", "", fields.pop("line") + ".", "", "| | |", "|---|---|"]
        figures = "; ".join(f"{what}: {value}" for what, value in fields.pop("figures").items())
        rows = {**fields, "figures": figures}.items()
        lines += [f"| {key.replace('_', ' ')} | {value} |" for key, value in rows]
    return "\n".join([*lines, ""])


ZOO = """`sevenfold.load("flow/demo")` opens one by its name; `python train.py list zoo` and
`describe zoo=NAME` print the cards; `python -m sevenfold.zoo.pack CHECKPOINT FILE` makes a file of your own
run."""
RECIPES = """`python train.py --config configs/NAME.yaml` runs one; `--config NAME` works without a checkout.
Every recipe opens with a comment that says what it does."""


def escape_bars(app: object, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Let ``|x|`` in a docstring be an absolute value, which reStructuredText takes for a substitution."""
    for place, line in enumerate(lines):
        parts = line.split("``")
        lines[place] = "``".join(p if odd % 2 else p.replace("|", "\\|") for odd, p in enumerate(parts))


def plain_signature(
    app: object, what: str, name: str, value: object, options: object, signature: str, returns: str
) -> tuple[str, str] | None:
    """Show types without the ranges and tables of their annotations; these stand in ``describe``."""
    if what not in ("class", "function", "method") or not signature:
        return None
    try:
        hints = typing.get_type_hints(value.__init__ if isinstance(value, type) else value)
        shown = inspect.signature(value)
    except (TypeError, NameError, ValueError):
        return None
    parameters = [p.replace(annotation=hints.get(p.name, p.annotation)) for p in shown.parameters.values()]
    if what == "method" and parameters and parameters[0].name in ("self", "cls"):
        parameters = parameters[1:]
    text = stringify_signature(shown.replace(parameters=parameters), unqualified_typehints=True)
    return text.partition(" -> ")[0], returns


def leave_out(app: object, what: str, name: str, value: object, skip: bool, options: object) -> bool | None:
    """Leave out what scikit-learn adds to estimators."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def setup(app: object) -> None:
    app.connect("builder-inited", write_pages)  # type: ignore[attr-defined]
    app.connect("autodoc-process-docstring", escape_bars, priority=900)  # type: ignore[attr-defined]
    app.connect("autodoc-process-signature", plain_signature)  # type: ignore[attr-defined]
    app.connect("autodoc-skip-member", leave_out)  # type: ignore[attr-defined]
