"""Trials of debiasing end to end: records, resume, report; what a verdict says; the study of weights."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sevenfold.fairness.data.synthetic import Synthetic
from sevenfold.fairness.data.table import Part, split_table
from sevenfold.fairness.evaluate import bootstrap_interval, by_group, intersections, wilson
from sevenfold.fairness.initial import sensitivity, shared_directions
from sevenfold.fairness.intra.base import Problem
from sevenfold.fairness.measures import bias, count, standard_error
from sevenfold.fairness.summary import paired, sections, verdict
from sevenfold.records import read_folder
from train import main

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["data.source={name: synthetic, n: 800}", "data.seeds=[1, 2]", "model.base.training.max_epochs=4",
         "data.methods.adversarial=null", "data.drop_protected=[false, true]",
         "data.methods.layerwise_head.calls=40",
         "data.methods.random.trials=10", "callbacks.progress=null"]  # fmt: skip


def run(tmp_path: Path, *settings: str) -> Path:
    config = ROOT / "configs/fairness/demo.yaml"
    assert main(["--config", str(config), f"output_dir={tmp_path}", *SMALL, *settings]) == 0
    return max((tmp_path / "demo").glob("version_*"), key=lambda p: int(p.name.split("_")[1]))


def numbers(folder: Path) -> list[dict[str, Any]]:
    records = read_folder(folder / "records")
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("trials"))


def test_every_method_measure_seed_and_setting_has_a_record_and_is_told(finished: Path) -> None:
    records = read_folder(finished / "records")
    assert len(records) == len({record["key"] for record in records}) == 12 * 2 * 2
    page = (finished / "report.html").read_text()
    for word in ("How to read this", "What was unfair", "Model card", "reject_option", "synthetic-a-without"):
        assert word in page
    assert page.count("data:image/png;base64,") == 2 and "<script" not in page
    assert "holds" in (finished / "table.txt").read_text()
    metrics = json.loads((finished / "results.json").read_text())["metrics"]
    assert metrics["synthetic-a-with/spd@0.05/constant/balanced_accuracy/mean"] == 0.5
    assert metrics["synthetic-a-with/spd@0.05/base/auc/mean"] > 0.7


def test_a_run_that_was_cut_off_goes_on_and_ends_the_same(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished.parent, tmp_path / "demo")
    folder = tmp_path / "demo" / finished.name
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(config.replace(str(finished.parents[1]), str(tmp_path)))
    (folder / "results.json").unlink()
    lines = (folder / "records/records.jsonl").read_text().splitlines(keepends=True)
    (folder / "records/records.jsonl").write_text("".join(lines[::3]))
    assert run(tmp_path) == folder
    assert str(numbers(folder)) == str(numbers(finished))


def test_results_do_not_depend_on_the_chunk(finished: Path, tmp_path: Path) -> None:
    other = run(tmp_path, "model.chunk=7", "data.drop_protected=[false]", "data.measures=[spd]")
    kept = [record for record in numbers(finished) if "-with/spd" in record["key"]]
    for one, two in zip(kept, numbers(other), strict=True):
        assert one["key"] == two["key"] and one["balanced_accuracy"] == pytest.approx(
            two["balanced_accuracy"], abs=0.02
        )


def test_check_13_without_bias_nothing_is_lost(tmp_path: Path) -> None:
    folder = run(tmp_path, "data.source={name: synthetic, n: 4000, preset: none}", "data.measures=[spd]",
                 "data.drop_protected=[false]", "model.base.training.max_epochs=20")  # fmt: skip
    records = {(r["group"].split("/")[-1], r["seed"]): r for r in read_folder(folder / "records")}
    for seed in (1, 2):
        base, fair = records["base", seed], records["rank_one", seed]
        assert base["abs_mu"] < 3 * base["standard_error"]
        assert fair["balanced_accuracy"] > base["balanced_accuracy"] - 0.01


def record(method: str, seed: int, accuracy: float, mu: float) -> dict[str, Any]:
    return {
        "group": f"t-a-with/spd@0.05/{method}",
        "method": method,
        "seed": seed,
        "balanced_accuracy": accuracy,
        "abs_mu": abs(mu),
        "uses_attribute": method == "reject_option",
    }


def test_the_verdict_says_what_misses_and_by_how_much() -> None:
    reference = [record("reject_option", s, 0.66, 0.04) for s in (1, 2)]

    def judge(accuracy: float, mu: float) -> str:
        own = [record("rank_one", s, accuracy, mu) for s in (1, 2)]
        return verdict("rank_one", {"reject_option": reference, "rank_one": own})

    assert judge(0.64, 0.045) == "yes"
    assert judge(0.62, 0.045) == "no: accuracy 0.040 short"
    assert judge(0.60, 0.08) == "no: accuracy 0.060 short, |bias| 0.040 over"
    assert verdict("reject_option", {"reject_option": reference}) == "-"


def test_the_paired_interval_is_students() -> None:
    from scipy.stats import ttest_rel

    one = [record("rank_one", s, v, 0) for s, v in enumerate((0.61, 0.64, 0.66, 0.60))]
    two = [record("threshold_only", s, v, 0) for s, v in enumerate((0.55, 0.60, 0.57, 0.56))]
    interval = ttest_rel([r["balanced_accuracy"] for r in one], [r["balanced_accuracy"] for r in two])
    low, high = interval.confidence_interval(0.95)
    assert paired(one, two) == f"{(low + high) / 2:+.3f} ± {(high - low) / 2:.3f}"


def test_sections_bear_undefined_measures(finished: Path) -> None:
    records = read_folder(finished / "records")
    for entry in records:
        entry["mu"] = entry["abs_mu"] = entry["mu_low"] = float("nan")
    assert any("undefined" in cell for part in sections(records) for row in part["rows"] for cell in row)


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


def test_wilson_is_scipys() -> None:
    from scipy.stats import binomtest

    expected = binomtest(37, 120).proportion_ci(0.95, "wilson")
    assert wilson(37 / 120, 120) == pytest.approx((expected.low, expected.high), abs=1e-4)


def test_check_12_the_interval_covers_and_agrees_with_the_analytic_error() -> None:
    generator, covered = torch.Generator().manual_seed(0), 0
    for _ in range(100):
        a, y = torch.randint(2, (2, 400), generator=generator)
        d = (torch.rand(400, generator=generator) < 0.4 + 0.2 * a).long()
        part = Part(torch.zeros(400, 1), y, a)
        low, high = bootstrap_interval(d, part, "eod", generator=generator, draws=300)
        covered += low <= -0.2 <= high
        error = float(standard_error("eod", *count(d, y, a)))
        assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.25)
        assert low <= float(bias("eod", *count(d, y, a))) <= high
    assert covered >= 88


def test_sensitivity_of_a_linear_model_is_found() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[2.0, 0.0, 1.0]]))
        network[0].bias.fill_(0.1)
    part = split_table(Synthetic(n=2000).load(), "a", 1).test
    x = part.x[:, [0, 4, 1]]  # the attribute itself, noise, merit
    found = sensitivity(Problem(network, x, part.y, part.a, seed=2), draws=300, sigma=0.1)
    assert found.r2 > 0.95 and int(np.abs(found.coefficients).argmax()) == 0
    assert abs(found.coefficients[1]) < 0.01 * abs(found.coefficients[0])  # a weight of 0 does nothing
    assert found.concentration <= 0.5


def test_shared_directions() -> None:
    row = np.random.default_rng(0).standard_normal(200)
    assert np.allclose(shared_directions(np.stack([row, 3 * row, -row])), [np.sqrt(3), 0, 0], atol=1e-6)
    assert np.allclose(shared_directions(np.eye(4, 50)), 1)
