"""Weight norm or spectral norm on the layers of f, evaluated once per solve."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def normalize(module: nn.Module, kind: Literal["weight", "spectral", "none"]) -> nn.Module:
    """Put the norm on the weight of every convolution and linear layer, in place, and return the module.

    ``weight``: w = g v / |v|, the norm over all dimensions but the first (Salimans and Kingma 2016).
    ``spectral``: w / sigma(w), by one power step per evaluation in training mode (Miyato et al. 2018).
    Parametrizations are ordinary submodules: they survive deepcopy, averaging, DDP and the state dict (names
    ``*.parametrizations.weight.original*``).
    """
    if kind not in ("weight", "spectral", "none"):
        raise ValueError(f"norm is {kind!r}; expected 'weight', 'spectral' or 'none'")
    for layer in module.modules():
        if not isinstance(layer, LAYERS) or kind == "none":
            continue
        if parametrize.is_parametrized(layer, "weight"):
            raise ValueError(f"{type(layer).__name__} already has a parametrized weight; apply a norm once")
        weight_norm(layer, dim=0) if kind == "weight" else spectral_norm(layer)
    return module


@contextmanager
def frozen_weights(module: nn.Module) -> Iterator[None]:
    """Compute the parametrized weights of a module once, with gradients if enabled, for the whole block.

    Put the solve and its tracked steps inside. The weights are computed on entry, because what a solver
    caches under ``no_grad`` would later have no gradient.
    """
    with parametrize.cached():
        for layer in module.modules():
            if parametrize.is_parametrized(layer):
                for name in layer.parametrizations:  # type: ignore[union-attr]
                    getattr(layer, name)
        yield
