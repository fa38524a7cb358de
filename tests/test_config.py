"""Composition, settings, and the signature as schema."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import pytest

from sevenfold.config import ConfigError, build, compose, merge, parse_setting, prepare, read_file, validate

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
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "self.yaml").write_text(content)
    with pytest.raises(ConfigError) as caught:
        read_file(tmp_path / "self.yaml")
    assert message in str(caught.value) and "\n" not in str(caught.value)


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
    ],
)
def test_top_level_mistakes_name_their_key(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([MINIMAL], [setting])
    assert str(caught.value).startswith(message) or message in str(caught.value)


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
