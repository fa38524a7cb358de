import math
from statistics import fmean as mean

import pytest
import torch
import torch.distributed as dist

from sevenfold.flow.metrics import EndPointError, FlAll
from sevenfold.flow.scores import FEW_PAIRS, Scores


def batch(names, dataset="chairs", seed=0):
    stream = torch.Generator().manual_seed(seed)
    flow = 5 * torch.randn(len(names), 2, 4, 6, generator=stream)
    valid = torch.rand(len(names), 4, 6, generator=stream) > 0.3
    found = {"flow": flow, "valid": valid, "name": names, "dataset": [dataset] * len(names)}
    return found, flow + torch.randn(flow.shape, generator=stream)


@pytest.mark.parametrize("dataset", ["chairs", "kitti"])
def test_a_data_set_is_pooled_as_its_benchmark_does_whatever_the_batches(dataset):
    scores = Scores()
    metric = EndPointError(average="images" if dataset == "kitti" else "pixels")
    outliers = FlAll()
    for seed, names in enumerate((["a", "b"], ["c"])):
        items, flow = batch(names, dataset, seed)
        scores.add_flow("test", items, flow, {})
        metric.update(flow, items["flow"], items["valid"])
        outliers.update(flow, items["flow"], items["valid"])
    means = scores.means()
    assert means[f"test/{dataset}/epe"] == pytest.approx(float(metric.compute()))
    if dataset == "kitti":
        assert means["test/kitti/fl_all"] == pytest.approx(float(outliers.compute()))


def naive(items, flows, keep=lambda speed: True):
    """End-point errors and true speeds of all valid pixels, pixel by pixel, image by image."""
    images = []
    for target, valid, flow in zip(items["flow"], items["valid"], flows, strict=True):
        rows = []
        for y, x in valid.nonzero().tolist():
            (u, v), (p, q) = target[:, y, x].tolist(), flow[:, y, x].tolist()
            speed = math.hypot(u, v)
            if keep(speed):
                rows.append((math.hypot(p - u, q - v), speed))
        images.append(rows)
    return images


def test_sintel_pools_all_pixels_and_bins_them_by_true_speed():
    items, _ = batch(["a", "b", "c"], "sintel_final")
    items["flow"] = items["flow"] * torch.tensor([0.5, 3.0, 12.0])[:, None, None, None]
    flow = items["flow"] + 2 * torch.randn(items["flow"].shape, generator=torch.Generator().manual_seed(1))
    scores = Scores()
    scores.add_flow("test", items, flow, {})
    means = scores.means()
    rows = [row for image in naive(items, flow) for row in image]
    bins = {"s0-10": (0, 10), "s10-40": (10, 40), "s40+": (40, math.inf)}
    assert means["test/sintel_final/epe"] == pytest.approx(mean(error for error, _ in rows), rel=1e-6)
    for name, (low, high) in bins.items():
        within = [error for error, speed in rows if low <= speed < high]
        assert len(within) > 5 and means[f"test/sintel_final/{name}"] == pytest.approx(mean(within), rel=1e-6)
    for pixels in (1, 3, 5):
        share = 100 * mean(error < pixels for error, _ in rows)
        assert means[f"test/sintel_final/{pixels}px"] == pytest.approx(share)


def test_kitti_averages_images_and_pools_outliers():
    items, flow = batch(["a", "b", "c"], "kitti")
    items["valid"][1] &= torch.rand(4, 6, generator=torch.Generator().manual_seed(2)) > 0.7
    items["valid"][2] = False
    flow = items["flow"] + 4 * (flow - items["flow"])
    scores = Scores()
    scores.add_flow("test", items, flow, {})
    images = naive(items, flow)
    rows = [row for image in images for row in image]
    per_image = mean(mean(error for error, _ in image) for image in images if image)
    outliers = 100 * mean(error > 3 and error > 0.05 * speed for error, speed in rows)
    means = scores.means()
    assert means["test/kitti/epe"] == pytest.approx(per_image, rel=1e-6)
    assert means["test/kitti/fl_all"] == pytest.approx(outliers)
    assert abs(per_image - mean(error for error, _ in rows)) > 0.01  # the two ways differ here


def test_things_leave_out_the_fastest_pixels():
    items, flow = batch(["a"], "things_clean")
    items["flow"][0, :, 0, 0], items["valid"][0, 0, 0] = torch.tensor([300.0, 300.0]), True
    scores = Scores()
    scores.add_flow("val", items, flow, {})
    (rows,) = naive(items, flow, keep=lambda speed: speed < 400)
    assert scores.means()["val/things_clean/epe"] == pytest.approx(mean(error for error, _ in rows), rel=1e-6)


def test_testing_reports_budgets_pairs_and_zero_flow():
    scores = Scores()
    items, flow = batch(["chairs/a", "chairs/b"])
    scores.add_flow("test", items, flow, {3: items["flow"] + 2 / 2**0.5})
    means = scores.means()
    assert means["test/chairs/epe_at_3"] == pytest.approx(2)
    assert means["test/chairs/b/epe_at_3"] == pytest.approx(2)
    speed = items["flow"][0].norm(dim=0)[items["valid"][0]].mean()
    assert means["reference/test/chairs/a/zero_flow_epe"] == pytest.approx(float(speed))
    assert list(means) == sorted(means)
    scores.add_flow("val", items, flow, {})
    named = [name for name in scores.means() if "val" in name]
    assert named == ["reference/val/chairs/zero_flow_epe", "val/chairs/epe"]


def test_pairs_of_large_data_sets_are_not_listed():
    scores = Scores()
    for i in range(FEW_PAIRS + 1):
        scores.add_flow("test", *batch([f"chairs/{i}"]), {})
        scores.add_flow("test", *batch([f"middlebury/{i % 2}"], "middlebury"), {})
    means = scores.means()
    assert "test/chairs/0/epe" not in means
    assert {"test/chairs/epe", "test/middlebury/0/epe", "test/middlebury/1/epe"} <= set(means)


def test_sintels_scenes_are_scored_one_by_one():
    scores, errors = Scores(), {}
    for i in range(FEW_PAIRS + 1):
        items, flow = batch([f"sintel_clean/scene_{i % 2}/frame_{i:04}"], "sintel_clean", seed=i)
        items["valid"][:] = True
        scores.add_flow("test", items, flow, {})
        errors.setdefault(f"test/sintel_clean/scene_{i % 2}/epe", []).append(
            (flow - items["flow"]).norm(dim=1)
        )
    means = scores.means()
    for name, values in errors.items():
        assert means[name] == pytest.approx(float(torch.stack(values).mean()), rel=1e-5)
    assert "test/sintel_clean/scene_0/frame_0000/epe" not in means


def test_samples_without_truth_are_left_out():
    scores = Scores()
    items, flow = batch(["a"])
    scores.add_flow("test", {**items, "valid": torch.zeros_like(items["valid"])}, flow, {})
    assert scores.means() == {}


def test_processes_that_met_different_names_agree(monkeypatch):
    shards, whole = [Scores(), Scores()], Scores()
    for rank, (names, dataset) in enumerate(((["a", "b"], "chairs"), (["c"], "kitti"))):
        items, flow = batch(names, dataset, rank)
        shards[rank].add_flow("test", items, flow, {})
        whole.add_flow("test", items, flow, {})
    expected = whole.means()

    def gather(out, _):
        out[:] = [shard.sums for shard in shards]

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_gather_object", gather)
    assert [shard.means() for shard in shards] == [expected, expected]
