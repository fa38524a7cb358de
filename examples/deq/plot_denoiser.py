"""
A minimum as a layer: a denoiser whose strength is found by its Hessian
=======================================================================

A noisy signal is smoothed by minimizing a loss with a weight on its jumps. The minimum is a function of that
weight like any other, so the error on known signals is minimized over it by Newton's method, with exact first
and second derivatives.
"""

import warnings

import matplotlib.pyplot as plt
import torch

from sevenfold.deq import Implicit, minimize

warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")  # torch's own, of its forward mode

generator = torch.Generator().manual_seed(0)
kind = torch.float64
clean = torch.randn(6, 8, generator=generator, dtype=kind).repeat_interleave(10, 1)
noisy = clean + 0.5 * torch.randn(clean.shape, generator=generator, dtype=kind)


def denoised(log_weight: torch.Tensor) -> torch.Tensor:
    """Return the signals (6, 80) that minimize distance to the noisy ones and weighted jumps."""

    def loss(z: torch.Tensor, noisy: torch.Tensor, log_weight: torch.Tensor) -> torch.Tensor:
        jumps = ((z.diff(dim=1) / 0.3).square() + 1).sqrt() - 1  # quadratic when small, linear when large
        return (0.5 * (z - noisy).square()).sum(1) + log_weight.exp() * jumps.sum(1)

    rule = Implicit(adjoint={"name": "cg"}, tol=1e-12, max_products=200)
    options = {"step": 0.1, "max_iter": 500, "stop": {"tol": 1e-10}}
    return minimize(loss, torch.zeros_like(noisy), (noisy, log_weight), adjoint=rule, **options)[0]


def error(log_weight: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error of the denoised signals."""
    return (denoised(log_weight) - clean).square().mean()


place = torch.tensor(-4.0, dtype=kind)
for _ in range(6):
    slope, curvature = torch.func.grad(error)(place), torch.func.hessian(error)(place)
    place = place - (slope / curvature.abs()).clamp(-1, 1)
before = (noisy - clean).square().mean()
print(
    f"weight {place.exp():.3f}: error {error(place):.4f}, {before:.4f} without; slope left {slope.abs():.0e}"
)

figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
axes.plot(noisy[0], ".", color="0.6", label="noisy")
axes.plot(clean[0], color="black", lw=1, label="clean")
axes.plot(denoised(place)[0], label="denoised")
axes.set(xlabel="sample", ylabel="signal")
axes.legend()
