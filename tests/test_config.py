"""Composition, settings, and the signature as schema."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from sevenfold.config import (
    ConfigError,
    build,
    compose,
    merge,
    parse_setting,
    prepare,
    read_file,
    suggest,
    validate,
)

BOMB = "a0: &a0 [1, 2]\n" + "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 12))
MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{k}: &a{k} {{<<: [{', '.join([f'*a{k - 1}'] * 9)}]}}\n" for k in range(1, 12)
)
MINIMAL = {"model": {"name": "a"}, "data": {"name": "b"}}


@dataclasses.dataclass(frozen=True)
class Group:
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)


class Part:
    def __init__(
        self,
        *,
        width: int,
        rate: float = 0.5,
        kind: Literal["x", "y"] = "x",
        group: Group = Group(),
        pair: tuple[int, int] = (1, 2),
        names: list[str] = [],  # noqa: B006
        inner: dict[str, Any] = {"name": "inner", "depth": 1},  # noqa: B006
        maybe: int | None = None,
        foreign: "Part | None" = None,
    ):
        self.__dict__.update({key: value for key, value in locals().items() if key != "self"})
        self.built = build(TABLE, inner, "inner")


class Inner:
    def __init__(self, *, depth: int = 0):
        if depth > 5:
            raise ConfigError("depth", f"at most 5, got {depth}")
        self.depth = depth


class Other:
    def __init__(self, *, height: int = 0):
        self.height = height


TABLE = {"part": f"{__name__}:Part", "inner": f"{__name__}:Inner", "other": f"{__name__}:Other"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("k=1e-4", 1e-4),
        ("--k=[0.8, 0.9]", [0.8, 0.9]),
        ("k=None", None),
        ("k=", None),
        ("k=null", None),
        ("k=True", True),
        ("k=off", False),
        ("k=0123", 83),
        ("k=a=b", "a=b"),
        ("k={'a': None, 'b': 2}", {"a": None, "b": 2}),
        ("k='1'", "1"),
        ("k=[1, None]", [1, None]),
    ],
)
def test_settings_follow_yaml_and_read_none(text: str, value: Any) -> None:
    assert parse_setting(text) == {"k": value}


def test_setting_nests_by_dots_and_names_its_key_when_unreadable() -> None:
    assert parse_setting("a.b-c.d=1") == {"a": {"b-c": {"d": 1}}}
    with pytest.raises(ConfigError, match=r"^a\.b: cannot read the value '\[1, 2'"):
        parse_setting("a.b=[1, 2")


def test_list_elements_are_set_by_index() -> None:
    layer = {**MINIMAL, "model": {"name": "a", "layers": [{"x": 1, "y": 2}, {"x": 3}], "sizes": [1, 2]}}
    for first, second in (("layers[0].x", "sizes[1]"), ("layers.0.x", "sizes.1")):
        config = compose([layer], [f"model.{first}=7", f"--model.{second}=9", "model.layers.1={y: 5}"])
        assert config["model"]["layers"] == [{"x": 7, "y": 2}, {"x": 3, "y": 5}]
        assert config["model"]["sizes"] == [1, 9]
    with pytest.raises(ConfigError, match=r"^model\.sizes\[2\]: is out of range: the list has 2 elements$"):
        compose([layer], ["model.sizes[2]=1"])


def test_an_index_reaches_the_list_of_a_default() -> None:
    assert validate(Part, {"width": 1, "pair": {"1": 5}}, "m")["pair"] == (1, 5)
    with pytest.raises(ConfigError, match=r"^m\.pair\[2\]: is out of range"):
        validate(Part, {"width": 1, "pair": {"2": 5}}, "m")


def test_only_keeps_the_labels_named_after_all_layers_are_merged() -> None:
    base = {**MINIMAL, "data": {"name": "b", "arms": {"x": {"k": 1}, "y": {"k": 2}, "z": None}}}
    chosen = {"data": {"arms": {"_only": ["y", "x"]}}}
    later = {"data": {"arms": {"y": {"k": 3}, "new": {}}}}
    arms = compose([base, chosen, later])["data"]["arms"]
    assert list(arms.items()) == [("y", {"k": 3}), ("x", {"k": 1}), ("z", None), ("new", None)]
    arms = compose([base, chosen], ["data.arms._only=x"])["data"]["arms"]
    assert arms == {"x": {"k": 1}, "y": None, "z": None}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.arms._only=[w]", "data.arms._only: 'w' is not there. Known: x, y."),
        ("data.arms._only=3", "data.arms._only: expected a list of labels, got 3"),
        ("data.arms._only=[]", "data.arms._only: expected a list of labels, got []"),
        ("data.arms._only={x: 1}", "data.arms._only: expected a list of labels"),
    ],
)
def test_an_unknown_label_in_only_is_a_mistake(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([{**MINIMAL, "data": {"name": "b", "arms": {"x": {}, "y": {}}}}], [setting])
    assert str(caught.value).startswith(message)


def test_entries_of_callbacks_and_loggers_switch_on_and_off() -> None:
    layers = [MINIMAL, {"logger": {"csv": {"flush_every": 3}, "wandb": {}}, "callbacks": {"lr": {"x": 1}}}]
    config = compose(
        layers, ["logger.csv=true", "logger.wandb=false", "callbacks.lr=null", "callbacks.ema=on"]
    )
    assert config["logger"] == {"csv": {}, "wandb": None}
    assert config["callbacks"] == {"lr": None, "ema": {}}


@pytest.mark.parametrize("value", ["3", "fast", "[1]", "0"])
def test_entries_that_are_no_mapping_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^logger\.wandb: expected a mapping of options, true or false"):
        compose([MINIMAL], [f"logger.wandb={value}"])


def test_merge_replaces_lists_and_drops_options_of_another_component() -> None:
    old = {"solver": {"name": "a", "m": 3}, "list": [1, 2], "keep": 1}
    assert merge(old, {"solver": {"m": 4}}) == {**old, "solver": {"name": "a", "m": 4}}
    assert merge(old, {"solver": {"k": 1, "name": "b"}})["solver"] == {"name": "b", "k": 1}
    assert merge(old, {"list": [3]})["list"] == [3]
    assert merge(old, {"keep": None})["keep"] is None
    assert merge({"name": "run", "seed": 1}, {"name": "other"}) == {"name": "other", "seed": 1}


def test_settings_choose_another_component_in_any_order() -> None:
    layer = {"model": {"name": "a"}, "data": {"name": "b", "crop": 3}}
    settings = ["data.root=x", "data.name=c", "data.workers=1"]
    for order in (settings, settings[::-1]):
        assert compose([layer], order)["data"] == {"name": "c", "root": "x", "workers": 1}


def test_base_files_merge_left_to_right_below_their_user(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.yaml").write_text("x: 1\ny: 1\nz: 1\n")
    (tmp_path / "b.yaml").write_text("base: sub/a.yaml\ny: 2\nz: 2\n")
    (tmp_path / "c.yaml").write_text("y: 5\n")
    (tmp_path / "d.yaml").write_text("base: [b.yaml, c.yaml]\nz: 3\n")
    assert read_file(tmp_path / "d.yaml") == {"x": 1, "y": 5, "z": 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("base: [self.yaml]", "includes itself"),
        ("base: selv.yaml", "selv.yaml' does not exist. Did you mean 'self.yaml'"),
        ("a: [1", "not valid YAML"),
        ("- 1", "must hold a mapping"),
        ("a: 1\na: 2", "not valid YAML"),
        ("a: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("base: 3", "expected a file or a list of files, got 3"),
        ("base: {a: b}", "expected a file or a list of files"),
        ("base: [3]", "expected a file or a list of files, got [3]"),
        ('base: "a\\0b"', "is no name of a file"),
        ("a: " + "[" * 500 + "]" * 500, "nested more than 64 levels deep"),
        ("a: " + "[" * 2000 + "]" * 2000, "not valid YAML"),
        ("a: " + "{b: " * 2000 + "1" + "}" * 2000, "nested more than 64 levels deep"),
        ("a: &a [*a]", "expands to more than 64 levels deep"),
        ("a: &a {b: *a}", "expands to more than 64 levels deep"),
        (BOMB, "expands to more than 200000 values"),
        ("a: !!set {b}", "is not a plain value"),
        ("a: !!binary aGk=", "is not a plain value"),
        ("a: !!timestamp 2001-01-01", "is not a plain value"),
        ("a: {? [1, 2] : 3}", "not valid YAML"),
        ("a: !!int x", "not valid YAML"),
        ("1: 2", "must hold a mapping"),
        ("a: *b", "not valid YAML"),
        ("%", "not valid YAML"),
        ("\x00", "not valid YAML"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "self.yaml").write_text(content)
    with pytest.raises(ConfigError) as caught:
        read_file(tmp_path / "self.yaml")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_merge_keys_that_multiply_do_no_harm(tmp_path: Path) -> None:
    """Newer PyYAML merges each mapping once; with older ones 9^11 pairs are refused before they are there."""
    (tmp_path / "a.yaml").write_text(MERGE_BOMB)
    try:
        assert read_file(tmp_path / "a.yaml")["a11"] == {"x": 1}
    except ConfigError as error:
        assert "more than 200000 values" in str(error)


def test_a_large_file_is_read_whole(tmp_path: Path) -> None:
    content = {f"key{k}": {"values": [k, {"x": 0.5}]} for k in range(2500)}
    (tmp_path / "large.yaml").write_text(yaml.safe_dump({**MINIMAL, "trainer": content}))
    assert compose([read_file(tmp_path / "large.yaml")])["trainer"] == content


def test_numbers_of_files_are_those_of_yaml_with_exponents(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [1e-4, 1E5, .5, 2024-01-01, 1_000, 0x10, 1:30, .inf, -.inf, +1.]")
    assert read_file(tmp_path / "a.yaml")["a"] == [
        1e-4, 1e5, 0.5, "2024-01-01", 1000, 16, 90, float("inf"), -float("inf"), 1.0,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("modle.x=3", "modle: unknown key. Did you mean 'model'?"),
        ("verb=train", "verb: invalid value 'train'"),
        ("seed=1.5", "seed: value '1.5'"),
        ("model=3", "model: "),
        ("model.name=null", "model.name: "),
        ("model.a=${seedd}", "model.a: Interpolation key 'seedd' not found"),
        ("model.a=${oc.env:HOME}", "resolvers are not supported"),
        ("tags=3", "tags: expected a list, got 3"),
        ("seed=-1", "seed: expected a number from 0"),
        ("model.a=${model.a}", "model.a: Recursive interpolation detected"),
        ("model..a=1", "'model..a': expected names joined by dots"),
        (".".join(["model"] * 500) + "=1", "expected names joined by dots"),
        ("model.a=" + "[" * 500, "cannot read the value"),
    ],
)
def test_top_level_mistakes_name_their_key(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([MINIMAL], [setting])
    assert str(caught.value).startswith(message) or message in str(caught.value)


def test_interpolations_that_multiply_are_refused() -> None:
    bomb = {f"a{k}": [f"${{trainer.a{k - 1}}}"] * 9 for k in range(1, 12)} | {"a0": [1]}
    with pytest.raises(ConfigError, match="^interpolations expand to more than 200000 values"):
        compose([{**MINIMAL, "trainer": bomb}])
    chain = {f"a{k}": f"${{trainer.a{k - 1}}}" for k in range(1, 40)} | {"a0": [1, "${model.name}"]}
    assert compose([{**MINIMAL, "trainer": chain}])["trainer"]["a39"] == [1, "a"]


def test_compose_resolves_interpolation_and_fills_defaults() -> None:
    config = compose([MINIMAL, {"seed": 7}], ["model.seed=${seed}", "--tags=[a]"])
    assert config["model"] == {"name": "a", "seed": 7}
    assert (config["verb"], config["tags"], config["output_dir"]) == ("fit", ["a"], "runs")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widht": 3}, "m.widht: unknown key. Did you mean 'width'?"),
        ({"width": "abc"}, "m.width: value 'abc'"),
        ({"width": 8.5}, "m.width: value '8.5'"),
        ({"width": None}, "m.width: incompatible value 'None'"),
        ({"kind": "z"}, "m.kind: invalid value 'z', expected one of ['x', 'y']"),
        ({"group": {"lrr": 1}}, "m.group.lrr: "),
        ({"group": {"lr": "fast"}}, "m.group.lr: "),
        ({"group": {"betas": [1, 2, 3]}}, "m.group: TupleConfig length 3".lower()),
        ({"pair": [1]}, "m.pair: "),
        ({"names": 3}, "m.names: expected a list, got 3"),
        ({"inner": 3}, "m.inner: "),
        ({}, "m.width: is required but missing"),
    ],
)
def test_signature_is_the_schema(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Part, {"width": 1, **options} if options else {}, "m")
    assert str(caught.value).lower().startswith(message.lower())


def test_values_arrive_as_plain_python() -> None:
    node = {"name": "part", "width": 3, "rate": 1, "group": {"lr": 2}, "pair": [3, 4], "names": ["a"]}
    part = build(TABLE, node, "m")
    assert (part.width, part.rate, part.pair, part.names) == (3, 1.0, (3, 4), ["a"])
    assert part.group == Group(lr=2.0) and type(part.names) is list and type(part.rate) is float


def test_component_argument_keeps_default_options_until_its_name_changes() -> None:
    assert build(TABLE, {"name": "part", "width": 1, "inner": {}}, "m").built.depth == 1
    other = build(TABLE, {"name": "part", "width": 1, "inner": {"name": "other"}}, "m").built
    assert isinstance(other, Other)


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ({"name": "iner"}, "m.inner.name: 'iner' is not known. Did you mean 'inner'?"),
        ({"depht": 1}, "m.inner.depht: unknown key. Did you mean 'depth'?"),
        ({"depth": 9}, "m.inner.depth: at most 5, got 9"),
    ],
)
def test_mistakes_inside_components_carry_the_whole_path(inner: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(TABLE, {"name": "part", "width": 1, "inner": inner}, "m")
    assert str(caught.value) == message


def test_program_arguments_are_no_options_and_are_passed() -> None:
    assert prepare(TABLE, {"name": "inner"}, "m", depth=4)().depth == 4
    with pytest.raises(ConfigError, match=r"m\.depth: unknown key"):
        prepare(TABLE, {"name": "inner", "depth": 1}, "m", depth=4)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"name": "stop", "monitor": "val/loss", "mode": "up"}, "c: `mode` can be"),
        (
            {"name": "stop", "monitor": "val/loss", "min_delta": "nan"},
            "c.min_delta: expected a finite",
        ),
        ({"name": "trainer", "precision": 3}, "c.precision: value '3'"),
        ({"name": "trainer", "overfit_batches": -1.5}, "c: "),
    ],
)
def test_what_lightning_refuses_is_one_line_with_the_key(node: dict[str, Any], message: str) -> None:
    table = {"stop": "pytorch_lightning.callbacks:EarlyStopping", "trainer": "pytorch_lightning:Trainer"}
    with pytest.raises(ConfigError) as caught:
        build(table, node, "c")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_three_near_names_stand_for_a_long_list() -> None:
    known = [f"name_{k}" for k in range(45)]
    assert suggest("nmae_7", known) == "Did you mean 'name_7'?"
    assert suggest("zzz", known).startswith("Nearest of 45: ") and len(suggest("zzz", known)) < 60
    assert suggest("", known).count("name_") == 3
    assert suggest("zzz", ["b", "a"]) == "Known: a, b." and suggest("zzz", []) == "Known: none."


def test_a_node_without_a_name_is_shown_with_what_there_is() -> None:
    for node in (None, 3, [], {}, {"name": None}, {"name": ["x"]}):
        with pytest.raises(ConfigError, match=r"^m: expected a mapping with a 'name', got .* Known: inner, "):
            build(TABLE, node, "m")  # type: ignore[arg-type]


def test_a_message_has_one_line_whatever_it_quotes() -> None:
    error = ConfigError("a\nb", "c\nd")
    assert str(error) == "a b: c d"
