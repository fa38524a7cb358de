"""Convergence of flow estimators: residual and error against steps, solver by solver."""

from pathlib import Path
from typing import ClassVar, cast

import pytorch_lightning as pl

from sevenfold.errors import InputError
from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.convergence import Convergence
from sevenfold.flow.figures import draw_convergence
from sevenfold.flow.network import FlowNetwork
from sevenfold.ranges import Count, NonNegativeInt, Seed


class FlowConvergence(pl.Callback):
    """Follow the first ``count`` tested pairs with known flow through each of several solvers.

    Args:
        count: pairs to look at; rank zero alone does, on what it sees.
        solvers: names of ``sevenfold.deq.SOLVERS``.
        steps: evaluations of f after which the error is taken, increasing; the last one ends the solve.
        radius_iterations: of the power method for the spectral radius of f's Jacobian at the end of the first
            solver's solve; 0 leaves it out.
        seed: of the power method's start.

    Leaves ``analysis/convergence.json`` (every pair) and ``images/convergence.png`` (medians and quartiles)
    in the run folder, and medians among the results. The module must have a flow network as ``network``.
    """

    needs: ClassVar[type] = FlowBatch

    def __init__(
        self,
        *,
        count: Count = 8,
        solvers: list[str] = ["fixed_point", "anderson", "broyden"],  # noqa: B006 (never changed)
        steps: list[Count] = [1, 2, 4, 6, 8, 12, 16, 24, 36, 48],  # noqa: B006
        radius_iterations: NonNegativeInt = 0,
        seed: Seed = 0,
    ) -> None:
        self.count, self.solvers, self.steps = count, solvers, steps
        self.radius_iterations, self.seed = radius_iterations, seed
        self._pairs = self._none()

    def _none(self) -> Convergence:
        return Convergence(self.solvers, self.steps, self.radius_iterations, self.seed)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin anew."""
        if not hasattr(getattr(pl_module, "network", None), "recurrence"):
            raise InputError(
                "flow_convergence needs a module with a flow network; use it with a model of flow"
            )
        self._pairs = self._none()

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: FlowBatch, *_: int
    ) -> None:
        """Look at the batch if it is among the first."""
        known = bool(batch["valid"].flatten(1).any(1).all())
        if trainer.is_global_zero and len(self._pairs.names) < self.count and known:
            with trainer.precision_plugin.test_step_context():
                self._pairs.follow(cast(FlowNetwork, pl_module.network), batch)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the numbers and the figure."""
        if not self._pairs.names:
            return
        folder = Path(trainer.default_root_dir)
        (folder / "analysis").mkdir(exist_ok=True)
        (folder / "images").mkdir(exist_ok=True)
        self._pairs.write(folder / "analysis/convergence.json")
        draw_convergence(self._pairs, folder / "images/convergence.png")

    def results(self) -> dict[str, float]:
        """Return each solver's median residual and error at the last step, and the median spectral radius."""
        return self._pairs.medians()
