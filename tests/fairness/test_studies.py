"""Studies of debiasing: records, resumption, reports; the module that debiases and decides."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lightning_modules.debias import DebiasModule
from sevenfold.config import ConfigError, build, merge, read_file
from sevenfold.fairness import Debiaser
from sevenfold.fairness.confusion import counts
from sevenfold.fairness.data.synthetic import Synthetic
from sevenfold.fairness.data.table import Part, Split, split_table
from sevenfold.fairness.evaluate import by_group, intersections
from sevenfold.fairness.intra.base import Problem
from sevenfold.fairness.measures import bias
from sevenfold.fairness.studies import STUDIES
from sevenfold.fairness.studies.debias_summary import against_reference, by_setting, comparison, paired
from sevenfold.fairness.weight_sensitivity import sensitivity, shared_directions
from sevenfold.records import read_folder
from sevenfold.study import Context, Study
from train import main

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "configs/fairness/demo.yaml"
SMALL: dict[str, Any] = {
    "source": {"name": "synthetic", "n": 800},
    "seeds": [1, 2],
    "base": {"training": {"max_epochs": 4}},
    "methods": {"adversarial": None, "layerwise_head": {"calls": 40}, "random": {"trials": 10}},
}
FEW = ("base", "constant", "threshold_only", "reject_option", "rank_one")


def options(**changes: Any) -> dict[str, Any]:
    return merge(merge(read_file(DEMO)["study"], SMALL), changes)


def study(*labels: str, **changes: Any) -> Study:
    """The demo, small, with some of its methods only."""
    node = options(**changes)
    removed = {label: None for label in node["methods"] if labels and label not in labels}
    return build(STUDIES, merge(node, {"methods": removed}), "study")


def numbers(folder: Path) -> list[dict[str, Any]]:
    return read_folder(folder / "records")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole small demo through ``train.py``, with and without the attribute among the features."""
    import yaml

    folder = tmp_path_factory.mktemp("studies")
    content = {"base": str(DEMO), "name": "demo", "study": merge(SMALL, {"drop_protected": [False, True]})}
    (folder / "demo.yaml").write_text(yaml.safe_dump(content))
    command = ["--config", str(folder / "demo.yaml"), f"output_dir={folder}", "callbacks.progress=null"]
    assert main(command) == 0
    return folder / "demo/version_0"


def test_every_method_seed_and_setting_has_a_record_and_is_reported(finished: Path) -> None:
    records = numbers(finished)
    assert len(records) == len({record["key"] for record in records}) == 12 * 2 * 2
    assert not any("seconds" in record for record in records)
    assert any("seconds" in record for record in read_folder(finished / "timing"))
    page = (finished / "report.html").read_text()
    for word in ("How to read this", "What was unfair", "Model card", "reject_option", "synthetic-a-without"):
        assert word in page
    assert page.count("data:image/png;base64,") == 2 and "<script" not in page
    metrics = json.loads((finished / "results.json").read_text())["metrics"]
    assert metrics["synthetic-a-with/spd@0.05/constant/balanced_accuracy/mean"] == 0.5
    assert metrics["synthetic-a-with/spd@0.05/base/auc/mean"] > 0.7


def test_a_report_needs_records_alone_and_has_a_short_table(finished: Path, tmp_path: Path) -> None:
    """The report is written without the run folder's artefacts and without the data."""
    records = numbers(finished)
    absent = {"name": "csv", "path": "nowhere.csv", "label": "y", "favorable": "1", "protected": {"a": "1"}}
    report = study(source=absent).report(records, tmp_path)
    assert {len(row) for row in report.headline} == {7} and len(report.headline) == 1 + 12 * 2
    assert [path.is_file() for path in report.pictures] == [True, True]
    assert report.scalars == json.loads((finished / "results.json").read_text())["metrics"]
    assert study("base").report([], tmp_path).headline  # nothing recorded yet


def test_an_interrupted_run_resumes_with_its_base_networks(finished: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(finished, folder := tmp_path / "cut")
    lines = (folder / "records/records.jsonl").read_text().splitlines(keepends=True)
    (folder / "records/records.jsonl").write_text("".join(lines[::3]))
    times = {path.name: path.stat().st_mtime_ns for path in (folder / "bases").iterdir()}
    study(drop_protected=[False, True]).run_all(folder)
    assert str(numbers(folder)) == str(numbers(finished))
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "bases").iterdir()} == times


def test_a_piece_is_the_same_in_any_process_and_order(finished: Path, tmp_path: Path) -> None:
    """Each piece alone, by a study that was pickled, backwards, its base networks trained anew."""
    debias = study(*FEW)
    expected = {record["key"]: record for record in numbers(finished)}
    for piece in reversed(debias.pieces()):
        (record,) = pickle.loads(pickle.dumps(debias)).run(
            pickle.loads(pickle.dumps(piece)), Context(tmp_path)
        )
        record.pop("seconds", None)
        assert json.dumps(record, sort_keys=True) == json.dumps(expected[piece.keys[0]], sort_keys=True)


