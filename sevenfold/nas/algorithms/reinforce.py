"""Policy gradient (REINFORCE, Williams 1992), the reinforcement learning of the papers' comparisons."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.nas.algorithms.base import Algorithm
from sevenfold.nas.spaces.base import Ints, Space
from sevenfold.ranges import Count, LearningRate, ShareBelowOne

ALPHABET_DRAWS = 4096
"""Architectures from which the codes that a coordinate can take are read."""


class Reinforce(Algorithm):
    """Draw every coordinate of an architecture from a softmax whose logits follow the policy gradient.

    With reward -loss, baseline b (the moving average of rewards) and policy p,

        logits <- logits + Adam_lr((reward - b) (onehot - p)),    b <- decay b + (1 - decay) reward.

    Adam (0.9, 0.999) makes the unit of losses irrelevant. Invalid and known architectures are drawn again;
    where a settled policy brings nothing new, neighbors of the best follow.

    Args:
        lr: learning rate of Adam.
        decay: share of the old baseline in the new one after every evaluation.
    """

    several_losses = False

    def __init__(
        self,
        space: Space,
        rng: Generator,
        *,
        lr: LearningRate = 0.1,
        decay: ShareBelowOne = 0.9,
        num_init: Count = 10,
        sampling: str | None = None,
    ) -> None:
        super().__init__(space, rng, num_init=num_init, sampling=sampling)
        self.lr, self.decay = lr, decay
        levels = space.sample(np.random.default_rng(0), ALPHABET_DRAWS).max(axis=0).astype(int) + 1
        codes = np.arange(levels.max())
        self.logits = np.where(codes < levels[:, None], 0.0, -np.inf)  # (width, codes)
        self.moments = np.zeros((2, *self.logits.shape))
        self.baseline: float | None = None
        self.learned, self.steps = 0, 0  # evaluations looked at, and those among them that moved the policy

    def propose(self, k: int) -> Ints:
        """Return draws of the policy."""
        if (design := self.design(k)) is not None:
            return design
        for row, loss in zip(self.archs[self.learned :], self.losses[self.learned :], strict=True):
            self._learn(row, -loss)
        self.learned = len(self.archs)
        drawn = self.collect(k, self._draw)
        return drawn if len(drawn) == k else self.around(self.archs[self.best(1)[0]][None], k, drawn)

    def _draw(self, n: int) -> Ints:
        scores = self.logits + self.rng.gumbel(size=(n, *self.logits.shape))
        archs = scores.argmax(axis=2).astype(np.int8)
        return archs[self.space.is_valid(archs)]

    def _learn(self, row: NDArray[np.integer], reward: float) -> None:
        """Take one step for one evaluation; a failed one (infinite loss) teaches nothing."""
        if not np.isfinite(reward):
            return
        self.steps += 1
        self.baseline = reward if self.baseline is None else self.baseline
        policy = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        policy /= policy.sum(axis=1, keepdims=True)
        chosen = row[:, None] == np.arange(self.logits.shape[1])
        gradient = (reward - self.baseline) * (chosen - policy)
        decays = np.array([0.9, 0.999])[:, None, None]
        self.moments = decays * self.moments + (1 - decays) * np.stack([gradient, gradient**2])
        first, second = self.moments / (1 - decays**self.steps)
        self.logits = self.logits + self.lr * first / (np.sqrt(second) + 1e-8)
        self.baseline = self.decay * self.baseline + (1 - self.decay) * reward

    def own_state(self) -> dict[str, Any]:
        """Return the policy; codes that a coordinate does not have are left out by their number."""
        return {
            "logits": np.nan_to_num(self.logits, neginf=-1e300).tolist(),
            "moments": self.moments.tolist(),
            "baseline": self.baseline,
            "counts": [self.learned, self.steps],
        }

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        """Take the policy back."""
        logits = np.array(state["logits"])
        self.logits, self.moments = np.where(logits < -1e299, -np.inf, logits), np.array(state["moments"])
        self.baseline = state["baseline"]
        self.learned, self.steps = state["counts"]
