"""Which folder a run gets: a new one, or that of an interrupted run of the same configuration."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

from sevenfold.config import Node
from sevenfold.errors import InputError
from sevenfold.files import write_text
from sevenfold.run_files import Resume, identity, matches, number_of, versions
from sevenfold.run_lock import RunLock, alone

INHERITED = "SEVENFOLD_RUN_FOLDER"
RESUMED = "SEVENFOLD_RESUMED"  # beside it: whether the run goes on, which all ranks must agree on
SLURM = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")
Config = Node


@dataclass(frozen=True)
class Claim:
    """A run's hold on its ``folder``: rank zero has the ``lock``; ``resumed`` if another run began it."""

    folder: Path
    lock: RunLock | None
    resumed: bool

    def release(self) -> None:
        """Release the lock of the folder."""
        if self.lock is not None:
            self.lock.release()


def choose_folder(config: Config, resume: Resume = "no", shard: tuple[int, int] = (1, 1)) -> Claim:
    """Return this run's folder ``output_dir/name/version_N``, the same on every rank, created and locked.

    Rank zero chooses. Ranks that it starts inherit the choice through their environment; ranks started from
    outside (torchrun, SLURM) receive it over a process group that lives for this one message.

    An unfinished folder of the same configuration that no live run holds is continued by a study, by a
    requeued SLURM job (the folder that this job began), and on ``resume``; with ``"must"`` its absence raises
    ``InputError``. Shards of one study share a folder. Everything else gets a new version.
    """
    if INHERITED in os.environ and os.environ.get("LOCAL_RANK", "0") != "0":
        return Claim(Path(os.environ[INHERITED]), None, os.environ.get(RESUMED) == "yes")
    outside = next((kind() for kind in (TorchElasticEnvironment, SLURMEnvironment) if kind.detect()), None)
    if outside is None or outside.world_size() == 1:
        claim = _claim(config, resume, shard)
        os.environ |= {INHERITED: str(claim.folder), RESUMED: "yes" if claim.resumed else "no"}
        return claim
    chosen = _claim(config, resume, shard) if outside.global_rank() == 0 else None
    box = [(str(chosen.folder), chosen.resumed) if chosen else None]
    os.environ |= {"MASTER_ADDR": outside.main_address, "MASTER_PORT": str(outside.main_port)}
    torch.distributed.init_process_group("gloo", rank=outside.global_rank(), world_size=outside.world_size())
    torch.distributed.broadcast_object_list(box)
    torch.distributed.destroy_process_group()
    assert box[0] is not None
    return chosen or Claim(Path(box[0][0]), None, box[0][1])


def _claim(config: Config, resume: Resume, shard: tuple[int, int]) -> Claim:
    """Choose and lock a folder while no other run chooses one of this name."""
    root = Path(config["output_dir"]).absolute() / config["name"]
    nothing = InputError(
        f"--resume=must: no unfinished run of this configuration in '{root}' that is not running"
    )
    if resume == "must" and not root.is_dir():
        raise nothing
    root.mkdir(parents=True, exist_ok=True)
    lock_name = "run.lock" if shard == (1, 1) else f"shard_{shard[0]}.lock"
    with alone(root / ".choosing"):
        for folder in reversed(versions(root)):
            if not matches(folder, config, resume, shard, _slurm()):
                continue
            lock = RunLock(folder / lock_name)
            if lock.acquire():
                return Claim(folder, lock, True)
        if resume == "must":
            raise nothing
        numbers = [number_of(folder) for folder in versions(root)]
        folder = root / f"version_{max(numbers, default=-1) + 1}"
        folder.mkdir()
        lock = RunLock(folder / lock_name)
        lock.acquire()
        write_text(folder / "run.json", json.dumps(identity(config, shard, _slurm()), indent=2) + "\n")
    return Claim(folder, lock, False)


def _slurm() -> dict[str, str]:
    return {name.lower(): os.environ[name] for name in SLURM if name in os.environ}


def discard(claim: Claim) -> None:
    """Remove the folder of a run that cannot start, and its parents where they are empty."""
    claim.release()
    if claim.resumed:
        return
    (claim.folder / "run.json").unlink(missing_ok=True)
    for path in (claim.folder, *claim.folder.parents[:2]):
        if any(path.iterdir()):
            return
        path.rmdir()