def test_results_do_not_depend_on_the_chunk(finished: Path, tmp_path: Path) -> None:
    expected = [record for record in numbers(finished) if "-with/spd" in record["key"]]
    for one, two in zip(expected, study(chunk=7).run_all(tmp_path), strict=True):
        assert one["key"] == two["key"] and one["balanced_accuracy"] == pytest.approx(
            two["balanced_accuracy"], abs=0.02
        )


def test_debiasing_unbiased_data_costs_no_accuracy(tmp_path: Path) -> None:
    debiasing = study(*FEW, source={"n": 4000, "preset": "none"}, base={"training": {"max_epochs": 20}})
    records = {(r["group"].split("/")[-1], r["seed"]): r for r in debiasing.run_all(tmp_path)}
    for seed in (1, 2):
        base, fair = records["base", seed], records["rank_one", seed]
        assert base["abs_mu"] < 3 * (base["mu_high"] - base["mu_low"]) / 3.92
        assert fair["balanced_accuracy"] > base["balanced_accuracy"] - 0.01


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"chunk": 0}, "chunk"),
    ({"seeds": []}, "seeds"),
    ({"seeds": [1, 1]}, "seeds"),
    ({"drop_protected": [True, True]}, "drop_protected"),
    ({"measures": ["sdp"]}, "measures"),
    ({"epsilons": [0.05, -1.0]}, "epsilons[1]"),
    ({"epsilons": [0.1, 0.1]}, "epsilons"),
    ({"objective": {"margin": 3}}, "objective.margin"),
    ({"methods": {"random": {"trials": 0}}}, "methods.random.trials"),
    ({"methods": {"random": {"name": "randon"}}}, "methods.random.name"),
    ({"source": {"name": "compass"}}, "source.name"),
    ({"protected": "b"}, "protected"),
    ({"source": {"n": 20}}, "source.n"),
]


@pytest.mark.parametrize(("changes", "key"), WRONG, ids=[key for _, key in WRONG])
def test_a_wrong_option_is_named_before_anything_is_computed(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        study(**changes).check()
    assert caught.value.key.removeprefix("study.") == key


def record(method: str, seed: int, accuracy: float, mu: float) -> dict[str, Any]:
    return {
        "group": f"t-a-with/spd@0.05/{method}",
        "method": method,
        "seed": seed,
        "balanced_accuracy": accuracy,
        "abs_mu": abs(mu),
    }


def test_the_comparison_states_differences_and_whether_they_are_within_bounds() -> None:
    reference = [record("reject_option", s, 0.66, 0.04) for s in (1, 2)]

    def judge(accuracy: float, mu: float) -> list[str]:
        trials = [record("rank_one", s, accuracy, mu) for s in (1, 2)]
        return comparison("rank_one", {"reject_option": reference, "rank_one": trials})[1:]

    assert judge(0.64, 0.045) == ["-0.020", "+0.005", "yes"]
    assert judge(0.62, 0.045) == ["-0.040", "+0.005", "no"]
    assert judge(0.60, 0.08) == ["-0.060", "+0.040", "no"]
    assert not against_reference("t", {"reject_option": reference})


def test_the_paired_interval_is_that_of_students_t() -> None:
    from scipy.stats import ttest_rel

    one = [record("rank_one", s, v, 0) for s, v in enumerate((0.61, 0.64, 0.66, 0.60))]
    two = [record("threshold_only", s, v, 0) for s, v in enumerate((0.55, 0.60, 0.57, 0.56))]
    interval = ttest_rel([r["balanced_accuracy"] for r in one], [r["balanced_accuracy"] for r in two])
    low, high = interval.confidence_interval(0.95)
    assert paired(one, two) == f"{(low + high) / 2:+.3f} ± {(high - low) / 2:.3f}"


def test_reports_contain_undefined_measures(finished: Path, tmp_path: Path) -> None:
    records = numbers(finished)
    for entry in records:
        entry["mu"] = entry["abs_mu"] = entry["mu_low"] = float("nan")
    report = study().report(records, tmp_path)
    cells = [cell for part in report.sections for row in part.rows for cell in row]
    assert any("undefined" in cell for cell in cells)


def test_methods_are_reported_in_the_order_of_the_configuration(finished: Path) -> None:
    (labels,) = {tuple(by_label) for by_label in by_setting(numbers(finished), study().methods).values()}
    assert labels == tuple(study().methods)


def test_by_group_rows_equal_fairlearn() -> None:
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

    generator = torch.Generator().manual_seed(0)
    a, b, y, d = torch.randint(2, (4, 500), generator=generator)
    part = Part(torch.zeros(500, 1), y, a)
    rows = {row["group"]: row for row in by_group(d, part, intersections({"a": a, "b": b}))}
    metrics = {"selection_rate": selection_rate, "tpr": true_positive_rate, "fpr": false_positive_rate}
    groups = {"a": a.numpy(), "b": b.numpy()}
    frame = MetricFrame(metrics=metrics, y_true=y, y_pred=d, sensitive_features=groups).by_group
    assert len(rows) == 8
    for (i, j), expected in frame.iterrows():
        for name in metrics:
            assert rows[f"a = {i}, b = {j}"][name] == pytest.approx(expected[name])
    small = by_group(d[:20], Part(part.x[:20], y[:20], a[:20]), {"few": torch.ones(20, dtype=torch.bool)})
    assert small[0]["small"]


def test_sensitivity_recovers_the_weights_of_a_linear_model() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[2.0, 0.0, 1.0]]))
        network[0].bias.fill_(0.1)
    part = split_table(Synthetic(n=2000).load(), "a", 1).test
    x = part.x[:, [0, 4, 1]]  # the attribute itself, noise, merit
    result = sensitivity(Problem(network, x, part.y, part.a, seed=2), draws=300, sigma=0.1)
    assert result.r2 > 0.95 and int(np.abs(result.coefficients).argmax()) == 0
    assert abs(result.coefficients[1]) < 0.01 * abs(result.coefficients[0])  # a weight of 0 does nothing
    assert result.concentration <= 0.5


