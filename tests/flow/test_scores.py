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
    assert [name for name in scores.means() if "val" in name] == ["val/chairs/epe"]


def test_pairs_of_large_data_sets_are_not_listed():
    scores = Scores()
    for i in range(FEW_PAIRS + 1):
        scores.add_flow("test", *batch([f"chairs/{i}"]), {})
        scores.add_flow("test", *batch([f"middlebury/{i % 2}"], "middlebury"), {})
    means = scores.means()
    assert "test/chairs/0/epe" not in means
    assert {"test/chairs/epe", "test/middlebury/0/epe", "test/middlebury/1/epe"} <= set(means)


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
