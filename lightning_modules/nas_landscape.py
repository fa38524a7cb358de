"""Describe the landscape of whole tables."""

from typing import Any

import numpy as np
import pytorch_lightning as pl

from sevenfold.config import ConfigError
from sevenfold.nas.landscape.climb import climb, neighbors, strict_minima
from sevenfold.nas.landscape.noise import noisy_minima, retraining_noise
from sevenfold.nas.landscape.walk import autocorrelation


class NASLandscape(pl.LightningModule):
    """Climb from every architecture of a table, correlate random walks, and add noise.

    Args:
        lags: steps up to which the autocorrelation goes.
        percentiles: between which losses random walks stay; the papers' stay within the 10th and the 90th.
        noise: multiples of the retraining noise that are added before minima are counted.
        noise_sigma: the retraining noise in units of the loss, where the table has one training only and
            cannot tell; by default no noise is added then.
        noise_draws: how often.
    """

    def __init__(
        self,
        *,
        lags: int = 36,
        percentiles: tuple[float, float] = (0.0, 100.0),
        noise: list[float] = [0.0, 0.5, 1.0, 2.0, 4.0],  # noqa: B006
        noise_sigma: float | None = None,
        noise_draws: int = 5,
    ) -> None:
        super().__init__()
        if min(lags, noise_draws) < 1:
            raise ConfigError("lags", "lags and noise_draws must be at least 1")
        if not 0 <= percentiles[0] < percentiles[1] <= 100:
            raise ConfigError("percentiles", f"must ascend within 0..100, got {percentiles}")
        self.lags, self.percentiles = lags, percentiles
        self.noise, self.noise_sigma, self.noise_draws = noise, noise_sigma, noise_draws

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Describe one table of ``datamodules.trials``; numbers for the report, arrays for its figure."""
        space = batch.objective.benchmark.space
        archs = space.archs(np.arange(space.size))
        losses, near = batch.objective.losses(archs), neighbors(space)
        found = climb(losses, near)
        walk = autocorrelation(losses, near, self.lags, percentiles=self.percentiles)
        record = {
            "key": batch.name,
            "group": batch.name,
            **found.measures(),
            "strict_minima": len(strict_minima(losses, near)),
            "optimum": space.to_strings(archs[[losses.argmin()]])[0],
            "optimum_loss": float(losses.min()),
            "autocorrelation_lag_1": float(walk[1]),
            "autocorrelation": walk.tolist(),
            "losses": losses.tolist(),
            "gaps": np.sort(found.gaps()).tolist(),
            "preimages": found.preimages().tolist(),
            "degree": int((near < len(near)).sum(axis=1).max()),
        }
        return {**record, **self._noisy(batch, losses, near, archs)}

    def _noisy(self, batch: Any, losses: Any, near: Any, archs: Any) -> dict[str, Any]:
        sigma = self.noise_sigma
        if sigma is None:
            sigma = retraining_noise(batch.objective.runs(archs))
        if not np.isfinite(sigma):
            return {}
        options = {"sigma": sigma, "factors": tuple(self.noise), "draws": self.noise_draws}
        counts = noisy_minima(losses, near, **options, rng=batch.stream)
        return {"noise_sigma": sigma, "noise": self.noise, "noisy_minima": counts.tolist()}
