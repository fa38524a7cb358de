"""Networks whose pickle is their options and their state."""

import copy
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from sevenfold.recorded import Recorded, checked


class Rebuilt(Recorded, nn.Module):
    """Base of networks with parametrized weights (:mod:`sevenfold.deq.norm`), which have no other pickle.

    A copy in memory is an ordinary one.
    """

    def __reduce__(self) -> tuple[Callable[..., "Rebuilt"], tuple[Any, ...]]:
        fixed = [name for name, weight in self.named_parameters() if not weight.requires_grad]
        return rebuild, (type(self), self.made_with, self.state_dict(), self.training, fixed)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = memo[id(self)] = type(self).__new__(type(self))
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return made


def rebuild(
    kind: type[Rebuilt], options: dict[str, Any], state: dict[str, Tensor], training: bool, fixed: list[str]
) -> Rebuilt:
    """Return a network with these options, this state, in this mode; parameters named in ``fixed`` stay."""
    with torch.random.fork_rng(devices=[]):
        made = kind(**checked(kind, options))
    made.load_state_dict(state)
    for name in fixed:
        made.get_parameter(name).requires_grad_(False)
    places = {value.device for value in state.values()} or {torch.device("cpu")}
    return made.to(next(iter(places))).train(training)
