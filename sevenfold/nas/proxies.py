"""Zero-cost proxies: numbers of an untrained network, from one mini-batch, that foretell its accuracy.

As defined by Abdelfattah et al. 2021 and Mellor et al. 2021. Higher is better, for params and flops larger.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from sevenfold.errors import InputError, suggest

NORMS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
)
DROPOUT = nn.modules.dropout._DropoutNd
RIDGE = 1e-5  # added to eigenvalues, as in the published code of jacov

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Batch:
    """A network at initialization and the mini-batch that it is judged on."""

    network: nn.Module
    inputs: Tensor
    labels: Tensor
    loss: Loss

    def copy(self) -> nn.Module:
        """Return a copy in training mode, but without dropout, that may be changed."""
        network = copy.deepcopy(self.network).train()
        for module in network.modules():
            if isinstance(module, DROPOUT):
                module.eval()
        return network


@dataclass(frozen=True)
class Proxies:
    """Proxies by name; NaN where a network has none, with the reason."""

    values: dict[str, float]
    reasons: dict[str, str] = field(default_factory=dict)


def proxies(
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    names: Sequence[str] | None = None,
    loss: Loss = cross_entropy,
) -> Proxies:
    """Return the proxies of one network from one mini-batch; the network is left as it is.

    Args:
        network: at initialization; its output is (n, classes).
        inputs: (n, ...) float, on the network's device, two examples or more.
        labels: (n,) what the loss compares the output with.
        names: some of params, flops, synflow, snip, grad_norm, jacov, nwot; None: all.
        loss: mean loss of outputs and labels, by default the cross entropy.

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    >>> images, labels = torch.rand(8, 1, 8, 8), torch.arange(8)
    >>> result = proxies(network, images, labels, names=["params", "flops"])
    >>> result.values
    {'params': 1210.0, 'flops': 1184.0}
    """
    chosen = list(PROXIES) if names is None else list(names)
    for name in chosen:
        if name not in PROXIES:
            raise InputError(f"proxy '{name}': {suggest(name, PROXIES)}")
    if len(inputs) < 2 or len(inputs) != len(labels):
        raise InputError(f"{len(inputs)} inputs and {len(labels)} labels; expected as many, two or more")
    if not inputs.is_floating_point():
        raise InputError(f"inputs: expected floating-point numbers, got {inputs.dtype}")
    batch = Batch(network, inputs, labels, loss)
    values, reasons = {}, {}
    for name in chosen:
        try:
            values[name] = PROXIES[name](batch)
        except Undefined as reason:
            values[name], reasons[name] = float("nan"), str(reason)
    return Proxies(values, reasons)


class Undefined(Exception):
    """A network has no such proxy on this batch."""


def params(batch: Batch) -> float:
    """Return the number of parameters."""
    return float(sum(parameter.numel() for parameter in batch.network.parameters()))


def flops(batch: Batch) -> float:
    """Return the multiply-adds of one example."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        batch.copy().eval()(batch.inputs[:1])
    return counter.get_total_flops() / 2  # PyTorch counts a multiply-add as two


def synflow(batch: Batch) -> float:
    """Return ln sum |w| dR / d|w|, where R sums the outputs for ones, with weights |w| and no norms.

    Tanaka et al. 2020, eq. 8. In double precision: products over many layers overflow single precision.
    """
    network = batch.copy().double()
    _without_norms(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    weights = _weights(network)
    result = network(torch.ones_like(batch.inputs[:1], dtype=torch.float64)).sum()
    slopes = torch.autograd.grad(result, weights, allow_unused=True)
    total = sum((w.detach() * s).sum() for w, s in zip(weights, slopes, strict=True) if s is not None)
    return float(torch.as_tensor(total).log())


def snip(batch: Batch) -> float:
    """Return sum |w dL/dw| (Lee, Ajanthan and Torr 2019)."""
    return float(sum((weight * slope).abs().sum() for weight, slope in _slopes(batch)))


def grad_norm(batch: Batch) -> float:
    """Return the sum of the norms ||dL/dw||_2 of all weight tensors."""
    return float(sum(slope.norm() for _, slope in _slopes(batch)))


def jacov(batch: Batch) -> float:
    """Return -sum(ln(l + k) + 1 / (l + k)), l the eigenvalues of the correlation of the examples' gradients.

    A gradient is that of the summed outputs with respect to one example (Mellor et al. 2021, first version).
    """
    inputs = batch.inputs.detach().clone().requires_grad_()
    (slopes,) = torch.autograd.grad(batch.copy()(inputs).sum(), inputs)
    rows = slopes.flatten(1).double()
    rows = rows - rows.mean(1, keepdim=True)
    norms = rows.norm(dim=1, keepdim=True)
    if not bool((norms > 0).all()):
        raise Undefined("the output does not depend on an example, or equally on all of its numbers")
    eigenvalues = torch.linalg.eigvalsh(rows @ rows.T / (norms * norms.T)).clamp_min(0) + RIDGE
    return float(-(eigenvalues.log() + 1 / eigenvalues).sum())


def nwot(batch: Batch) -> float:
    """Return ln |det K|, K_ij the number of ReLU units whose signs agree on examples i and j.

    Mellor et al. 2021, section 3.
    """
    with torch.no_grad(), Activations() as active:
        batch.copy()(batch.inputs)
    if not active.codes:
        raise Undefined("the network calls no ReLU")
    codes = torch.cat([code.flatten(1) for code in active.codes], 1).double()
    agreeing = codes @ codes.T + (1 - codes) @ (1 - codes).T
    if torch.linalg.matrix_rank(agreeing) < len(agreeing):
        raise Undefined("examples have equal or dependent codes of ReLU units: the determinant is 0")
    return float(torch.linalg.slogdet(agreeing).logabsdet)


PROXIES: Mapping[str, Callable[[Batch], float]] = {
    "params": params,
    "flops": flops,
    "synflow": synflow,
    "snip": snip,
    "grad_norm": grad_norm,
    "jacov": jacov,
    "nwot": nwot,
}


class Activations(TorchDispatchMode):
    """Which units of every ReLU are positive, modules and functions alike; ``codes`` are bool tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: list[Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation; take note of the units of a ReLU."""
        result = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten.relu.default, torch.ops.aten.relu_.default):
            self.codes.append(result > 0)
        return result


def _slopes(batch: Batch) -> list[tuple[Tensor, Tensor]]:
    """Return weight tensors and the gradient of the mean loss; those without influence are left out."""
    network = batch.copy()
    weights = _weights(network)
    slopes = torch.autograd.grad(batch.loss(network(batch.inputs), batch.labels), weights, allow_unused=True)
    return [(w.detach(), slope) for w, slope in zip(weights, slopes, strict=True) if slope is not None]


def _weights(network: nn.Module) -> list[nn.Parameter]:
    """Return the weights of linear maps and convolutions, and of what else has two dimensions or more."""
    weights = [p for p in network.parameters() if p.dim() > 1 and p.requires_grad]
    if not weights:
        raise Undefined("the network has no trainable weight of two dimensions or more")
    return weights


def _without_norms(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, NORMS):
            setattr(module, name, nn.Identity())
        else:
            _without_norms(child)
