"""Small coordinate networks, as functions of named weights."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sevenfold.diffreps.representations.base import Weights


def shapes(inputs: int, width: int, hidden: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """Return the weights of a network with ``hidden`` layers of ``width`` units and a linear head."""
    sizes = [inputs, *[width] * hidden, outputs]
    layers: dict[str, tuple[int, ...]] = {}
    for i, (before, after) in enumerate(zip(sizes, sizes[1:], strict=False)):
        layers |= {f"weight{i}": (after, before), f"bias{i}": (after,)}
    return layers


def network(weights: Weights, x: Tensor, activation: Callable[[Tensor], Tensor], hidden: int) -> Tensor:
    """Return the head's output (N, outputs) for inputs (N, inputs)."""
    for i in range(hidden):
        x = activation(x @ weights[f"weight{i}"].T + weights[f"bias{i}"])
    return x @ weights[f"weight{hidden}"].T + weights[f"bias{hidden}"]


def tangent_kernel(
    weights: Weights, x: Tensor, activation: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor],
    hidden: int,
) -> Tensor:  # fmt: skip
    """Return J J^T (outputs, N, outputs, N) of a network's outputs, without J.

    A layer's part is (a a^T + 1) times delta delta^T, with its inputs a and the derivatives delta of the
    network's outputs by the layer's values before the activation, whose derivative is ``slope``.
    """
    # K(x, x') = sum_l (a_l(x)^T a_l(x') + 1) delta_l(x)^T delta_l(x')   (tangent kernel, Jacot et al. 2018)
    inputs, slopes = [x], []
    for i in range(hidden):
        before = inputs[-1] @ weights[f"weight{i}"].T + weights[f"bias{i}"]
        inputs.append(activation(before))
        slopes.append(slope(before))
    head = weights[f"weight{hidden}"]
    outputs = torch.eye(len(head), dtype=x.dtype, device=x.device)
    total = torch.einsum("cd,nm->cndm", outputs, inputs[hidden] @ inputs[hidden].T + 1)
    delta = head[:, None] * slopes[-1]  # (outputs, N, width)
    for i in range(hidden - 1, -1, -1):
        total = total + (inputs[i] @ inputs[i].T + 1)[:, None] * torch.einsum("cnk,dmk->cndm", delta, delta)
        if i:
            delta = delta @ weights[f"weight{i}"] * slopes[i - 1]
    return total


def uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    """Draw uniformly from [-bound, bound]."""
    return (2 * torch.rand(shape, generator=generator) - 1) * bound


def he_start(shapes: dict[str, tuple[int, ...]], generator: torch.Generator) -> Weights:
    """Draw weights for rectified units: deviation sqrt(2 / inputs), a tenth of it in the head; biases 0."""
    # He et al. 2015; the small head makes the first image nearly constant
    head = f"weight{len(shapes) // 2 - 1}"
    weights = {}
    for name, shape in shapes.items():
        scale = math.sqrt(2 / shape[-1]) * (0.1 if name == head else 1)
        weights[name] = (
            torch.randn(shape, generator=generator) * scale if name[0] == "w" else torch.zeros(shape)
        )
    return weights
