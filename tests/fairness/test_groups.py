"""Groups of people from columns of any kind; what cannot be a group is refused by name."""

import numpy as np
import pytest
import torch

from sevenfold.errors import InputError
from sevenfold.fairness.confusion import counts
from sevenfold.fairness.groups import Groups

SEX = ["F", "M", "F", None, "M", "F"]


def test_levels_are_taken_as_they_are_and_unknown_is_no_group() -> None:
    for missing in (None, "?", "NA", "unknown", "Unknown", "", "NULL", float("nan")):
        groups = Groups.of({"sex": [missing if v is None else v for v in SEX]}, small=1)
        assert groups.names == ("sex=F", "sex=M") and groups.cell.tolist() == [0, 1, 0, -1, 1, 0]
        assert groups.unknown == 1 and groups.flags == ("1 rows have an unknown attribute",)


def test_check_12_every_kind_of_column_gives_the_same_groups() -> None:
    plain = [0, 1, 1, 0, 1]
    kinds = [
        plain,
        [bool(v) for v in plain],
        [str(v) for v in plain],
        np.array(plain, np.int8),
        np.array(plain, np.float64),
        np.array(plain)[:, None],
        torch.tensor(plain),
        torch.tensor(plain).bool(),
    ]
    for values in kinds:
        groups = Groups.of({"a": values}, small=1)
        assert groups.cell.tolist() == plain and groups.names == ("a=0", "a=1")
    assert Groups.of(torch.tensor(plain), small=1).names == ("a=0", "a=1")


def test_check_12_tables_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"sex": SEX, "race": pandas.Categorical(["a", "b", "a", "a", "a", "b"])})
    groups = Groups.of(frame, cross=True, small=1)
    assert groups.names[:4] == ("sex=F", "sex=M", "race=a", "race=b")
    assert groups.names[4:] == ("sex=F & race=a", "sex=F & race=b", "sex=M & race=a", "sex=M & race=b")
    assert groups.families == [(0, 1), (2, 3), (4, 5, 6, 7)]
    # a group is a union of cells, and groups overlap
    assert groups.mask(2).tolist() == [True, False, True, False, True, False]
    nullable = pandas.Series([1, 0, pandas.NA], dtype="Int64", name="g")
    assert Groups.of(nullable, small=1).cell.tolist() == [1, 0, -1]


def test_ranges_of_numbers() -> None:
    age = [24, 25, 59, 60, 61.5]
    groups = Groups.of({"age": age}, spec={"age": {"bins": [25, 60]}}, small=1)
    assert groups.cell.tolist() == [0, 1, 1, 2, 2]
    assert groups.names == ("age<25", "age=25..60", "age>=60")
    for rule, expected in (
        (">= 25", [0, 1, 1, 1, 1]),
        ("> 25", [0, 0, 1, 1, 1]),
        ("25..59", [0, 1, 1, 0, 0]),
    ):
        assert Groups.of({"age": age}, spec={"age": rule}, small=1).cell.tolist() == expected
        text = [str(v) for v in age]
        assert Groups.of({"age": text}, spec={"age": {"privileged": rule}}, small=1).cell.tolist() == expected


def test_rules_are_those_of_the_first_people() -> None:
    rule = {"race": {"levels": {"white": ["W"], "asian": "A"}, "rest": "other"}}
    groups = Groups.of({"race": ["W", "A", "B", "W"]}, spec=rule, small=1)
    assert groups.names == ("race=white", "race=asian", "race=other")
    again = groups.again({"race": ["Z", "W", "?"]})
    assert again.names == groups.names and again.cell.tolist() == [1, 0, -1]  # cells are those present
    assert again.mask(2).tolist() == [True, False, False]
    with pytest.raises(InputError, match=r"values in no group: 'x' \(1 rows\)"):
        Groups.of({"a": ["u", "v"]}, small=1).again({"a": ["u", "v", "x"]})


def test_small_groups_are_flagged_or_merged() -> None:
    race = ["a"] * 40 + ["b"] * 40 + ["c"] * 5 + ["d"] * 3
    groups = Groups.of({"race": race})
    assert groups.flags == tuple(
        f"few rows, race={g}: {n}, shown and not judged" for g, n in (("c", 5), ("d", 3))
    )
    merged = Groups.of({"race": race}, small="merge")
    assert merged.names == ("race=a", "race=b", "race=other") and merged.flags[0].startswith("few rows")
    table = counts(torch.ones(88), torch.arange(88) % 2, groups)
    assert table.judged("selection", (0, 1, 2, 3)) == [0, 1]
    # few people with a label are too few for a rate over it
    assert counts(torch.ones(88), (torch.arange(88) < 9).long(), groups).judged("tpr", (0, 1)) == []


