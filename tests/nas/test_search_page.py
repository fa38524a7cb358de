"""The page of a search: what it says of its trials, and its pictures."""

import numpy as np
import pytest
from PIL import Image

from sevenfold.errors import ConfigError
from sevenfold.evidence import paired
from sevenfold.nas import SearchStudy
from sevenfold.nas.studies.search_figures import targets
from sevenfold.nas.studies.search_summary import by_group

ARMS = ("random", "evolution", "local_search")


@pytest.fixture(scope="module")
def searched():
    study = SearchStudy(
        algorithms={name: {"name": name} for name in ARMS}, budget=60, trials=12, reference="evolution"
    )
    return study, study.run_all()


def ends(records, label):
    return [
        record["val_regret"] for record in sorted(records, key=lambda r: r["key"]) if record["group"] == label
    ]


def test_sentences_compare_the_best_with_the_next_random_search_and_the_reference(searched, tmp_path):
    study, records = searched
    report = study.report(records, tmp_path)
    best, *others = sorted(ARMS, key=lambda label: np.mean(ends(records, label)))
    assert f"{best} has the lowest mean validation regret" in report.text[0]
    named = [other for sentence in report.text[1:] for other in others if f" {other} " in sentence]
    assert named == list(dict.fromkeys([others[0], *(n for n in ("random", "evolution") if n != best)]))
    assert len(str(report).splitlines()) <= 60


def test_the_table_has_intervals_ranks_and_adjusted_p(searched, tmp_path):
    study, records = searched
    header, *rows = study.report(records, tmp_path).headline
    assert header[:5] == ["algorithm", "trials", "validation regret (95 %)", "mean rank", "p to the best"]
    means = {label: np.mean(ends(records, label)) for label in ARMS}
    assert [row[0] for row in rows] == sorted(ARMS, key=means.__getitem__)
    ranks = [float(row[3]) for row in rows]
    assert sum(ranks) == pytest.approx(6, abs=1e-3)  # 1 + 2 + 3 in every trial
    smallest = min(paired(ends(records, rows[0][0]), ends(records, row[0])).p for row in rows[1:])
    assert min(float(row[4]) for row in rows[1:]) >= 0.9 * smallest  # Holm makes none smaller
    for row in rows:
        low, high = map(float, row[2].partition("(")[2].rstrip(")").split(" to "))
        assert 0 <= low <= means[row[0]] <= high


def test_pictures_have_a_panel_for_each_algorithm_and_few_trials_have_no_interval(searched, tmp_path):
    study, records = searched
    report = study.report(records, tmp_path / "all")
    assert [path.name for path in report.pictures[:2]] == ["trials.png", "targets.png"]
    for path in report.pictures:
        with Image.open(path) as picture:
            assert picture.size[0] <= 1200
    two = [record for record in records if record["trial"] < 2]
    small = study.report(two, tmp_path / "two")
    assert all(" to " not in row[2] for row in small.headline[1:])
    assert any("no difference" in sentence for sentence in small.text)


def test_targets_of_the_page_are_reached_when_the_curves_reach_them(searched):
    _, records = searched
    reached = targets(by_group(records, ARMS))
    assert set(reached) == set(ARMS)
    for label, times in reached.items():
        hits = [r["at_optimum"] for r in records if r["group"] == label]
        assert np.isfinite(times.times[:, -1]).sum() == sum(hits)


def test_a_reference_that_is_no_label_is_refused():
    with pytest.raises(ConfigError, match="'gp' is no label of random"):
        SearchStudy(algorithms={"random": {"name": "random"}}, reference="gp")
