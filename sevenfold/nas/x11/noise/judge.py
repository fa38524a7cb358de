"""Noise models against trainings that they were not fitted to."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from sevenfold.errors import InputError
from sevenfold.nas.x11.base import Floats
from sevenfold.nas.x11.noise.spikes import paper_spike_share, spike_share, without_spikes
from sevenfold.nas.x11.surrogate import Surrogate
from sevenfold.nas.x11.svd import autocorrelation
from sevenfold.nas.x11.tensor import CurveTensor

FLOOR = 0.05


@dataclass(frozen=True)
class Trainings:
    """Curves (n, R, E) that were learned from and one more of each architecture (n, E)."""

    known: Floats
    new: Floats

    @property
    def noise(self) -> Floats:
        """Return the deviation of the new training from the mean of the others, scaled to noise of one."""
        count = self.known.shape[1]
        # Var(new - mean of R others) = sigma^2 (1 + 1 / R).
        return np.asarray((self.new - self.known.mean(axis=1)) / np.sqrt(1 + 1 / count))


@dataclass(frozen=True)
class NoiseJudgement:
    """Scores; and by epoch standard deviation and correlation with the epoch before, drawn and real, (E,)."""

    scores: dict[str, float]
    sigma: Floats
    real_sigma: Floats
    lags: Floats
    real_lags: Floats


def judge_noise(
    surrogate: Surrogate, known: CurveTensor, third: CurveTensor, *, draws: int, stream: Generator
) -> NoiseJudgement:
    """Compare draws of the first metric with a training that nothing was fitted to.

    ``known`` has the runs of test architectures that could have been learned from, ``third`` another run of
    the same. ``std_ratio``: drawn over real standard deviation around the mean curve, averaged over epochs;
    ``*autocorrelation``: lag 1, of deviations standardized by epoch, spikes removed; ``*spike_share``: curves
    with a spike; ``paper_spike_share``: the paper's statistic, ideally 0.05; ``avg_kl``, ``final_kl``:
    divergence of Gaussians fitted to all real runs of an architecture and to draws, mean over architectures,
    and ``paper_kl`` the first summed over epochs and divided by 2 E.
    """
    if known.values.shape[0] != third.values.shape[0] or np.isnan(known.values).any():
        raise InputError("noise is judged on architectures with all runs")
    given = Trainings(known.values[:, :, :, 0], third.values[:, 0, :, 0])
    mean = surrogate.curves(known.archs)
    drawn = surrogate.noise.sample(surrogate.ensemble.encode(known.archs), mean, draws, stream)[..., 0]
    deviation = drawn - mean[:, None, :, 0]
    smooth = Trainings(*(without_all(part) for part in (given.known, given.new)))
    flat = drawn.reshape(-1, drawn.shape[2])
    # Spikes are rare and large: with them a correlation would say little about ordinary noise.
    bare = without_spikes(flat) - np.repeat(mean[:, :, 0], draws, axis=0)
    sigma, real_sigma = (
        np.sqrt((part**2).reshape(-1, part.shape[-1]).mean(axis=0)) for part in (deviation, given.noise)
    )
    divergence = kl(np.concatenate([given.known, given.new[:, None]], axis=1), drawn)
    scores = {
        "std_ratio": float((sigma / real_sigma).mean()),
        "autocorrelation": autocorrelation(standard(bare)),
        "real_autocorrelation": autocorrelation(standard(smooth.noise)),
        "spike_share": spike_share(flat),
        "real_spike_share": spike_share(given.new),
        "paper_spike_share": paper_spike_share(given.new, drawn[:, 0]),
        "avg_kl": float(divergence.mean()),
        "final_kl": float(divergence[:, -1].mean()),
        "paper_kl": float((divergence.sum(axis=1) / (2 * divergence.shape[1])).mean()),
    }
    return NoiseJudgement(scores, sigma, real_sigma, lags(bare), lags(smooth.noise))


def lags(rows: Floats) -> Floats:
    """Return the correlation of each epoch with the one before, (E,); the first is NaN."""
    z = standard(rows - rows.mean(axis=0))
    return np.concatenate([[np.nan], (z[:, 1:] * z[:, :-1]).mean(axis=0)])


def kl(real: Floats, drawn: Floats) -> Floats:
    """Return KL(real || drawn) of Gaussians fitted to runs and draws (n, R, E) at each epoch, (n, E)."""
    m1, m2 = real.mean(axis=1), drawn.mean(axis=1)
    s1, s2 = (np.maximum(part.std(axis=1, ddof=1), FLOOR) for part in (real, drawn))
    # KL(N(m1, s1) || N(m2, s2)) = log(s2 / s1) + (s1^2 + (m1 - m2)^2) / (2 s2^2) - 1 / 2.
    return np.asarray(np.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5)


def standard(rows: Floats) -> Floats:
    """Return deviations in units of each epoch's standard deviation."""
    return rows / np.maximum(rows.std(axis=0), 1e-9)


def without_all(curves: Floats) -> Floats:
    """Remove spikes from curves with any leading axes."""
    return without_spikes(curves.reshape(-1, curves.shape[-1])).reshape(curves.shape)
