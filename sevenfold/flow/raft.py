"""RAFT (Teed and Deng, ECCV 2020): the update is unrolled and every step is supervised."""

from collections.abc import Sequence
from typing import Literal

from sevenfold.flow.network import Design, FlowNetwork, Recurrence, State
from sevenfold.flow.variants import RAFT_VARIANTS
from sevenfold.ranges import PositiveShare

PUBLISHED = Design(h_init="context", norm="none")


class RAFT(FlowNetwork):
    """Estimate flow by a fixed number of tracked steps.

    Args:
        variant: widths; ``small`` and ``large`` with the default design are the published models.
        design: what the network is made of, beside its widths.
        gamma: factor between the weights of one step's loss and the next one's; null: the variant's own.

    Example:
        >>> import torch
        >>> network = RAFT(variant="demo").eval()
        >>> estimate = network(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64), iterations=2)
        >>> estimate.flows[-1].shape
        torch.Size([1, 2, 64, 64])
    """

    def __init__(
        self,
        *,
        variant: Literal["small", "large", "H", "demo"] = "large",
        design: Design = PUBLISHED,
        gamma: PositiveShare = 0.8,
    ):
        super().__init__(RAFT_VARIANTS[variant], design)
        self.gamma = gamma

    def states_at(self, f: Recurrence, steps: Sequence[int]) -> list[State]:
        """Return the states after the given numbers of steps of ``f``."""
        state, states = f.start, []
        for step in range(1, steps[-1] + 1):
            state = f(state)
            states += [state] if step in steps else []
        return states

    def run(self, f: Recurrence, start: State, iterations: int) -> tuple[list[State], None]:
        """Apply ``f`` repeatedly; in training return the state after every step."""
        # z_{k+1} = f(z_k): the unrolled recurrence of RAFT (Teed and Deng 2020, section 3.3).
        states = [start]
        for _ in range(iterations):
            states.append(f(states[-1]))
            if not self.training:
                del states[0]
        return states[1:] if self.training else states, None
