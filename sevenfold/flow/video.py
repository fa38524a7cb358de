"""Flow of a video, pair by pair: what one frame gives to the next."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sevenfold.deq.reuse import Reuse
from sevenfold.flow.network import Estimate, FlowNetwork
from sevenfold.flow.projection import forward_project
from sevenfold.ranges import Count


@dataclass(frozen=True)
class Carry:
    """What a pair of a video takes over from the one before.

    Args:
        what: nothing; the "flow" (warm start); or the whole "state", flow and hidden map (fixed-point reuse).
        project: whether the flow is moved along itself first.
        iterations: steps of pairs that start from another's result; null: as many as the others.
    """

    what: Literal["nothing", "flow", "state"] = "nothing"
    project: bool = True
    iterations: Count | None = None


class Video:
    """Estimate the flow of successive pairs; the second frame's features serve the next pair too."""

    def __init__(self, network: FlowNetwork, carry: Carry):
        self.network, self.carry = network, carry
        self.reuse = Reuse(
            parts=[1] if carry.what == "flow" else None, project=_projected if carry.project else None
        )
        self.previous: tuple[str, int] | None = None
        self.features: Tensor | None = None

    def estimate(
        self, image1: Tensor, image2: Tensor, *, sequence: str, index: int, iterations: int
    ) -> Estimate:
        """Estimate the flow of pair ``index`` of a sequence, frames (1, 3, H, W) in [0, 1].

        It takes over what ``carry`` says if the pair before in the same sequence was the last one estimated,
        at the same size; else it starts afresh.
        """
        # A cut or a skipped pair: the last state belongs to other pictures.
        if self.previous != (sequence, index - 1) or self.features is None:
            self.reset()
        second = self.network.encode(image2)
        first = self.features
        if first is None or first.shape != second.shape:
            self.reset()
            first = self.network.encode(image1)
        f = self.network.recurrence(image1, image2, features=(first, second))
        start = f.start
        if self.carry.what != "nothing" and self.previous is not None:
            hidden, flow = self.reuse.start(f.start, [sequence])
            start, iterations = (hidden, flow), self.carry.iterations or iterations
        estimate = self.network.estimate(f, iterations=iterations, start=start)
        self.reuse.store(estimate.state, [sequence])
        self.previous, self.features = (sequence, index), second
        return estimate

    def reset(self) -> None:
        """Forget the last pair."""
        self.reuse.reset()
        self.previous = self.features = None


def _projected(state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    hidden, flow = state
    return hidden, forward_project(flow)
