"""A5: NATS-Bench's files and NAS-Bench-201's, read without running them."""

import bz2
import gzip
import json
import os
import pickle
import shutil
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.benchmarks.convert import main, source_digest
from sevenfold.nas.benchmarks.nats import cells
from sevenfold.nas.benchmarks.safe_pickle import UnsafePickleError
from sevenfold.nas.spaces.nb201 import NB201

ROOT = Path(__file__).resolve().parents[3] / "../shared/data/nas"
NAMES = {"val": "x-valid", "test": "x-test", "val+test": "ori-test"}
needs_files = pytest.mark.skipif(not ROOT.is_dir(), reason="the shared NAS tables are absent")


def official(dataset: str, split: str) -> str:
    return (
        "ori-test"
        if dataset.startswith("cifar10") and "100" not in dataset and split == "test"
        else NAMES[split]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("nats") / "NATS-tss-simple"
    target.mkdir()
    for file in sorted((ROOT / "format_fixtures").glob("*.pbz2")):
        shutil.copy(file, target / file.name.removeprefix("NATS-tss-simple_"))
    return target


@pytest.fixture(scope="module")
def truth() -> dict:
    with gzip.open(ROOT / "nats_tss_three_archs_curves.json.gz", "rt") as file:
        return json.load(file)


@needs_files
def test_a5_every_number_of_the_files_is_read(folder, truth):
    read = list(cells(folder))
    assert [cell.arch for cell in read] == [entry["arch_str"] for entry in truth.values()]
    for cell, entry in zip(read, truth.values(), strict=True):
        expected = {
            (f"{key.split('/')[0]}/{schedule}", int(key.split("/")[1])): trial
            for schedule, trials in entry["hp"].items()
            for key, trial in trials.items()
        }
        assert {(trial.dataset, trial.seed) for trial in cell.trials} == set(expected)
        for trial in cell.trials:
            theirs = expected[trial.dataset, trial.seed]
            for metric in ("acc", "loss"):
                mine = trial.curves[f"train/{metric}"]
                assert [mine[epoch] for epoch in range(1, trial.epochs + 1)] == theirs[f"train_{metric}"]
                evaluated = {
                    f"{official(trial.dataset, key.split('/')[0])}@{epoch - 1}": value
                    for key, curve in trial.curves.items()
                    if key.endswith(metric) and not key.startswith("train")
                    for epoch, value in curve.items()
                }
                assert evaluated == theirs[f"eval_{metric}"]
            assert list(trial.seconds.values()) == theirs["train_time"]
            assert trial.properties["params"] == theirs["params"]


@needs_files
def test_a5_the_converted_benchmark_has_the_curves_of_200_epochs(folder, truth, tmp_path):
    out = tmp_path / "nats-tss.npz"
    assert main(["nats-tss", str(folder), str(out)]) == 0
    with pytest.raises(InputError, match="say which data set: ImageNet16-120/12, ImageNet16-120/200"):
        load_benchmark("nats-tss", root=str(tmp_path))
    archs = [entry["arch_str"] for entry in truth.values()]
    whole = {"cifar10-valid": "val", "cifar10": "test", "cifar100": "val+test", "ImageNet16-120": "val+test"}
    for dataset, split in whole.items():
        bench = load_benchmark("nats-tss", root=str(tmp_path), dataset=f"{dataset}/200")
        assert bench.seeds == (777, 888, 999) and bench.epochs == tuple(range(1, 201))
        curves = bench.curves(archs, split=split, metric="acc", seed="all")
        assert curves.values.shape == (3, 3, 200) and curves.counts()["missing"] == 0
        for i, entry in enumerate(truth.values()):
            for s, seed in enumerate(bench.seeds):
                theirs = entry["hp"]["200"][f"{dataset}/{seed}"]["eval_acc"]
                expected = [theirs[f"{official(dataset, split)}@{e}"] for e in range(200)]
                assert np.array_equal(curves.values[i, s], np.float32(expected).astype(float))
        seconds = bench.cost(archs[:1], epoch=50, seed=777)
        theirs = truth["000000"]["hp"]["200"][f"{dataset}/777"]["train_time"]
        assert seconds == pytest.approx([sum(theirs[:50])], rel=1e-5)
    assert bench.series["val/acc"] == (200,) and bench.series["train/acc"] == tuple(range(1, 201))
    with pytest.raises(
        InputError, match="epoch of ImageNet16-120/200, val/acc, 100 is not known; known: 200"
    ):
        bench.query(archs, split="val", metric="acc", epoch=100, seed="mean")
    halves = [bench.query(archs, split=split, metric="acc", epoch=200, seed=777) for split in ("val", "test")]
    union = bench.query(archs, split="val+test", metric="acc", epoch=200, seed=777)
    np.testing.assert_allclose(np.mean(halves, axis=0), union, atol=1e-3)
    early = load_benchmark("nats-tss", root=str(tmp_path), dataset="cifar10-valid/12")
    assert early.seeds == (111, 777) and early.epochs[-1] == 12
    assert bench.table.layout.provenance["source_sha256"] == source_digest(folder)


@needs_files
def test_both_pth_forms_give_the_same_table(folder, tmp_path):
    files = sorted(folder.iterdir())[1:]
    contents = [pickle.loads(bz2.decompress(file.read_bytes())) for file in files]
    numbers, expected = [int(file.name[:6]) for file in files], list(cells(folder))[1:]
    words = [OrderedDict(less=content["12"], full=content["200"]) for content in contents]
    whole = {
        "meta_archs": [content["less"]["arch_str"] for content in words],
        "total_archs": 2,
        "arch2infos": dict(zip(numbers, words, strict=True)),
        "evaluated_indexes": numbers,
    }
    for legacy in (False, True):
        torch.save(whole, tmp_path / "all.pth", _use_new_zipfile_serialization=not legacy)
        assert list(cells(tmp_path / "all.pth")) == expected
    single = tmp_path / "archive"
    single.mkdir()
    for number, content in zip(numbers, words, strict=True):
        torch.save(content, single / f"{number:06d}-FULL.pth")
    assert list(cells(single)) == expected


class Call:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("legacy", [False, True])
def test_a6_a_malicious_pth_is_refused_by_name(tmp_path, legacy):
    mark = tmp_path / "mark"
    content = {"arch2infos": {0: [Call(os.system, f"touch {mark}")]}}
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UnsafePickleError, match=r"names 'posix.system', which is refused"):
        list(cells(tmp_path / "x.pth"))
    assert not mark.exists()


