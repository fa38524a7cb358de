"""The last good state of a training, and the way back to it at half the learning rate."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Protocol

from torch import nn
from torch.optim import Optimizer

RATES = ("lr", "initial_lr", "max_lr", "min_lr")
"""What a parameter group holds of its learning rate, the schedule's own values among them."""


class Stateful(Protocol):
    """A module, an average of one, or an optimizer."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Take a state over."""


def infinite(module: nn.Module) -> str | None:
    """Return the name of a parameter that is not finite; None where all are.

    >>> infinite(nn.Linear(2, 1))
    """
    names = (name for name, part in module.named_parameters() if not bool(part.detach().isfinite().all()))
    return next(names, None)


class GoodState:
    """A copy of weights and optimizers, to which a training returns when it has diverged.

    The learning rate is halved with every return, from the present one, whatever that of the copy was.

    Example:
        >>> import torch
        >>> module, good = nn.Linear(1, 1), GoodState()
        >>> optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
        >>> good.keep([module, optimizer])
        >>> _ = module.weight.data.fill_(torch.nan)
        >>> good.restore([module, optimizer], [])
        >>> infinite(module) is None, optimizer.param_groups[0]["lr"]
        (True, 0.5)
    """

    def __init__(self) -> None:
        self._states: list[dict[str, Any]] = []

    def __bool__(self) -> bool:
        return bool(self._states)

    def keep(self, parts: Sequence[Stateful]) -> None:
        """Copy the states of modules and optimizers."""
        self._states = [deepcopy(part.state_dict()) for part in parts]

    def restore(self, parts: Sequence[Stateful], schedulers: Sequence[Any]) -> None:
        """Bring the states back and halve the rates.

        Args:
            parts: those of :meth:`keep`, in the same order.
            schedulers: of the rates; where they have reached in their schedules stays.
        """
        for part, state in zip(parts, self._states, strict=True):
            groups = part.param_groups if isinstance(part, Optimizer) else []
            halves = [{name: group[name] / 2 for name in RATES if name in group} for group in groups]
            part.load_state_dict(deepcopy(state))
            groups = part.param_groups if isinstance(part, Optimizer) else []
            for group, half in zip(groups, halves, strict=True):
                group.update(half)
        for scheduler in schedulers:
            # Schedules that are factors of a base rate would set the old one again.
            if hasattr(scheduler, "base_lrs"):
                scheduler.base_lrs = [rate / 2 for rate in scheduler.base_lrs]