def test_shared_directions_have_a_large_singular_value() -> None:
    row = np.random.default_rng(0).standard_normal(200)
    assert np.allclose(shared_directions(np.stack([row, 3 * row, -row])), [np.sqrt(3), 0, 0], atol=1e-6)
    assert np.allclose(shared_directions(np.eye(4, 50)), 1)


def test_the_study_of_initial_conditions_runs_to_its_report(tmp_path: Path) -> None:
    node = read_file(ROOT / "configs/fairness/initial_conditions.yaml")["study"]
    initial_study = build(STUDIES, build_tiny(node), "study")
    records = initial_study.run_all(tmp_path)
    assert [record["seed"] for record in records] == [1, 2]
    assert all(record["group"].endswith("/base") and 0 < record["concentration"] <= 1 for record in records)
    report = initial_study.report(records)
    assert [row[0] for row in report.headline] == ["network", "1", "2", "mean"]
    assert [path.name for path in report.pictures] == ["initial_conditions.png"]
    assert report.scalars[f"{records[0]['group']}/r2/mean"] == np.mean([r["r2"] for r in records])
    assert len(list((tmp_path / "coefficients").iterdir())) == 2


def build_tiny(node: dict[str, Any]) -> dict[str, Any]:
    from sevenfold.config import locate

    return locate(STUDIES[node["name"]]).tiny(node)


@pytest.fixture(scope="module")
def debiased(split: Split, problem: Problem) -> tuple[DebiasModule, torch.nn.Module]:
    network, val = problem.network.module, split.val
    before = {name: value.clone() for name, value in network.state_dict().items()}
    module = DebiasModule(study()).debias(network, val.x, val.y, val.a, method="rank_one")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    return module, network


def test_the_module_decides_within_the_bound_on_its_validation_rows(
    debiased: tuple[DebiasModule, torch.nn.Module], split: Split
) -> None:
    module, network = debiased
    decisions, val = module(split.val.x), split.val
    assert set(decisions.tolist()) == {0, 1}
    assert abs(float(bias("spd", counts(decisions, val.y, val.a)))) < 0.05
    plain = (network.eval()(val.x)[:, 0] > 0).long()
    assert abs(float(bias("spd", counts(plain, val.y, val.a)))) > 0.05


def test_the_modules_state_has_network_and_threshold(
    debiased: tuple[DebiasModule, torch.nn.Module], split: Split
) -> None:
    import copy

    module, network = debiased
    other = DebiasModule(study(), network=copy.deepcopy(network))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(split.test.x), module(split.test.x)) and other.threshold == module.threshold


def test_the_module_takes_methods_that_change_networks_only(
    debiased: tuple[DebiasModule, torch.nn.Module], split: Split
) -> None:
    _, network = debiased
    val, module = split.val, DebiasModule(study())
    for method in ("reject_option", "no_such_method"):
        with pytest.raises(ConfigError, match=r"Known: .*rank_one|Did you mean"):
            module.debias(network, val.x, val.y, val.a, method=method)
    with pytest.raises(ConfigError, match=r"call debias\(\)"):
        module(val.x)


def test_a_module_decides_with_a_head_as_the_debiaser_does(split: Split, problem: Problem) -> None:
    network, val = problem.network.module, split.val
    module = DebiasModule(study()).debias(network, val.x, val.y, val.a, method="bias_score")
    decisions = module.decide(split.test.x)
    alone = Debiaser(network, epsilon=0.05).fit(val.x, val.y, val.a).predict(split.test.x)
    assert (decisions.numpy() == alone).all() and 0 < alone.mean() < 1
