"""The study of initial conditions: how base networks' bias depends on each of their weights."""

from pathlib import Path
from typing import Any

import torch

from lightning_modules.debias import BaseNetwork, DebiasTrials
from sevenfold.config import ConfigError
from sevenfold.fairness.initial import sensitivity
from sevenfold.fairness.intra.base import Problem
from sevenfold.fairness.network import Logits


class InitialConditions(DebiasTrials):
    """Perturb every base network many times and regress its soft bias on the test rows on the noise.

    Args:
        base: the networks, one for each seed.
        draws, sigma: of the perturbations.

    Coefficients are left in ``coefficients/`` of the run's folder.
    """

    def __init__(self, *, base: BaseNetwork = BaseNetwork(), draws: int = 1000, sigma: float = 0.1) -> None:
        super().__init__(base=base)
        if draws < 20 or sigma <= 0:
            raise ConfigError("draws", f"needs at least 20 draws and sigma above 0, got {draws} and {sigma}")
        self.draws, self.sigma = draws, sigma

    def predict_step(self, item: Any, batch_idx: int) -> list[dict[str, Any]]:
        """Return one record for the base network of an item."""
        if not item.methods:
            return []
        label = next(iter(item.methods))
        with torch.inference_mode(False):
            split, network = item.setting.split(item.seed), self.bases(item.setting)[item.seed]
            test = split.test
            problem = Problem(
                Logits(network, "logit"), test.x, test.y, test.a, item.objective, seed=item.seed
            )
            found = sensitivity(problem, draws=self.draws, sigma=self.sigma)
        key = f"{item.group(label)}/{item.seed:05d}"
        folder = Path(self.trainer.default_root_dir) / "coefficients"
        folder.mkdir(exist_ok=True)
        torch.save(torch.as_tensor(found.coefficients), folder / f"{key.replace('/', '_')}.pt")
        record = {"key": key, "group": item.group(label), "seed": item.seed, "r2": found.r2}
        record |= {"soft_bias": float(found.biases.mean()), "spread": float(found.biases.std())}
        return [{**record, "concentration": found.concentration}]
