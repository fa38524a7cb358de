"""The contracts of compressions and regressors, and the training of those with a network."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeGuard, TypeVar

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from sevenfold.ranges import Checked

Floats = NDArray[np.float64]
Item = TypeVar("Item")
Result = TypeVar("Result")
State = dict[str, Any]
"""Arrays and texts by name: all that a fitted part consists of, and what is exported."""


class Compression(Checked, ABC):
    """Curves (n, D) to k coefficients and back."""

    k: int

    @abstractmethod
    def fit(self, curves: Floats, stream: Generator) -> None:
        """Learn from whole curves."""

    @abstractmethod
    def encode(self, curves: Floats) -> Floats:
        """Return coefficients, (n, k)."""

    @abstractmethod
    def decode(self, coefficients: Floats) -> Floats:
        """Return curves, (n, D)."""

    @abstractmethod
    def state(self) -> State:
        """Return everything as arrays."""

    @abstractmethod
    def load(self, state: Mapping[str, Any]) -> None:
        """Restore ``state``."""


class Regressor(Checked, ABC):
    """Encodings (n, d) to standardized coefficients (n, k)."""

    @abstractmethod
    def fit(self, x: Floats, targets: Floats, stream: Generator) -> None:
        """Learn; coefficients have mean 0 and variance 1."""

    @abstractmethod
    def predict(self, x: Floats) -> Floats:
        """Return predictions, (n, k)."""

    @abstractmethod
    def state(self) -> State:
        """Return everything as arrays and texts."""

    @abstractmethod
    def load(self, state: Mapping[str, Any]) -> None:
        """Restore ``state``."""


class Neural(Protocol):
    """A part with a network that gradients train: by the plain loop here or by a Lightning module."""

    network: nn.Module | None
    epochs: int
    batch_size: int
    lr: float

    def begin(self, *data: Floats, stream: Generator) -> None:
        """Build the network for such data, or take its units from the data where it is built already."""

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the loss of some rows of the data."""


def neural(part: object) -> TypeGuard[Neural]:
    """Tell parts that gradients train."""
    return hasattr(part, "network")


def built(part: Neural) -> nn.Module:
    """Return the network of a part in training."""
    assert part.network is not None
    return part.network


def train(part: Neural, *data: Floats, stream: Generator) -> None:
    """Train a part from fresh weights with Adam, all of its ``epochs``; all draws come from ``stream``."""
    draws = int(stream.spawn(1)[0].integers(2**62))  # of a loss, apart from those of weights and order
    # A surrogate may be fitted inside Lightning's test loop, which switches gradients off.
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(draws)
        part.begin(*data, stream=stream)
        assert part.network is not None
        rows = [float_tensor(d) for d in data]
        optimizer = torch.optim.Adam(part.network.parameters(), lr=part.lr)
        part.network.train()
        for _ in range(part.epochs):
            for batch in torch.as_tensor(stream.permutation(len(data[0]))).split(part.batch_size):
                optimizer.zero_grad()
                part.loss(*(d[batch] for d in rows)).backward()
                optimizer.step()
        part.network.eval()


def float_tensor(values: Any) -> Tensor:
    """Return a float32 copy."""
    return torch.tensor(np.asarray(values), dtype=torch.float32)


def network_state(network: nn.Module | None) -> State:
    """Return a network's weights as arrays."""
    assert network is not None
    return {
        f"network/{name}": value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()
    }


def load_network(network: nn.Module, state: Mapping[str, Any]) -> None:
    """Restore ``network_state``."""
    prefix = "network/"
    weights = {
        k.removeprefix(prefix): torch.as_tensor(v.copy()) for k, v in state.items() if k.startswith(prefix)
    }
    network.load_state_dict(weights)
    network.eval()


def initialized(stream: Generator, make: Any) -> nn.Module:
    """Make a network whose weights come from ``stream`` without touching the global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(stream.integers(2**62)))
        network: nn.Module = make()
    return network


def side_by_side(call: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return ``call`` of every item, on as many threads as torch uses; boosters let each other run."""
    # Boosters leave Python's lock while they predict, so threads suffice.
    workers = min(torch.get_num_threads(), len(items))
    if workers < 2:
        return [call(item) for item in items]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(call, items))


REMEMBERED = 50_000


class Memo:
    """Answers by row of a question: searches ask for the same architectures again and again."""

    def __init__(self) -> None:
        self._known: dict[bytes, Floats] = {}

    def ask(self, rows: Floats, compute: Callable[[NDArray[np.intp]], Floats]) -> Floats:
        """Return one answer for each row; ``compute`` gives those of rows, by number, that are new."""
        keys = [row.tobytes() for row in np.ascontiguousarray(rows)]
        new = {key: place for place, key in enumerate(keys) if key not in self._known}
        # All are forgotten at once: keeping an order of use would cost more than computing again.
        if len(self._known) + len(new) > REMEMBERED:
            new = {key: place for place, key in enumerate(keys)}
            self._known = {}
        if new:
            self._known |= dict(zip(new, compute(np.array(list(new.values()), np.intp)), strict=True))
        if not keys:
            return compute(np.zeros(0, np.intp))
        return np.stack([self._known[key] for key in keys])


def below(state: Mapping[str, Any], prefix: str) -> State:
    """Return the entries whose name begins with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
