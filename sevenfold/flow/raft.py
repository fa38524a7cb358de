"""RAFT (Teed and Deng, ECCV 2020): the update is unrolled and every step is supervised."""

from typing import Literal

from sevenfold.flow.correlation import Kind
from sevenfold.flow.network import FlowNetwork, Recurrence, State
from sevenfold.flow.variants import RAFT_VARIANTS


class RAFT(FlowNetwork):
    """Estimate flow by a fixed number of tracked steps.

    Args:
        variant: widths; ``small`` and ``large`` are the published models.
        h_init: start of the hidden state; the published models use ``context``.
        weight_norm: normalize the update's weights, as equilibrium models do.
        gma: aggregate motion over the whole picture (Jiang et al., ICCV 2021).
        correlation: how lookups are computed; the numbers are the same.
        freeze_batch_norm: keep the context encoder's statistics, as all stages after the first do.
    """

    def __init__(
        self,
        *,
        variant: Literal["small", "large", "H", "demo"] = "large",
        h_init: Literal["zeros", "context"] = "context",
        weight_norm: bool = False,
        gma: bool = False,
        correlation: Kind = "auto",
        freeze_batch_norm: bool = False,
    ):
        super().__init__(
            RAFT_VARIANTS[variant],
            h_init=h_init,
            normalized=weight_norm,
            gma=gma,
            correlation=correlation,
            freeze_batch_norm=freeze_batch_norm,
        )

    def run(self, f: Recurrence, start: State, iterations: int) -> tuple[list[State], None]:
        """Apply ``f`` repeatedly; in training return the state after every step."""
        states = [start]
        for _ in range(iterations):
            states.append(f(states[-1]))
            if not self.training:
                del states[0]
        return states[1:] if self.training else states, None
