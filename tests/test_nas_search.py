"""Searches and landscapes as they are run: records, tables, resuming, devices."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sevenfold.nas.landscape.climb import climb, neighbors
from sevenfold.nas.spaces.nb201 import NB201
from sevenfold.records import read_folder
from train import main

ROOT = Path(__file__).resolve().parents[1]
SEARCH = str(ROOT / "configs/nas/search_nb201.yaml")
LANDSCAPE = str(ROOT / "configs/nas/landscape_nb201.yaml")
QUIET = ["callbacks.progress=null", "trainer.enable_progress_bar=false"]
SLOW = ("bananas_paper", "bananas_fast", "gp", "nasbot", "dngo", "neural_predictor")
WITHOUT = [f"study.algorithms.{label}=null" for label in SLOW]
SMALL = ["study.trials=4", "study.trials_of=null", "study.block=3", "study.budget=30", *WITHOUT, *QUIET]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    return tmp_path


def results(folder):
    return json.loads((folder / "results.json").read_text())


def make_table(path):
    """Write a table of named arrays: validation of the last epochs differs from its test."""
    rng = np.random.default_rng(0)
    ops = NB201().archs(np.arange(15625))
    test = 60 + ops.sum(axis=1) + rng.random(15625)
    arrays = {"pets_val_ep90": test + rng.random(15625), "pets_val_ep9": test / 2, "cars_val_ep9": test / 3}
    np.savez(path, ops=ops, **{name: value.astype(np.float32) for name, value in arrays.items()})
    np.savez(path.with_name("test.npz"), ops=ops, pets_test_ep90=test.astype(np.float32))
    return {**arrays, "test": test}


@pytest.mark.slow
def test_a_search_on_a_table_file_with_test_accuracies_of_another(here):
    arrays = make_table(here / "table.npz")
    files = ["study.path=table.npz", "study.dataset=pets", "study.test_path=test.npz"]
    assert main(["--config", SEARCH, *SMALL, *files]) == 0
    folder = here / "runs/search_nb201/version_0"
    records = read_folder(folder / "records")
    labels = {record["group"] for record in records}
    assert len(records) == 36 and {"random", "local_search_full", "bananas_no_surrogate"} < labels
    val, test = (100 - arrays[name].astype(np.float32) for name in ("pets_val_ep90", "test"))
    for record in records:
        place = NB201().index(NB201().from_strings([record["incumbent"]]))[0]
        assert record["val_loss"] == record["val_curve"][-1] == pytest.approx(val[place], abs=1e-4)
        assert record["test_loss"] == record["test_curve"][-1] == pytest.approx(test[place], abs=1e-4)
        assert record["val_regret"] == pytest.approx(val[place] - val.min(), abs=1e-4)
        assert record["test_regret"] == pytest.approx(test[place] - test.min(), abs=1e-4)
        assert record["queries"] == [10, 20, 30] and record["val_curve"] == sorted(record["val_curve"])[::-1]
        assert record["spent"] + record["duplicates"] == 30 and "simulated_seconds" not in record
    metrics = results(folder)["metrics"]
    losses = [record["test_loss"] for record in records if record["group"] == "random"]
    assert metrics["random/test_loss/mean"] == pytest.approx(np.mean(losses))
    assert metrics["random/test_loss/sem"] == pytest.approx(np.std(losses, ddof=1) / 2)
    assert metrics["random/trials"] == 4 and metrics["evolution/duplicates/mean"] == 0
    table = (folder / "table.txt").read_text()
    rows = sum(line.startswith(tuple(labels)) for line in table.splitlines())
    assert rows == 3 * len(labels)  # headline, every algorithm, published values
    assert (folder / "images/incumbents.png").stat().st_size > 10_000
    first = {record["group"]: record["val_curve"][0] for record in records if record["trial"] == 0}
    assert len(set(first.values())) == 1  # all begin with the same ten

    for name, other in (("table", "nb201_val_one_seed"), ("test", "nb201_cifar")):  # the supplied names
        (here / f"{name}.npz").rename(here / f"{other}.npz")
    pair = ["study.path=nb201_val_one_seed.npz", "study.dataset=pets", "name=pair", "study.trials=1"]
    assert main(["--config", SEARCH, *SMALL, *pair]) == 0
    found = {r["key"]: r["test_loss"] for r in read_folder(here / "runs/pair/version_0/records")}
    assert found == {r["key"]: r["test_loss"] for r in records if r["key"] in found}
    files = ["study.path=nb201_val_one_seed.npz", "study.dataset=pets"]

    for block in (1, 100):  # the number of trials side by side changes nothing
        main(["--config", SEARCH, *SMALL, *files, f"study.block={block}", "study.trials=2", "name=other"])
        others = read_folder(here / "runs/other" / f"version_{block // 100}" / "records")
        assert others == [record for record in records if record["trial"] < 2]


def test_a_search_knows_simulated_time_and_goes_on_from_its_records(here):
    small = [*SMALL, "study.benchmark.name=synthetic-nb201"]
    assert main(["--config", SEARCH, *small]) == 0
    folder = here / "runs/search_nb201/version_0"
    lines = (folder / "records/records.jsonl").read_text().splitlines(keepends=True)
    assert all(
        json.loads(line)["simulated_seconds"] >= 30 * 20 for line in lines[:20] if '"missing": 0' in line
    )
    whole = results(folder)["metrics"]
    (folder / "records/records.jsonl").write_text("".join(lines[::3]) + lines[1][:40])
    (folder / "results.json").unlink()
    assert main(["--config", SEARCH, *small]) == 0
    assert [path.name for path in (here / "runs/search_nb201").iterdir()] == ["version_0"]
    assert (folder / "records/records.jsonl").read_text() == "".join(lines)
    assert results(folder)["metrics"] == whole
    (folder / "results.json").unlink()  # all done, only the end is missing
    assert main(["--config", SEARCH, *small]) == 0
    assert results(folder)["metrics"] == whole


def test_landscapes_of_a_file(here):
    arrays = make_table(here / "table.npz")
    assert main(["--config", LANDSCAPE, *QUIET, "study.path=table.npz", "study.dataset=pets"]) == 0
    found = climb(100 - arrays["pets_val_ep90"].astype(np.float32).astype(float), neighbors(NB201()))
    folder = here / "runs/landscape_nb201/version_0"
    one = results(folder)
    for name, value in found.measures().items():
        assert one["metrics"][name] == pytest.approx(value)
    assert one["reference"]["uniform_minima"] == 625
    assert (folder / "images/landscape_pets_90_val.png").is_file()
    assert main(["--config", LANDSCAPE, *QUIET, "study.path=table.npz", "study.noise_sigma=0.1"]) == 0
    several = results(here / "runs/landscape_nb201/version_1")["metrics"]
    assert several["pets/90/val/minima"] == one["metrics"]["minima"] and "cars/9/val/steps_mean" in several
    records = {r["key"]: r for r in read_folder(here / "runs/landscape_nb201/version_1/records")}
    pets = records["pets/90/val"]
    assert np.shape(pets["noisy_minima"]) == (5, 5) and pets["noise_sigma"] == 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["study.path=absent.npz"], "table file 'absent.npz' does not exist"),
        (["study.path=table.npz", "study.dataset=dogs"], "data set 'dogs' is not known"),
        (["study.path=table.npz"], "say which data set: pets/90, pets/9, cars/9"),
        (["study.path=table.npz", "study.dataset=cars", "study.objective.split=test"], "no 'test/acc'"),
        (["study.algorithms.random.samplng=uniform"], "study.algorithms.random.samplng: unknown key"),
        (["study.algorithms.mine={name: evoluton}"], "study.algorithms.mine.name: 'evoluton' is not known"),
        (["study.trials_of={nobody: 3}"], "study.trials_of: labels of algorithms are random"),
        (["study.trials=0"], "study.trials: expected a number from 1"),
        (["study.budget=0"], "study.budget: expected a number from 1"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(settings, message, here, capsys):
    make_table(here / "table.npz")
    assert main(["--config", SEARCH, *settings]) == 2
    assert message in capsys.readouterr().err and not (here / "runs").exists()


def command(*settings):
    return [sys.executable, str(ROOT / "train.py"), "--config", SEARCH, *settings]


def environment():
    kept = {key: value for key, value in os.environ.items() if key != "SEVENFOLD_RUN_FOLDER"}
    return {**kept, "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_a_killed_search_loses_the_running_trials_at_most(here):
    settings = [
        "study.trials=20",
        "study.trials_of=null",
        "study.block=2",
        "study.budget=60",
        *WITHOUT,
        *QUIET,
    ]
    killed = subprocess.Popen(command(*settings), cwd=here, env=environment())
    shard = here / "runs/search_nb201/version_0/records/rank_0.jsonl"
    end = time.monotonic() + 500
    while not (shard.exists() and shard.read_bytes().count(b"\n") >= 6):
        assert time.monotonic() < end
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    kept = shard.read_text().splitlines()
    assert 6 <= len(kept) < 180
    subprocess.run(command(*settings), cwd=here, env=environment(), check=True, timeout=500)
    lines = (here / "runs/search_nb201/version_0/records/records.jsonl").read_text().splitlines()
    assert len(lines) == 180 and set(kept[:-1]) < set(lines)
    assert main(["--config", SEARCH, *settings, "name=whole"]) == 0
    whole = (here / "runs/whole/version_0/records/records.jsonl").read_text().splitlines()
    assert lines == whole


@pytest.mark.slow
@pytest.mark.distributed
def test_two_processes_write_the_records_of_one(here):
    two = ["trainer.devices=2", "trainer.strategy=ddp", "name=two"]
    subprocess.run(command(*SMALL, *two), cwd=here, env=environment(), check=True, timeout=500)
    assert main(["--config", SEARCH, *SMALL, "name=one"]) == 0
    one, two = (here / f"runs/{name}/version_0" for name in ("one", "two"))
    assert (one / "records/records.jsonl").read_bytes() == (two / "records/records.jsonl").read_bytes()
    assert results(one)["metrics"] == results(two)["metrics"]


@pytest.mark.slow
def test_a_ray_run_with_a_killed_worker_writes_the_same_records(here):
    ray = pytest.importorskip("ray", reason="Ray is not installed (extra 'scale')")
    psutil = pytest.importorskip("psutil", reason="psutil is needed to find Ray's workers")
    assert ray.__version__
    settings = [*SMALL, "study.trials=40", "study.block=2", "study.budget=100"]
    assert main(["--config", SEARCH, *settings, "name=here"]) == 0
    cluster = ["executor={name: ray, workers: 2}", "name=cluster"]
    driver = subprocess.Popen(command(*settings, *cluster), cwd=here, env=environment())
    killed, end = [], time.monotonic() + 300
    while driver.poll() is None and not killed:
        assert time.monotonic() < end
        with contextlib.suppress(psutil.Error):
            workers = psutil.Process(driver.pid).children(recursive=True)
            busy = [worker for worker in workers if "ray::_compute" in " ".join(worker.cmdline())]
            if busy:
                busy[0].kill()
                killed.append(busy[0].pid)
        time.sleep(0.01)
    assert killed and driver.wait(timeout=400) == 0
    one, two = (here / f"runs/{name}/version_0/records/records.jsonl" for name in ("here", "cluster"))
    assert one.read_bytes() == two.read_bytes() and one.read_bytes().count(b"\n") == 360


def test_the_recipe_of_darts_runs_on_an_exported_surrogate(here):
    """The more separable convolutions, the better; what is found beats random cells."""
    from sevenfold.nas.spaces.darts import DARTS
    from sevenfold.nas.x11.ensemble import Ensemble
    from sevenfold.nas.x11.export import save
    from sevenfold.nas.x11.surrogate import Surrogate
    from sevenfold.nas.x11.tensor import CurveTensor

    space, rng = DARTS(), np.random.default_rng(0)
    archs = space.sample(rng, 300)
    curves = (90 + 0.5 * (archs[:, 1::2] == 4).sum(axis=1))[:, None] * (1 - np.exp(-np.arange(1, 9) / 2))
    noisy = curves[:, None, :, None] + 0.05 * rng.standard_normal((300, 1, 8, 1))
    small = {"compression": {"name": "svd", "k": 2}, "regressor": {"name": "lgb", "rounds": 30}, "members": 2}
    ensemble = Ensemble(space, encoding="adj_onehot", metrics=("val/acc",), epochs=8, **small)
    surrogate = Surrogate(ensemble)
    surrogate.fit(CurveTensor(space, archs, noisy, ("val/acc",)))
    save(surrogate, here / "darts")
    lean = ["study.algorithms.bananas_darts=null", "study.algorithms.bananas_paper=null"]
    main(
        ["--config", str(ROOT / "configs/nas/paper/darts.yaml"), "study.benchmark={name: x11, path: darts}"]
        + ["study.trials=4", "study.trials_of=null", "study.budget=40", *lean, *QUIET]
    )
    found = results(next(here.glob("runs/*/version_0")))["metrics"]
    best = {
        label: found[f"{label}/val_loss/mean"] for label in ("random", "evolution", "bananas_closed_form")
    }
    assert best["bananas_closed_form"] < best["random"] and best["evolution"] < best["random"]
