"""Where independent pieces of work are computed: here, or on the workers of a Ray cluster."""

from collections.abc import Callable
from typing import Any

from sevenfold.errors import InputError

EXECUTORS: dict[str, str] = {
    "here": "sevenfold.executors:Here",
    "ray": "sevenfold.executors:RayCluster",
}

Work = Callable[..., list[dict[str, Any]]]


class Here:
    """Compute every piece at once in this process."""

    def __init__(self) -> None:
        """There is nothing to choose."""

    def run(self, work: Work, *given: Any, last: bool) -> list[dict[str, Any]]:
        """Return what ``work(*given)`` does."""
        return work(*given)


class RayCluster:
    """Hand pieces to a Ray cluster, ``workers`` at a time, each on one CPU; needs the extra ``scale``.

    ``address`` is that of a running cluster; without one, a local cluster of ``workers`` processes is
    started. A piece whose worker dies is computed again by another.
    """

    def __init__(self, *, address: str | None = None, workers: int = 2) -> None:
        try:
            import ray
        except ModuleNotFoundError:
            raise InputError("Ray is not installed: pip install 'sevenfold[scale]'") from None
        if workers < 1:
            raise InputError(f"workers must be at least 1, got {workers}")
        self.ray, self.workers, self.address = ray, workers, address
        self.running: list[Any] = []

    def run(self, work: Work, *given: Any, last: bool) -> list[dict[str, Any]]:
        """Hand ``work(*given)`` on; return results that are ready, all that are open after the ``last``."""
        if not self.ray.is_initialized():
            local: dict[str, Any] = {"num_cpus": self.workers} if self.address is None else {}
            self.ray.init(address=self.address, include_dashboard=False, log_to_driver=False, **local)
        remote = self.ray.remote(num_cpus=1, max_retries=-1)(work)
        self.running.append(remote.remote(*given))
        found: list[dict[str, Any]] = []
        while self.running and (last or len(self.running) > self.workers):
            done, self.running = self.ray.wait(self.running)
            found += [record for records in self.ray.get(done) for record in records]
        if last:
            self.ray.shutdown()
        return found