def results(epochs: int, seeds: tuple[int, ...]) -> dict:
    """Results of one cell in the benchmark's own form, small."""
    trial = {
        "train_acc1es": {e: 1.0 * e for e in range(epochs)},
        "train_losses": {e: 2.0 - e for e in range(epochs)},
        "train_times": dict.fromkeys(range(epochs), 3.0),
        "eval_acc1es": {f"x-valid@{e}": 10.0 + e for e in range(epochs)},
        "eval_losses": {f"x-valid@{e}": 1.0 for e in range(epochs)},
        "params": 0.5,
        "flop": 7.0,
        "latency": [],
    }
    arch = NB201().to_strings(NB201().archs([0]))[0]
    return {"arch_str": arch, "all_results": {("cifar10-valid", seed): trial for seed in seeds}}


def write_item(folder: Path, number: int, content: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{number:06d}.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps(content, protocol=4)))


def test_a23_absent_seeds_are_masked(tmp_path):
    first, second = results(12, (777, 888)), results(12, (888,))
    second["arch_str"] = NB201().to_strings(NB201().archs([1]))[0]
    write_item(tmp_path / "in", 0, {"12": first})
    write_item(tmp_path / "in", 1, {"12": second})
    assert main(["nats-tss", str(tmp_path / "in"), str(tmp_path / "nats-tss.npz")]) == 0
    bench = load_benchmark("nats-tss", root=str(tmp_path))
    counts = bench.curves(bench.archs, split="val", metric="acc", seed="all").counts()
    assert counts == {"values": 48, "missing": 12, "runs": 4, "empty": 1, "partial": 0}
    ask = {"split": "val", "metric": "acc", "epoch": 12}
    assert np.array_equal(bench.query(bench.archs, seed=777, **ask), [21, np.nan], equal_nan=True)
    assert bench.query(bench.archs, seed="mean", **ask).tolist() == [21, 21]
    assert bench.cost(bench.archs, epoch=12, seed="mean").tolist() == [36, 36]


def test_other_content_is_bad_input(tmp_path, capsys):
    source, out = tmp_path / "in", str(tmp_path / "out.npz")
    write_item(source, 0, {"12": {"arch_str": "x"}})
    assert main(["nats-tss", str(source), out]) == 2
    assert "000000.pickle.pbz2' has no NATS-Bench results" in capsys.readouterr().err
    write_item(source, 0, {"12": {**results(3, (777,)), "arch_str": "|zap~0|"}})
    assert main(["nats-tss", str(source), out]) == 2
    assert "'|zap~0|' is no cell" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["nats-tss", str(tmp_path / "empty"), out]) == 2
    assert "holds no NATS-Bench files" in capsys.readouterr().err
    (tmp_path / "x.pth").write_bytes(b"nothing")
    assert main(["nb201", str(tmp_path / "x.pth"), out]) == 2
    assert "no readable torch file" in capsys.readouterr().err
    torch.save({"a": 1}, tmp_path / "y.pth")
    assert main(["nb201", str(tmp_path / "y.pth"), out]) == 2
    assert "has no 'arch2infos'" in capsys.readouterr().err
    for arguments, message in [
        (["nats-tss", str(tmp_path / "absent"), out], "does not exist"),
        (["nats-tss", str(source), str(tmp_path / "no/out.npz")], "make it first"),
        (["nats-tss", str(source), out, "--strict"], "strict: unknown key"),
    ]:
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
    assert not Path(out).exists()
    with pytest.raises(InputError, match="convert nats-tss SOURCE"):
        load_benchmark("nats-tss", root=str(tmp_path))


class Touch:
    """Content that writes a file when it is unpickled, and is a plain number afterwards."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return eval, (f"(open({str(self.mark)!r}, 'w').close(), 1.0)[1]",)


def test_trust_runs_a_pickle_in_another_process_only(tmp_path, capsys):
    mark, out = tmp_path / "mark", tmp_path / "nats-tss.npz"
    content = results(3, (777,))
    content["all_results"]["cifar10-valid", 777]["params"] = Touch(mark)
    write_item(tmp_path / "in", 0, {"3": content})
    assert main(["nats-tss", str(tmp_path / "in"), str(out)]) == 2
    assert "'builtins.eval', which is refused" in (error := capsys.readouterr().err) and "--trust" in error
    assert not mark.exists() and not out.exists()
    assert main(["nats-tss", str(tmp_path / "in"), str(out), "--trust"]) == 0
    assert mark.exists()
    bench = load_benchmark("nats-tss", root=str(tmp_path))
    assert bench.property_of(bench.archs, "params").tolist() == [1.0]
    write_item(tmp_path / "in", 0, {"3": Touch(mark)})
    assert main(["nats-tss", str(tmp_path / "in"), str(out), "--trust"]) == 2
    assert "the trusting process failed: '" in capsys.readouterr().err
