"""How a model answers outside of a training: in evaluation mode, without gradient, and undisturbed after."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def predicting(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode without gradient for a block; every part's mode is restored.

    >>> layer = nn.Dropout(0.5)
    >>> with predicting(layer):
    ...     layer.training
    False
    >>> layer.training
    True
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode
