"""Run folders: versions, agreement between ranks, whose interrupted run is taken up; locks."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from callbacks.run_identity import INHERITED, RESUMED, SLURM, Resume, choose_folder, discard
from sevenfold.errors import InputError
from sevenfold.results import Results
from sevenfold.run_files import read_identity
from sevenfold.run_lock import RunLock, is_live

ROOT = Path(__file__).resolve().parents[2]
STUDY = {"study": {"name": "s"}, "verb": "predict"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    for name in (INHERITED, RESUMED, *SLURM):
        monkeypatch.delenv(name, raising=False)
    return {"output_dir": str(tmp_path / "runs"), "name": "n", "verb": "fit", "seed": 0}


def started(config: dict[str, Any], resume: Resume = "no", shard: tuple[int, int] = (1, 1)) -> str:
    """Return the name of the folder of a run that ends at once and has not finished."""
    claim = choose_folder(config, resume, shard)
    claim.release()
    return claim.folder.name


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def foreign(path: Path, seconds: float) -> None:
    """Write the lock of a run on another machine whose last sign of life is ``seconds`` ago."""
    path.write_text(json.dumps({"host": "another", "pid": os.getpid(), "token": "0"}))
    age(path, seconds)


@pytest.fixture(scope="module")
def dead_pid() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_versions_count_up_and_survive_gaps(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "runs/n/version_9").mkdir(parents=True)
    (tmp_path / "runs/n/version_x").mkdir()
    assert [started(config), started(config)] == ["version_10", "version_11"]


def test_launched_ranks_inherit_the_choice(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    first = choose_folder(config)
    assert os.environ[INHERITED] == str(first.folder)
    monkeypatch.setenv("LOCAL_RANK", "1")
    second = choose_folder(config)
    assert second.folder == first.folder and second.lock is None
    second.release()
    assert is_live(first.folder / "run.lock")
    first.release()
    assert not (first.folder / "run.lock").exists()
    for resume in ("yes", "no"):
        monkeypatch.delenv("LOCAL_RANK", raising=False)
        first = choose_folder(config, resume)
        monkeypatch.setenv("LOCAL_RANK", "1")
        assert choose_folder(config, resume).resumed == first.resumed == (resume == "yes")
        first.release()


@pytest.mark.parametrize("status", [None, "interrupted", "failed", "diverged"])
def test_a_study_takes_up_its_unfinished_folder(config: dict[str, Any], status: str | None) -> None:
    config |= STUDY
    first = choose_folder(config)
    first.release()
    if status is not None:
        Results(first.folder, config).write(status)
    assert started(config) == "version_0"
    assert started({**config, "seed": 1}) == "version_1"
    assert started({**config, "logger": {"csv": {}}, "executor": {"name": "processes"}}) == "version_0"
    Results(first.folder, config).write("finished")
    assert started(config) == "version_2"


def test_a_fit_starts_anew_unless_it_is_to_resume(config: dict[str, Any]) -> None:
    assert [started(config), started(config)] == ["version_0", "version_1"]
    assert started(config, "yes") == started(config, "must") == "version_1"
    Results(Path(config["output_dir"], "n/version_1"), config).write("finished")
    assert started(config, "yes") == "version_0"
    assert started({**config, "seed": 1}, "yes") == "version_2"


def test_resume_must_fails_without_a_run_and_writes_nothing(config: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no unfinished run of this configuration"):
        choose_folder(config, "must")
    assert not list(tmp_path.iterdir())
    claim = choose_folder(config)
    with pytest.raises(InputError, match="that is not running"):
        choose_folder(config, "must")
    assert [path.name for path in claim.folder.parent.iterdir()] == ["version_0"]
    claim.release()


def test_a_requeued_job_takes_its_own_folder(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert [started(config), started(config)] == ["version_0", "version_0"]
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    assert [started(config), started(config)] == ["version_1", "version_1"]
    for task in ("0", "1"):
        monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "8")
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", task)
        assert [started(config), started(config)] == [f"version_{2 + int(task)}"] * 2
    assert read_identity(Path(config["output_dir"], "n/version_3"))["slurm"]["slurm_array_task_id"] == "1"
    Results(Path(config["output_dir"], "n/version_3"), config).write("finished")
    assert started(config) == "version_4", "a job that runs the same twice does not continue what is finished"


@pytest.mark.parametrize("resume", ["no", "yes"])
def test_a_live_run_is_never_joined(config: dict[str, Any], resume: Resume) -> None:
    config |= STUDY
    first, second = choose_folder(config, resume), choose_folder(config, resume)
    assert (first.folder.name, second.folder.name) == ("version_0", "version_1")
    first.release()
    second.release()
    lock = first.folder / "run.lock"
    foreign(lock, 50)
    assert started(config, resume) == "version_1"
    foreign(lock, 70)
    foreign(second.folder / "run.lock", 5)
    assert started(config, resume) == "version_0"
    lock.write_text("")  # a machine died while it wrote
    assert started(config, resume) == "version_2"
    age(lock, 70)
    assert choose_folder(config, resume).folder.name == "version_2"
    assert started(config, resume) == "version_0"


def test_shards_share_a_folder_and_nobody_else_does(config: dict[str, Any]) -> None:
    config |= STUDY
    shards = [choose_folder(config, shard=(number, 3)) for number in (1, 2, 3)]
    assert {claim.folder.name for claim in shards} == {"version_0"}
    assert started(config, shard=(1, 4)) == "version_1" and started(config) == "version_2"
    assert started(config, shard=(2, 3)) == "version_3", "shard 2 of 3 runs already"
    for claim in shards:
        claim.release()


def choose_at_once(start: Any, answers: Any, config: dict[str, Any], shard: tuple[int, int]) -> None:
    """Choose a folder when all are ready, and live on until all have one."""
    start.wait()
    answers.put(choose_folder(config, shard=shard).folder.name)
    start.wait()


@pytest.mark.parametrize("shards", [1, 4])
def test_starts_at_once_agree(config: dict[str, Any], shards: int) -> None:
    """Four equal studies have four folders, four shards of one study have one; as real processes."""
    config |= STUDY
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(4), context.Queue()
    runs = [
        context.Process(target=choose_at_once, args=(start, answers, config, (min(k + 1, shards), shards)))
        for k in range(4)
    ]
    try:
        for run in runs:
            run.start()
        chosen = [answers.get(timeout=600) for _ in runs]
        assert len(set(chosen)) == (1 if shards == 4 else 4)
    finally:
        for run in runs:
            run.join(600)
            run.kill()


@pytest.mark.parametrize("before", ["free", "dead", "stale", "empty", "live"])
def test_of_many_who_race_for_a_lock_one_wins(tmp_path: Path, before: str, dead_pid: int) -> None:
    path = tmp_path / "run.lock"
    for _ in range(20):
        if before == "dead":
            path.write_text(json.dumps({"host": os.uname().nodename, "pid": dead_pid, "token": "0"}))
        elif before in ("stale", "live"):
            foreign(path, 70 if before == "stale" else 1)
        elif before == "empty":
            path.write_text("")
            age(path, 70)
        locks = [RunLock(path) for _ in range(20)]
        together = threading.Barrier(len(locks))
        won: list[RunLock] = []

        def race(lock: RunLock, together: threading.Barrier = together, won: list[RunLock] = won) -> None:
            together.wait()
            if lock.acquire():
                won.append(lock)

        threads = [threading.Thread(target=race, args=(lock,)) for lock in locks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == (before != "live") and [file.name for file in tmp_path.iterdir()] == ["run.lock"]
        for lock in locks:
            lock.release()
        assert path.exists() == (before == "live"), "only the owner gives a lock back"
        path.unlink(missing_ok=True)


def test_a_slow_taker_does_not_remove_the_lock_of_a_faster_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sees a void lock and sleeps; another takes it over; the first must not."""
    path, fast, slow = tmp_path / "run.lock", RunLock(tmp_path / "run.lock"), RunLock(tmp_path / "run.lock")
    foreign(path, 70)
    looks = []

    def late(lock: Path) -> bool:
        looks.append(lock)
        live = is_live(lock)
        if len(looks) == 1:
            assert not live and fast.acquire()
        return live

    monkeypatch.setattr("sevenfold.run_lock.is_live", late)
    assert not slow.acquire() and json.loads(path.read_text())["token"] == fast.token
    assert [file.name for file in tmp_path.iterdir()] == ["run.lock"]
    fast.release()


