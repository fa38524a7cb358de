"""The table of estimators: OpenCV's DIS as published figures have it, robustness, pictures and files."""

import csv

import flow_trees
import pytest
import torch
from real_pairs import DATA, needs_data, pair

from sevenfold.config import ConfigError
from sevenfold.flow.data.declared import FlowSet
from sevenfold.flow.data.layouts import find_pairs
from sevenfold.flow.data.pairs import PairDataset
from sevenfold.flow.formats import read_image
from sevenfold.flow.measures import measure
from sevenfold.flow.rivals import RIVALS, dis
from sevenfold.flow.robustness import HARDER, robustness
from sevenfold.flow.studies.table import FlowTable

# End-point errors measured with OpenCV 4, as they stand in the specification: half a unit of the last digit.
DIS = {
    "rubberwhale": (0.225, 0.0005),
    "venus": (0.384, 0.0005),
    "chairs0": (8.219, 0.0005),
    "chairs1": (1.591, 0.0005),
    "clean/alley_1": (0.341, 0.0005),
    "clean/cave_2": (1.643, 0.0005),
}


@needs_data
@pytest.mark.parametrize("name", DIS)
def test_dis_has_the_recorded_errors(name):
    pytest.importorskip("cv2", reason="OpenCV is not here")
    first, second, truth, valid = pair(name)
    error, digit = DIS[name]
    assert measure(dis(first, second, truth, valid), truth, valid)["epe"] == pytest.approx(
        error, abs=0.003 + digit
    )


@needs_data
def test_dis_on_kitti():
    pytest.importorskip("cv2", reason="OpenCV is not here")
    (item,) = PairDataset([p for p in find_pairs(DATA / "kitti2015") if p.truth is not None])
    flow = dis(item["image1"], item["image2"], item["flow"], item["valid"])
    assert measure(flow, item["flow"], item["valid"])["epe"] == pytest.approx(38.5, abs=0.053)


def test_without_opencv_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(ConfigError, match=r"estimators\[1\]: dis needs the extra 'opencv': pip install"):
        FlowTable(estimators=["zero", "dis"], scenes=1, size=64).check()


def test_the_harder_pictures():
    stream = torch.Generator().manual_seed(3)
    image = torch.rand(3, 40, 61, generator=stream)
    first, second = HARDER["noise15"](torch.full_like(image, 0.5), torch.full_like(image, 0.5), stream)
    for noisy in (first, second):
        assert float(255 * (noisy - 0.5).std()) == pytest.approx(15, rel=0.05)
    assert not torch.equal(first, second)
    assert torch.allclose(HARDER["gamma"](image, image, stream)[1], image**0.7)
    assert HARDER["half"](image, image, stream)[0].shape == (3, 20, 30)
    assert HARDER["double"](image, image, stream)[0].shape == (3, 80, 122)
    # The variance that a Gaussian of 1.5 px leaves of white noise: 1 / (4 pi 1.5^2).
    blurred = HARDER["blur"](image, image, stream)[0][:, 8:-8, 8:-8]
    assert float(blurred.var() / image.var()) == pytest.approx(1 / (4 * torch.pi * 2.25), rel=0.25)
    compressed = HARDER["jpeg30"](image, image, stream)[0]
    assert 0.01 < float((compressed - image).abs().mean()) < 0.3


def test_an_estimator_that_sees_sizes_alone():
    """One that says "a tenth of the width" is right at every size, so every error is zero."""
    truth, valid = torch.zeros(2, 32, 60), torch.ones(32, 60, dtype=torch.bool)
    truth[0] = 6.0

    def estimate(first, second):
        flow = torch.zeros(2, *first.shape[1:])
        flow[0] = first.shape[2] / 10
        return flow

    image = torch.rand(3, 32, 60)
    numbers = robustness(estimate, image, image, truth, valid, torch.Generator())
    assert numbers.pop("still") == pytest.approx(6)
    assert set(numbers) == {f"epe_{name}" for name in HARDER} and max(numbers.values()) < 1e-5


def test_the_table_writes_pictures_files_and_robustness(tmp_path):
    study = FlowTable(estimators=["zero", "constant"], scenes=2, size=64, robustness=True)
    records = study.run_all(tmp_path)
    report = study.report(records)
    errors = {r["key"]: r["epe"] for r in records}
    names = {key.partition("|")[0] for key in errors}
    gaps = {n: abs(errors[f"{n}|zero"] - errors[f"{n}|constant"]) for n in names}
    widest = max(gaps, key=gaps.get)
    assert report.pictures[0].name == "widest.png" and widest in " ".join(report.text)
    assert read_image(report.pictures[0]).shape[2] <= 1600
    rows = list(csv.DictReader((tmp_path / "measures.csv").read_text().splitlines()))
    epe = [row for row in rows if row["measure"] == "epe" and row["estimator"] == "zero"]
    assert float(epe[0]["mean"]) == pytest.approx(sum(errors[f"{n}|zero"] for n in names) / 2, rel=1e-3)
    assert (tmp_path / "measures.md").read_text().startswith("| estimator | data | measure | mean |\n| --- |")
    titles = [section.title for section in report.sections]
    assert titles == ["Robustness", "Estimators", "All measures"]
    zero = next(row for row in report.sections[0].rows if row[0] == "zero")
    assert zero[2:] == ["0", "", *["1.00"] * len(HARDER)]  # it looks at nothing, so nothing harms it
    again = study.report(records)
    assert again.headline == report.headline


def test_a_network_gives_its_backward_flow_when_the_pair_is_swapped(tmp_path):
    study = FlowTable(estimators=["scenes"], scenes=1, size=64, steps=2, robustness=True)
    (record,) = study.run_all(tmp_path)
    assert record["swapped"] < 1e-3 and record["parameters"] > 1e5 and record["status"]
    assert "procedural" in record["trained_on"] and record["peak_mib"] > 50 and record["licence"]
    assert set(RIVALS) == {"zero", "constant", "dis", "deepflow"}


def test_declared_sets_are_scored_by_sequence(tmp_path):
    lines = ["image1,image2,flow,sequence"]
    for i in range(3):
        for part in "ab":
            flow_trees.picture(tmp_path / f"{part}{i}.png")
        flow_trees.flow(tmp_path / f"uv{i}.flo", u=i)
        lines.append(f"a{i}.png,b{i}.png,uv{i}.flo,clip{i % 2}")
    (tmp_path / "pairs.csv").write_text("\n".join(lines) + "\n")
    sets = {"mine": FlowSet(layout="csv", file="pairs.csv", scale=2.0)}
    study = FlowTable(estimators=["zero"], root=str(tmp_path), sets=sets, scenes=0)
    records = study.run_all(tmp_path / "run")
    assert {record["group"] for record in records} == {"zero|mine"}
    assert sorted(record["sequence"] for record in records) == ["clip0", "clip0", "clip1"]
    assert sorted(record["mean_u_true"] for record in records) == [0.0, 2.0, 4.0]
