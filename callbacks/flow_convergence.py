"""Convergence of flow estimators: residual and error against steps, solver by solver."""

import json
import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from sevenfold.config import ConfigError, suggest
from sevenfold.deq import SOLVERS
from sevenfold.errors import InputError
from sevenfold.files import write_text
from sevenfold.flow.analysis import Curve, converge, radius_at
from sevenfold.flow.padding import pad
from sevenfold.ranges import Count, NonNegativeInt, Seed
from sevenfold.seeding import torch_generator


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

    def __init__(
        self,
        *,
        count: Count = 8,
        solvers: list[str] = ["fixed_point", "anderson", "broyden"],  # noqa: B006 (never changed)
        steps: list[Count] = [1, 2, 4, 6, 8, 12, 16, 24, 36, 48],  # noqa: B006
        radius_iterations: NonNegativeInt = 0,
        seed: Seed = 0,
    ) -> None:
        if not steps or steps != sorted(set(steps)):
            raise ConfigError("steps", f"must be increasing numbers, got {steps}")
        for name in solvers:
            if name not in SOLVERS:
                raise ConfigError("solvers", f"'{name}' is no solver. {suggest(name, SOLVERS)}")
        if not solvers or radius_iterations == 1:
            raise ConfigError("radius_iterations", "needs a solver and either 0 or at least 2 iterations")
        self.count, self.solvers, self.steps = count, solvers, steps
        self.radius_iterations, self.seed = radius_iterations, seed
        self._curves: dict[str, list[Curve]] = {}
        self._radii: list[float] = []
        self._names: list[str] = []

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin anew."""
        if not hasattr(getattr(pl_module, "network", None), "recurrence"):
            raise InputError(
                "flow_convergence needs a module with a flow network; use it with a model of flow"
            )
        self._curves, self._radii, self._names = {name: [] for name in self.solvers}, [], []

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: int
    ) -> None:
        """Look at the batch if it is among the first."""
        known = bool(batch["valid"].flatten(1).any(1).all())
        if trainer.is_global_zero and len(self._names) < self.count and known:
            self._names += batch["name"]
            with trainer.precision_plugin.test_step_context():
                self._follow(pl_module.network, batch)

    def _follow(self, network: Any, batch: dict[str, Any]) -> None:
        rule = batch["padding"][0]
        image1, added = pad(batch["image1"], network.stride, rule)
        image2, _ = pad(batch["image2"], network.stride, rule)
        f = network.recurrence(image1, image2)
        for place, name in enumerate(self.solvers):
            curve, state = converge(
                network, f, batch["flow"], batch["valid"], solver=name, steps=self.steps, added=added
            )
            self._curves[name].append(curve)
            if place == 0 and self.radius_iterations:
                start = torch_generator(self.seed, "spectral radius", device=image1.device)
                radius = radius_at(
                    network, image1, image2, state, seed=start, iterations=self.radius_iterations
                )
                self._radii += radius.tolist()

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the numbers and the figure."""
        if not self._names:
            return
        folder = Path(trainer.default_root_dir)
        (folder / "analysis").mkdir(exist_ok=True)
        (folder / "images").mkdir(exist_ok=True)
        content: dict[str, Any] = {"pairs": self._names, "steps": self.steps, "spectral_radius": self._radii}
        for name in self.solvers:
            content[name] = {part: _plain(self._joined(name, part)) for part in ("residual", "epe")}
        write_text(folder / "analysis/convergence.json", json.dumps(content) + "\n")
        self._draw(folder / "images/convergence.png")

    def results(self) -> dict[str, float]:
        """Return each solver's median residual and error at the last step, and the median spectral radius."""
        found = {}
        for name in self.solvers if self._names else []:
            found[f"convergence/{name}/residual"] = _median(self._joined(name, "residual")[-1])
            found[f"convergence/{name}/epe"] = _median(self._joined(name, "epe")[-1])
        if self._radii:
            found["convergence/spectral_radius"] = _median(torch.tensor(self._radii))
        return found

    def _joined(self, solver: str, part: str) -> Tensor:
        """Return all pairs of a solver side by side, (steps, pairs)."""
        parts = [getattr(curve, part) for curve in self._curves[solver]]
        longest = max(map(len, parts))
        padded = [torch.cat([p, p.new_full((longest - len(p), p.shape[1]), math.nan)]) for p in parts]
        return torch.cat(padded, dim=1).cpu()

    def _draw(self, path: Path) -> None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        for name in self.solvers:
            residual, epe = self._joined(name, "residual"), self._joined(name, "epe")
            for axes, xs, values in (
                (left, range(1, len(residual) + 1), residual),
                (right, self.steps, epe),
            ):
                low, middle, high = torch.nanquantile(values, torch.tensor([0.25, 0.5, 0.75]).double(), dim=1)
                axes.plot(xs, middle, label=name)
                axes.fill_between(xs, low, high, alpha=0.2)
        left.set(xlabel="evaluations of f", ylabel="relative residual", yscale="log")
        right.set(xlabel="evaluations of f", ylabel="end-point error, px")
        left.legend()
        figure.suptitle(f"{len(self._names)} pairs, median and quartiles")
        figure.savefig(path, dpi=110)


def _median(values: Tensor) -> float:
    return float(values.double().nanquantile(0.5))


def _plain(values: Tensor) -> list[list[float | None]]:
    """Return rows of numbers, None for NaN, which JSON has no word for."""
    return [[x if math.isfinite(x) else None for x in row] for row in values.tolist()]
