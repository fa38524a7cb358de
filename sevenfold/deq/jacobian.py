"""What the Jacobian of f says about a fixed point: a penalty to keep it small and its spectral radius."""

import torch
from torch import Generator, Tensor

from sevenfold.deq.base import Function, State
from sevenfold.deq.pull_back import pull_back


def jacobian_penalty(f: Function, z: State, generator: Generator, *, probes: int = 1) -> Tensor:
    """Estimate |J|_F^2 / dim(z), J = df/dz at z, as a scalar to be minimized (Bai et al. 2021, equation 4).

    Hutchinson's estimator: the mean over ``probes`` standard normal v, and over the batch, of |v^T J|^2 /
    dim(z). z is taken as a constant; the gradient goes to what f depends on. ``generator`` must live on z's
    device.

    Example:
        >>> scale = torch.tensor(0.5, requires_grad=True)
        >>> z, generator = (torch.zeros(64, 8),), torch.Generator().manual_seed(0)
        >>> penalty = jacobian_penalty(lambda z: (scale * z[0],), z, generator)
        >>> 0.2 < penalty.item() < 0.3  # J = I / 2, so the exact value is 1/4
        True
    """
    if probes < 1:
        raise ValueError(f"probes is {probes}; expected at least 1")
    with torch.enable_grad():
        leaf = tuple(part.detach().requires_grad_() for part in z)
        fz = f(leaf)
        total = sum(
            (
                back.square().sum()
                for _ in range(probes)
                for back in pull_back(fz, leaf, _normal(fz, generator), create_graph=True)
            ),
            start=fz[0].new_zeros(()),
        )
    return total / (probes * sum(part.numel() for part in z))


def spectral_radius(f: Function, z: State, generator: Generator, *, iterations: int = 75) -> Tensor:
    """Estimate the largest |eigenvalue| of J = df/dz at z by the power method on J^T; (B,), float64.

    The estimate is the geometric mean growth over the last half of the iterations, which converges for
    complex pairs too, where a Rayleigh quotient turns for ever. f contracts near z if the result is below 1.

    Example:
        >>> z, generator = (torch.zeros(2, 8),), torch.Generator().manual_seed(0)
        >>> [round(radius, 3) for radius in spectral_radius(lambda z: (0.5 * z[0],), z, generator).tolist()]
        [0.5, 0.5]
    """
    if iterations < 2:
        raise ValueError(f"iterations is {iterations}; expected at least 2")
    with torch.enable_grad():
        leaf = tuple(part.detach().requires_grad_() for part in z)
        fz = f(leaf)
    vector, logs = _normal(fz, generator), []
    for _ in range(iterations):
        squares = torch.stack([part.double().reshape(len(part), -1).square().sum(1) for part in vector])
        norm = squares.sum(0).sqrt().clamp(min=1e-300)
        logs.append(norm.log())
        unit = tuple((part / norm.view(-1, *[1] * (part.dim() - 1))).to(part.dtype) for part in vector)
        vector = pull_back(fz, leaf, unit)
    return torch.stack(logs[-(iterations // 2) :]).mean(0).exp()


def _normal(like: State, generator: Generator) -> State:
    return tuple(
        torch.randn(part.shape, generator=generator, device=part.device, dtype=part.dtype) for part in like
    )
