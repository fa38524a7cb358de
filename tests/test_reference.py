"""What the suite says about itself: lists, descriptions, whole configurations, the schema of files."""

import json
import os
import random
import re
import string
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import studies
import yaml
from jsonschema import Draft202012Validator

from sevenfold.config import compose, read_file, schema
from sevenfold.errors import ConfigError
from sevenfold.recipes import folder, names, recipe
from sevenfold.reference import answer
from sevenfold.reference.defaults import commented
from sevenfold.reference.describe import as_page, description, lookup, tables_at
from sevenfold.reference.json_schema import config_schema
from sevenfold.reference.listing import listing, table
from sevenfold.reference.options import options
from sevenfold.tables import TABLES, locate
from sevenfold.yaml_files import parse_yaml

ROOT = Path(__file__).resolve().parents[1]
COMPONENTS = [(place, name) for place in TABLES for name in table(place)]
FILES = sorted(path for path in folder().rglob("*.yaml") if "sweeps" not in path.parts)
LATER = ["study.prior.path=absent", "study.source.path=absent", "model.weights=absent", "data.root=absent"]


def whole(name: str) -> dict[str, Any]:
    """Return a recipe, composed; values that it leaves to the user are given."""
    layer = read_file(recipe(name))
    text = yaml.safe_dump(layer)
    settings = [setting for setting in LATER if "???" in text and _asks(layer, setting.partition("=")[0])]
    return compose([{"name": Path(name).name}, layer], settings)


def _asks(layer: Any, key: str) -> bool:
    for part in key.split("."):
        layer = layer.get(part) if isinstance(layer, dict) else None
    return layer == "???"


def complete_recipes() -> list[Any]:
    """Return all recipes; those are fast which are the first of a study, or of a network and data."""
    cases, seen = [], set()
    for name in names():
        node = read_file(recipe(name))
        if "study" not in node and "name" not in node.get("model", {}):
            continue
        kind = studies.kind(node)
        cases.append(pytest.param(name, marks=[pytest.mark.slow] if kind in seen else []))
        seen.add(kind)
    return cases


def test_every_table_of_the_packages_is_listed() -> None:
    from benchmarks.extreme_numbers import tables

    listed = {name for reference in TABLES.values() for name in locate(reference).values()}
    hidden = {reference for _, _, reference in tables()} - listed
    assert not hidden
    assert [row["table"] for row in listing(None)] == [*TABLES, "recipes", "zoo"]


@pytest.mark.parametrize("place", TABLES)
def test_a_listed_component_has_a_line(place: str) -> None:
    rows = listing(place)
    assert [row["name"] for row in rows] == list(table(place))
    assert all(row["line"] and "\n" not in row["line"] for row in rows), rows


def test_an_unlisted_table_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"^'solvrs' is no table\. Did you mean "):
        listing("deq.solvrs".removeprefix("deq."))
    with pytest.raises(ConfigError, match="is several tables: deq.solvers, diffreps.solvers"):
        listing("solvers")


@pytest.mark.parametrize(("place", "name"), COMPONENTS)
def test_a_description_has_every_option_with_type_default_and_line(place: str, name: str) -> None:
    title, target, given, extra = lookup(f"{place}={name}")
    described = description(title, target, given, extra)
    top = {option["name"].split(".")[0] for option in described["options"]}
    assert top == set(schema(target)) - set(given)
    for option in described["options"]:
        assert option["type"] and option["default"], option
        foreign = described["reference"].startswith(("pytorch_lightning", "torch"))
        assert option["line"] or foreign, f"{place}={name}: {option['name']} has no line"
    assert json.loads(json.dumps(described)) == described
    assert as_page(described).startswith(title)


@pytest.mark.parametrize(
    ("key", "places"),
    [
        ("study", ["studies"]),
        ("study.algorithms", ["nas.algorithms", "diffreps.methods"][:1]),
        ("study.algorithms.bananas.surrogate", ["nas.surrogates"]),
        ("model.network", ["flow.networks", "nas.predictors", "diffreps.networks"]),
        ("model.network.solver", ["deq.solvers"]),
        ("deq.solvers", ["deq.solvers"]),
        ("backwards", ["deq.backwards"]),
    ],
)
def test_a_key_of_a_configuration_leads_to_its_tables(key: str, places: list[str]) -> None:
    assert set(places) <= set(tables_at(key))


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        ("study=nas_serch", "study: 'nas_serch' is not known. Did you mean 'nas_search'?"),
        ("anderso", "'anderso' is no component. Did you mean 'anderson'?"),
        ("random", "'random' is in several tables: "),
        ("model.netwrk=raft", "model.netwrk: no component stands at 'netwrk'. Did you mean 'network'?"),
        ("os:system", "describe: 'os:system' is code outside the suite: say --allow os if you trust it"),
    ],
)
def test_a_topic_that_is_not_there_is_answered_in_one_line(topic: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        answer("describe", topic)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "topic", ["run", "trainer", "callbacks.checkpoint", "anderson", "model.network=deq_flow"]
)
def test_topics_in_every_form_are_described(topic: str) -> None:
    assert len(answer("describe", topic).splitlines()) > 5
    assert json.loads(answer("describe", topic, json=True))["options"]


