"""
Equilibria: a regularization weight, found by the Hessian of a solution
=======================================================================

A ridge regression is solved as an equilibrium of its weight. The solution is a function like any other, so
the error on other data can be minimized over the logarithm of that weight by Newton's method, with exact
first and second derivatives.
"""

import warnings

import matplotlib.pyplot as plt
import torch

from sevenfold.deq import Implicit, minimize

warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")  # torch's own, of its forward mode

generator = torch.Generator().manual_seed(0)
kind = torch.float64
truth = torch.randn(20, generator=generator, dtype=kind)
design = torch.randn(2, 40, 20, generator=generator, dtype=kind)  # training and validation
target = design @ truth + 4 * torch.randn(2, 40, generator=generator, dtype=kind)


def fit(log_ridge: torch.Tensor) -> torch.Tensor:
    """Return the weights (20,) that minimize the training error with this regularization."""

    def loss(w: torch.Tensor, log_ridge: torch.Tensor) -> torch.Tensor:
        return (design[0] @ w - target[0]).square().mean() + log_ridge.exp() * w.square().sum()

    rule = Implicit(adjoint={"name": "cg"}, tol=1e-12)
    start = torch.zeros(20, dtype=kind)
    options = {"step": 0.1, "batched": False, "max_iter": 2000, "stop": {"tol": 1e-9}}
    return minimize(loss, start, (log_ridge,), adjoint=rule, **options)[0]


def validation(log_ridge: torch.Tensor) -> torch.Tensor:
    """Return the error of that fit on the other data."""
    return (design[1] @ fit(log_ridge) - target[1]).square().mean()


# %%
# Five steps of Newton's method from a weight that is much too small.

place = torch.tensor(-3.0, dtype=kind)
path = [place]
for _ in range(5):
    slope, curvature = torch.func.grad(validation)(place), torch.func.hessian(validation)(place)
    place = place - (slope / curvature.abs()).clamp(-1.5, 1.5)
    path.append(place)
print(f"ridge {place.exp():.3f}, validation error {validation(place):.3f}, slope left {slope.abs():.1e}")

# %%
# The same curve by trying 40 weights, and where the steps went.

grid = torch.linspace(-4, 2, 40, dtype=kind)
curve = torch.stack([validation(point) for point in grid])
figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
axes.plot(grid.exp(), curve, label="validation error")
axes.plot(
    [point.exp() for point in path], [validation(point) for point in path], "o-", label="Newton's steps"
)
axes.set(xscale="log", xlabel="regularization weight", ylabel="mean squared error")
axes.legend()
