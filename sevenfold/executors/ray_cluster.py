"""Pieces computed by the workers of a Ray cluster."""

from collections.abc import Mapping
from typing import Any

from sevenfold.errors import InputError
from sevenfold.executors.base import Executor
from sevenfold.ranges import Depth, NonNegative
from sevenfold.records import Record
from sevenfold.study import Context, Piece, Study, compute
from sevenfold.tables import allow, allowed


class RayCluster(Executor):
    """Hand pieces to a Ray cluster, ``workers`` at a time, each on one CPU; needs the extra ``scale``.

    The study with its data goes to the cluster's object store once. A piece whose worker dies is computed
    again by another; one that raises ends the run and names itself. The run folder must be visible to all
    workers.

    Args:
        address: of a running cluster; without one, a local cluster of ``workers`` processes is started.
        workers: pieces at a time.
        gpus: accelerators that a piece occupies (a share, such as 0.25, is possible).
        runtime_env: the environment of the workers, as Ray takes it (``pip``, ``env_vars``, ``working_dir``).
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        workers: Depth = 2,
        gpus: NonNegative = 0.0,
        runtime_env: dict[str, Any] | None = None,
    ) -> None:
        try:
            import ray
        except ModuleNotFoundError:
            raise InputError("Ray is not installed: pip install 'sevenfold[scale]'") from None
        if workers < 1 or gpus < 0:
            raise InputError(f"executor needs workers >= 1 and gpus >= 0, got {workers} and {gpus}")
        self.ray, self.workers, self.address, self.gpus = ray, workers, address, gpus
        self.window, self.runtime_env = workers, runtime_env
        self._running: list[Any] = []
        self._work: tuple[Any, Any] | None = None

    def start(self, study: Study[Any], context: Context) -> None:
        """Join or start the cluster; hand it the study."""
        if not self.ray.is_initialized():
            local: Mapping[str, Any] = {"num_cpus": self.workers} if self.address is None else {}
            self.ray.init(
                address=self.address, include_dashboard=False, log_to_driver=False,
                runtime_env=self.runtime_env, **local,
            )  # fmt: skip
        plain = Context(context.folder, context.device, context.seed)  # callbacks belong to this process
        self._work = self.ray.put(study), self.ray.put(plain)

    def submit(self, piece: Piece) -> list[Record]:
        """Begin a piece; if all workers are busy, wait for one and return its records."""
        assert self._work is not None
        remote = self.ray.remote(num_cpus=1, num_gpus=self.gpus, max_retries=-1)(_compute)
        self._running.append(remote.remote(*self._work, piece, allowed()))
        return self.wait() if len(self._running) > self.workers else []

    def busy(self) -> bool:
        """Tell whether pieces are still being computed."""
        return bool(self._running)

    def wait(self) -> list[Record]:
        """Return the records of the next piece that ends."""
        if not self._running:
            return []
        (done,), self._running = self.ray.wait(self._running)
        try:
            records: list[Record] = self.ray.get(done)
        except self.ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from None
        return records

    def stop(self) -> None:
        """Leave the cluster."""
        self._running.clear()
        self.ray.shutdown()


def _compute(study: Study[Any], context: Context, piece: Piece, packages: tuple[str, ...]) -> list[Record]:
    allow(*packages)
    return compute(study, piece, context)