@pytest.mark.parametrize("name", complete_recipes())
def test_a_configuration_with_all_defaults_is_the_same_run(name: str) -> None:
    config = whole(name)
    text = commented(config)
    again = compose([yaml.safe_load(text)])
    assert commented(again) == text
    assert set(again) == set(config) and again["seed"] == config["seed"]
    comments = sum(line.lstrip().startswith("#") for line in text.splitlines())
    assert comments > len(text.splitlines()) / 4
    assert yaml.safe_load(yaml.safe_dump(config, sort_keys=False)) == config


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.trainin.iterations=[1]", "model.trainin: unknown key. Did you mean 'training'?"),
        ("model.network.widht=3", "model.network.widht: unknown key."),
        (
            "model.network.solver.dampin=1",
            "model.network.solver.dampin: unknown key. Did you mean 'damping'?",
        ),
        ("model.network.solver.name=andersen", "model.network.solver.name: 'andersen' is not known."),
        ("callbacks.checkpoint.save_topk=1", "callbacks.checkpoint.save_topk: unknown key."),
        ("trainer.max_epoch=1", "trainer.max_epoch: unknown key. Did you mean "),
        ("model.optim.lr=-1", "model.optim.lr: expected"),
    ],
)
def test_a_mistake_at_any_depth_is_found_before_printing(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        commented(compose([{"name": "demo"}, read_file(recipe("flow/demo"))], [setting]))
    assert str(caught.value).startswith(message)


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    document = json.loads(answer("schema", None))
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


def test_the_schema_takes_every_shipped_file(validator: Draft202012Validator) -> None:
    for path in FILES:
        content = parse_yaml(path.read_text())
        problem = next(validator.iter_errors(content), None)
        assert problem is None, f"{path}: {list(problem.absolute_path)}: {problem.message[:200]}"


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every key in a mapping, but for labels that are free and loggers' own options."""
    below = []
    if isinstance(node, dict):
        for key, value in node.items():
            below += [(*path, key), *places(value, (*path, key))]
    return below


LABELS = ("algorithms", "methods", "representations", "view_noises", "extrapolators", "searches", "noises",
          "arms", "networks", "by_dataset", "trials_of", "sets", "sources", "tags")  # fmt: skip
LANGUAGES = {"parameters", "groups", "constraints"}  # what stands below is the user's own, of no schema


def test_the_schema_refuses_two_hundred_typos(validator: Draft202012Validator) -> None:
    stream, refused, tried = random.Random(0), 0, []
    while len(tried) < 200:
        path = stream.choice(FILES)
        content = parse_yaml(path.read_text())
        options = [
            p
            for p in places(content)
            if (len(p) < 2 or p[-2] not in LABELS) and not LANGUAGES.intersection(p[:-1])
        ]
        if not options:
            continue
        place = stream.choice(options)
        word, at = str(place[-1]), stream.randrange(len(str(place[-1])))
        typo = word[:at] + stream.choice(string.ascii_lowercase) + word[at:]
        node = content
        for part in place[:-1]:
            node = node[part]
        node[typo] = node.pop(place[-1])
        tried.append((path.name, ".".join(map(str, place)), typo))
        refused += next(validator.iter_errors(content), None) is not None
        assert refused == len(tried), f"taken: {tried[-1]}"


def test_ten_components_drawn_by_a_seed_show_all_they_should() -> None:
    for place, name in random.Random(20261126).sample(COMPONENTS, 10):
        title, target, given, extra = lookup(f"{place}={name}")
        page = as_page(description(title, target, given, extra))
        for option in options(target, given):
            assert f"{option.name}: {option.type} [" in page


def test_a_recipe_is_found_by_its_name() -> None:
    assert recipe("flow/demo") == folder() / "flow/demo.yaml"
    assert "flow/demo" in names() and not any(name.startswith("base") for name in names())
    with pytest.raises(
        ConfigError, match=r"^'flow/dem' is neither a file nor a recipe\. Did you mean 'flow/demo'"
    ):
        recipe("flow/dem")
    with pytest.raises(ConfigError, match="is neither a file nor a recipe"):
        recipe("../setup")


def test_the_schema_is_one_document() -> None:
    assert config_schema()["$defs"]["deq.solvers=anderson"]["properties"]["memory"]["description"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sevenfold li", "list"),
        ("sevenfold --config flow/de", "flow/demo"),
        ("sevenfold list deq.", "deq.solvers"),
    ],
)
def test_a_shell_completes_verbs_recipes_and_tables(line: str, expected: str) -> None:
    pytest.importorskip("argcomplete", reason="needs the extra completion (argcomplete)")
    asked = {
        "_ARGCOMPLETE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_STDOUT_FILENAME": os.devnull,
    }
    with tempfile.NamedTemporaryFile("r") as answers:
        environment = studies.environment(**asked) | {"_ARGCOMPLETE_STDOUT_FILENAME": answers.name}
        subprocess.run([sys.executable, "-m", "sevenfold"], env=environment, check=True, cwd=ROOT)
        assert expected in re.split(r"\s+|\x0b|\x0c", answers.read())