def test_a_lock_whose_owner_lives_on_without_a_heartbeat_is_void(tmp_path: Path) -> None:
    """The number of a process may have been given to another program since."""
    lock = RunLock(tmp_path / "run.lock")
    assert lock.acquire() and is_live(lock.path)
    age(lock.path, 70)
    assert not is_live(lock.path)
    other = RunLock(lock.path)
    assert other.acquire()
    lock.release()
    assert is_live(lock.path)
    other.release()


def test_discard_takes_back_empty_folders_only(config: dict[str, Any], tmp_path: Path) -> None:
    discard(choose_folder(config))
    assert list(tmp_path.iterdir()) == []
    kept = choose_folder(config)
    (kept.folder / "f").touch()
    discard(kept)
    assert (kept.folder / "f").exists()
    choose_folder(config).release()
    again = choose_folder(config, "yes")
    discard(again)
    assert again.folder.is_dir(), "it was there before"


@pytest.mark.slow
@pytest.mark.distributed
def test_ranks_started_by_torchrun_agree(tmp_path: Path) -> None:
    (script := tmp_path / "agree.py").write_text(
        "import os, pathlib\n"
        "from callbacks.run_identity import choose_folder\n"
        "claim = choose_folder({'output_dir': 'runs', 'name': 'n', 'verb': 'fit'})\n"
        "pathlib.Path(f\"rank_{os.environ['RANK']}\").write_text(str(claim.folder))\n"
    )
    launcher = [sys.executable, "-m", "torch.distributed.run"]
    subprocess.run(
        [*launcher, "--standalone", "--nproc-per-node=2", str(script)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True, capture_output=True, timeout=900,
    )  # fmt: skip
    chosen = {(tmp_path / f"rank_{rank}").read_text() for rank in range(2)}
    assert chosen == {str(tmp_path / "runs/n/version_0")}


def test_a_lock_taken_within_a_kill_of_its_taker_is_free(tmp_path: Path, dead_pid: int) -> None:
    """Heirs of heirs, all of them dead: each was killed between becoming an heir and replacing its lock."""
    path = tmp_path / "run.lock"
    for name, token in (("run.lock", "a"), ("run.lock.a", "b"), ("run.lock.a.b", "c")):
        owner = {"host": os.uname().nodename, "pid": dead_pid, "token": token}
        (tmp_path / name).write_text(json.dumps(owner))
    lock = RunLock(path)
    assert lock.acquire() and lock.held()
    assert [file.name for file in tmp_path.iterdir()] == ["run.lock"]
    lock.release()


def test_a_later_process_with_the_number_of_a_dead_owner_does_not_hold_its_lock(tmp_path: Path) -> None:
    owner = {"host": os.uname().nodename, "pid": os.getpid(), "token": "0"}
    path = tmp_path / "run.lock"
    path.write_text(json.dumps({**owner, "born": "1"}))
    assert not is_live(path)
    path.write_text(json.dumps(owner))
    assert is_live(path)
