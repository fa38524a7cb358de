"""Studies with groups of any number: figures by group, two groups as before, refusals; the newer tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.fairness import DebiasStudy, Objective
from sevenfold.fairness.data.load import open_source
from sevenfold.fairness.studies.recommended import recommended

PEOPLE = {"name": "synthetic", "n": 1500, "preset": "intersectional"}
BASE = {"width": 8, "depth": 1, "training": {"max_epochs": 3}}
METHODS = {name: {"name": name} for name in ("base", "threshold_only", "bias_score", "group_thresholds")}


def study(**options: Any) -> DebiasStudy:
    from sevenfold.config import build
    from sevenfold.fairness.studies import STUDIES

    plain = {"name": "debias", "source": PEOPLE, "methods": METHODS, "base": BASE, **options}
    return build(STUDIES, plain, "study")


def test_a_study_compares_four_crossed_groups(tmp_path: Path) -> None:
    ours = study(groups={"a": None, "b": None}, cross=True, measures=["demographic_parity"], keep="all",
                 drop_protected=[True])  # fmt: skip
    records = ours.run_all(tmp_path)
    assert len(records) == 4
    for record in records:
        rates = {row["group"]: row["selection_rate"] for row in record["by_group"]}
        families = [[n for n in rates if n[0] == "a" and "&" not in n], [n for n in rates if n[0] == "b"],
                    [n for n in rates if "&" in n]]  # fmt: skip
        assert [len(f) for f in families] == [2, 2, 4]
        gaps = [max(rates[n] for n in f) - min(rates[n] for n in f) for f in families]
        assert record["mu"] == pytest.approx(max(gaps), abs=1e-12)
        assert record["group"].startswith("synthetic-a_and_b-without/demographic_parity@0.05/")
        assert record["mu_low"] <= record["mu"] <= record["mu_high"] and "spd" not in record
    by_label = {record["method"]: record for record in records}
    assert by_label["base"]["mu"] > 0.2 > by_label["group_thresholds"]["mu"]
    report = ours.report(records)
    text = " ".join([*report.text, *(line for section in report.sections for line in section.text)])
    assert "demographic_parity is +" in text and "unprivileged get" not in " ".join(report.text)
    assert sorted(p.name for p in (tmp_path / "debiased").glob("*.pt")) == [
        "base-1.pt", "bias_score-1.pt", "threshold_only-1.pt"]  # fmt: skip


def test_check_11_two_groups_by_values_are_the_privileged_and_the_others(tmp_path: Path) -> None:
    source = {"name": "synthetic", "n": 1500}
    methods = {**METHODS, "rank_one": {"name": "rank_one", "points": 11}}
    plain = study(source=source, methods=methods).run_all(tmp_path / "plain")
    named = study(source=source, methods=methods, groups={"a": {"privileged": 1}}).run_all(tmp_path / "named")
    for one, other in zip(plain, named, strict=True):
        assert one["key"] == other["key"]
        for name in ("mu", "mu_low", "mu_high", "balanced_accuracy", "val_mu", "verdict", "spd", "eqodds"):
            assert one[name] == other[name], (one["key"], name)


def test_constraints_stand_in_place_of_measures(tmp_path: Path) -> None:
    objective = Objective(constraints=["loss(selection) <= 0.3", "gap(tpr) <= 0.2"], margin=0.0)
    assert objective.title == "loss(selection) <= 0.3 + gap(tpr)@0.2" and Objective().title == "spd@0.05"
    options = {"constraints": list(objective.constraints), "margin": 0.0}
    ours = study(groups={"a": None, "b": None}, measures=["spd", "aod"], objective=options,
                 methods={"base": {"name": "base"}, "bias_score": {"name": "bias_score"}})  # fmt: skip
    records = ours.run_all(tmp_path)
    assert len(records) == 2 and all("gap(tpr)@0.2" in record["key"] for record in records)
    for record in records:
        tprs = {row["group"]: row["tpr"] for row in record["by_group"]}
        gaps = [abs(tprs[f"{g}=0"] - tprs[f"{g}=1"]) for g in "ab"]
        assert record["mu"] == pytest.approx(max(gaps), abs=1e-12)
        assert record["within"] == float(record["mu"] <= 0.2)
    assert ours.report(records).headline


def test_three_groups_of_a_file_are_compared_saved_and_audited(tmp_path: Path) -> None:
    stream = np.random.default_rng(0)
    race = stream.choice(["a", "b", "c", "d"], 1500, p=[0.4, 0.3, 0.2, 0.1])
    score = stream.normal(size=1500) + 0.8 * (race == "a")
    good = np.where(score + stream.normal(size=1500) > 0.3, "yes", "no")
    rows = [f"{r},{s:.4f},{g}" for r, s, g in zip(race, score, good, strict=True)]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(["race,score,good", *rows]))
    rule = {"levels": {"a": "a", "b": "b", "others": ["c", "d"]}}
    source = {"name": "csv", "path": str(path), "label": "good", "favorable": "yes", "numeric": ["score"],
              "protected": {"race": rule}}  # fmt: skip
    options = {"source": source, "measures": ["gap(selection)"], "epsilons": [0.1],
               "methods": {"ours": {"name": "erase"}}}  # fmt: skip
    with pytest.raises(ConfigError, match="set groups to {race: null}"):
        study(**options, protected="race").check()
    ours = study(**options, groups={"race": None}, keep="recommended")
    records = ours.run_all(tmp_path / "run")
    ours.report(records)
    (file,) = (tmp_path / "run/debiased").glob("*.pt")
    from sevenfold.fairness.studies.own_rows import AuditStudy, OwnFile

    audit = AuditStudy(file=str(file), source=OwnFile(path=str(path)))
    audit.check()
    (record,) = audit.run_all(tmp_path / "audit")
    assert [row["group"] for row in record["groups"]] == ["race=a", "race=b", "race=others"]
    assert [row["n"] for row in record["groups"]] == [
        int(np.isin(race, names).sum()) for names in (["a"], ["b"], ["c", "d"])
    ]
    assert record["verdicts"][0]["criterion"] == "gap(selection) < 0.1" and audit.report([record], tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": {"race": None}}, "no attribute 'race'"),
        ({"groups": {"a": None, "b": None}, "cross": True}, "demographic_parity|is of two groups"),
        ({"groups": {"a": {"bins": [9, 3]}}}, "increasing"),
        ({"groups": {"a": None, "b": None}, "measures": ["gap(selection)"],
          "methods": {"r": {"name": "rank_one"}}}, "methods.r.*two groups"),
        ({"groups": {"a": None, "b": None}, "measures": ["gap(selection)"],
          "methods": {"r": {"name": "reject_option"}}}, "methods.r.*two groups"),
        ({"groups": {"a": None}, "objective": {"constraints": ["loss(tpr) <= 0.1"]}}, "no loss"),
    ],
)  # fmt: skip
def test_groups_that_cannot_be_had_are_refused_before_any_training(options: dict, message: str) -> None:
    with pytest.raises((ConfigError, InputError), match=message) as caught:
        study(**options).check()
    assert "\n" not in str(caught.value)


def test_check_32_validation_rows_recommend_and_test_rows_have_no_say() -> None:
    def record(label: str, seed: int, **figures: float) -> dict:
        return {"method": label, "seed": seed, "search_rho": 0.7, "search_met": 1.0, **figures}

    by_label = {
        "base": [record("base", s, search_rho=0.9, search_met=0.0) for s in (1, 2)],
        "rank_one": [record("rank_one", s, search_rho=0.8, search_met=float(s == 1)) for s in (1, 2)],
        "bias_score": [record("bias_score", s, search_rho=0.72) for s in (1, 2)],
        "erase": [record("erase", s) for s in (1, 2)],
        "group_thresholds": [record("group_thresholds", s, search_rho=0.75) for s in (1, 2)],
    }
    assert recommended(by_label) == "group_thresholds"
    assert recommended(by_label, saved=True) == "bias_score"
    for i, records in enumerate(by_label.values()):
        for one in records:
            one.update(balanced_accuracy=1 / (i + 1), mu=0.3, verdict=2, within=0.0)
    assert recommended(by_label) == "group_thresholds"
    assert recommended({"base": by_label["base"]}) is None


@pytest.mark.parametrize(
    ("name", "protected", "rows", "favorable", "privileged", "groups"),
    [
        ("credit_card", "sex", 30_000, 23_364, 11_888, {"sex": 2, "education": 4, "marriage": 3}),
        ("dutch", "sex", 60_420, 28_763, 30_147, {"sex": 2}),
        ("oulad", "gender", 21_562, 14_655, 11_568, {"gender": 2, "region": 13, "imd_band": 10}),
    ],
)
def test_facts_of_the_newer_tables(
    real_root: Path, name: str, protected: str, rows: int, favorable: int, privileged: int, groups: dict
) -> None:
    table, _ = open_source({"name": name}, str(real_root), protected)
    assert len(table.y) == rows and table.y.sum() == favorable
    assert table.attributes[protected].sum() == privileged
    assert {key: len(np.unique(table.people[key])) for key in groups} == groups
