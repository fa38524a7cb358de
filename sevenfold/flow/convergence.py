"""Residual and error of flow estimators against evaluations of f, pair by pair and solver by solver."""

import json
import math
from pathlib import Path

import torch
from torch import Tensor

from sevenfold.config import ConfigError, suggest
from sevenfold.deq import SOLVERS
from sevenfold.files import write_text
from sevenfold.flow.analysis import Curve, converge, radius_at
from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.network import FlowNetwork
from sevenfold.flow.padding import pad
from sevenfold.seeding import torch_generator


class Convergence:
    """Curves of ``names``, the pairs that were followed, for each of ``solvers``.

    Args:
        solvers: names of ``sevenfold.deq.SOLVERS``.
        steps: evaluations of f after which the error is taken, increasing; the last one ends the solve.
        radius_iterations: of the power method for the spectral radius of f's Jacobian at the end of the first
            solver's solve; 0 leaves it out.
        seed: of the power method's start.
    """

    def __init__(self, solvers: list[str], steps: list[int], radius_iterations: int, seed: int) -> None:
        if not steps or steps != sorted(set(steps)):
            raise ConfigError("steps", f"must be increasing numbers, got {steps}")
        for name in solvers:
            if name not in SOLVERS:
                raise ConfigError("solvers", f"'{name}' is no solver. {suggest(name, SOLVERS)}")
        if not solvers or radius_iterations == 1:
            raise ConfigError("radius_iterations", "needs a solver and either 0 or at least 2 iterations")
        self.solvers, self.steps = solvers, steps
        self.radius_iterations, self.seed = radius_iterations, seed
        self.names: list[str] = []
        self.radii: list[float] = []
        self.curves: dict[str, list[Curve]] = {name: [] for name in solvers}

    def follow(self, network: FlowNetwork, batch: FlowBatch) -> None:
        """Add the pairs of a batch."""
        self.names += batch["name"]
        rule = batch["padding"][0]
        image1, added = pad(batch["image1"], network.stride, rule)
        image2, _ = pad(batch["image2"], network.stride, rule)
        f = network.recurrence(image1, image2)
        for place, name in enumerate(self.solvers):
            curve, state = converge(
                network, f, batch["flow"], batch["valid"], solver=name, steps=self.steps, added=added
            )
            self.curves[name].append(curve)
            if place == 0 and self.radius_iterations:
                start = torch_generator(self.seed, "spectral radius", device=image1.device)
                radius = radius_at(
                    network, image1, image2, state, seed=start, iterations=self.radius_iterations
                )
                self.radii += radius.tolist()

    def joined(self, solver: str, part: str) -> Tensor:
        """Return the ``residual`` or ``epe`` of all pairs of a solver side by side, (steps, pairs)."""
        parts = [getattr(curve, part) for curve in self.curves[solver]]
        longest = max(map(len, parts))
        padded = [torch.cat([p, p.new_full((longest - len(p), p.shape[1]), math.nan)]) for p in parts]
        return torch.cat(padded, dim=1).cpu()

    def medians(self) -> dict[str, float]:
        """Return each solver's median residual and error at the last step, and the median spectral radius."""
        numbers = {}
        for name in self.solvers if self.names else []:
            numbers[f"convergence/{name}/residual"] = _median(self.joined(name, "residual")[-1])
            numbers[f"convergence/{name}/epe"] = _median(self.joined(name, "epe")[-1])
        if self.radii:
            numbers["convergence/spectral_radius"] = _median(torch.tensor(self.radii))
        return numbers

    def write(self, path: Path) -> None:
        """Write every pair's numbers as JSON."""
        content: dict[str, object] = {
            "pairs": self.names, "steps": self.steps, "spectral_radius": self.radii
        }  # fmt: skip
        for name in self.solvers:
            content[name] = {part: _plain(self.joined(name, part)) for part in ("residual", "epe")}
        write_text(path, json.dumps(content) + "\n")


def _median(values: Tensor) -> float:
    return float(values.double().nanquantile(0.5))


def _plain(values: Tensor) -> list[list[float | None]]:
    """Return rows of numbers, None for NaN, which JSON has no word for."""
    return [[x if math.isfinite(x) else None for x in row] for row in values.tolist()]