@pytest.mark.parametrize(
    ("columns", "spec", "message"),
    [
        ({"r": ["W", "B", "A"]}, {"r": {"levels": {"w": ["W"]}}}, "no group: 'B' .1 rows., 'A' .1 rows."),
        ({"sex": ["male", "female", "femal"]}, {"sex": "male"}, "'femal', 'female'.* none of them was named"),
        ({"sex": ["male", "m", "female"]}, {"sex": "male"}, r"\['female', 'm'\] are not the privileged"),
        ({"sex": ["M", "m"]}, {"sex": "M"}, "differ only in case"),
        ({"sex": ["M", "F", "f "]}, None, "'F' and 'f', which differ only in case or blanks"),
        ({"sex": ["M", "F"]}, {"sex": "male"}, "no row has the privileged value 'male'"),
        ({"age": [20.0, float("inf")]}, None, "infinite in row 1"),
        ({"age": ["20", "inf"]}, {"age": ">= 25"}, "infinite in row 1"),
        ({"age": ["20", "2,5"]}, {"age": ">= 25"}, "has the value '2,5'; use a decimal point"),
        ({"age": ["20", "old"]}, {"age": {"bins": [25]}}, "compared with numbers but has the value 'old'"),
        ({"age": [1, 2]}, {"age": {"bins": [3, 2]}}, "increasing numbers"),
        ({"age": [1, 2]}, {"age": ">= x"}, "compares with no number"),
        ({"age": range(100)}, None, "100 different values"),
        ({"r": ["W", "W"]}, None, "one group only"),
        ({"r": ["W", "B"]}, {"s": "W"}, "no protected attribute 's'"),
        ({"r": ["W", "B"]}, {"r": {"priviledged": "W"}}, "Did you mean 'privileged'"),
        ({"r": ["W", "B"]}, {"r": {"levels": {"a": ["W"], "b": ["W"]}}}, "listed in two groups"),
        ({"r": ["W", "B"]}, {"r": {"levels": {"a": ["W"]}, "rest": "drop"}}, "one of other, unknown"),
        ({"r": ["W", "B"], "s": [1, 0, 1]}, None, r"have \[2, 3\] rows"),
        ({}, None, "no protected attribute was given"),
        ({"r": np.zeros((2, 2))}, None, "shape .2, 2.; expected one value a row"),
        ({"r": np.array(["2020-01-01", "2021-01-01"], "datetime64[D]")}, None, "values of type datetime64"),
    ],
)
def test_check_14_what_is_no_group_is_refused_by_name(columns: dict, spec: dict | None, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Groups.of(columns, spec=spec)
    assert "\n" not in str(caught.value)


def test_uncovered_values_become_other_or_unknown_where_the_rule_says_so() -> None:
    race = ["W", "B", "A", "W"]
    for rest, cells in (("other", [0, 1, 1, 0]), ("unknown", None)):
        rule = {"race": {"levels": {"w": "W", "b": "B"}, "rest": rest}}
        groups = Groups.of({"race": race}, spec=rule, small=1)
        assert groups.unknown == (0 if rest == "other" else 1), cells
    two = Groups.of({"race": race}, spec={"race": {"privileged": "W", "unprivileged": ["B", "A"]}}, small=1)
    assert two.names == ("race=B or A", "race=W") and two.cell.tolist() == [1, 0, 0, 1]


def test_people_of_unknown_groups_count_in_performance_alone() -> None:
    y, d = torch.tensor([1, 0, 1, 0, 1]), torch.tensor([1, 0, 1, 1, 0])
    groups = Groups.of({"a": [0, 0, 1, 1, None]}, small=1)
    table = counts(d, y, groups)
    assert float(table.overall("accuracy")) == pytest.approx(3 / 5)
    assert table.rate("accuracy").tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    "weights", [[1.0, 0.0], [1.0, float("nan")], [1.0], [1.0, -2.0], [1.0, float("inf")]]
)
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(InputError, match="weights must be 2 finite numbers above 0"):
        counts([1, 0], [1, 0], torch.tensor([0, 1]), torch.tensor(weights))
