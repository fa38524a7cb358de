"""Layer-wise optimization (Savani et al. 2020): derivative-free search over one tensor at a time."""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sevenfold.config import build
from sevenfold.fairness.intra.base import (
    DebiasingResult,
    Incumbent,
    Method,
    Problem,
    State,
    layer_tensors,
    weighted_layers,
)
from sevenfold.fairness.nodes import OptimizerNode
from sevenfold.fairness.threshold import Best
from sevenfold.ranges import Count, Scale
from sevenfold.seeding import numpy_generator
from sevenfold.tables import ComponentTable

OPTIMIZERS = ComponentTable(
    {
        "cmaes": "sevenfold.fairness.intra.optimizers:CMAES",
        "gbrt": "sevenfold.fairness.intra.optimizers:BoostedTrees",
        "random": "sevenfold.fairness.intra.optimizers:Uniform",
    },
    holds="derivative-free optimizers",
    given=(
        "low",
        "high",
        "stream",
    ),
)
CMA = {"name": "cmaes"}


class LayerWise(Method):
    """Derivative-free search over tensors, one after another, within a box around their values.

    Args:
        scope: ``tensors``, the last ``tensors`` parameter tensors (the paper's choice); ``head``, weights and
            bias of the last layer together, on cached features; ``first``, those of the first layer.
        tensors: how many, last first.
        calls: evaluations per tensor.
        optimizer: a component of ``OPTIMIZERS`` with its options.
        box: half the width of the box in standard deviations of the tensor; see ``floor``.
        max_free: number of free entries, drawn at random.
        greedy: search the next tensor with the best values of the previous ones (the paper: false).
        floor: half the width of the box of a tensor whose entries are all equal.
    """

    def __init__(
        self,
        *,
        scope: Literal["tensors", "head", "first"] = "head",
        tensors: Count = 5,
        calls: Count = 300,
        optimizer: OptimizerNode = CMA,
        box: Scale = 2.2,
        floor: Scale = 0.1,
        max_free: Count = 100_000,
        greedy: bool = False,
    ) -> None:
        build(OPTIMIZERS, optimizer, "optimizer", low=np.zeros(1), high=np.ones(1), stream=numpy_generator(0))
        self.scope, self.tensors, self.calls, self.optimizer = scope, tensors, calls, optimizer
        self.box, self.floor, self.max_free, self.greedy = box, floor, max_free, greedy

    def groups(self, problem: Problem) -> list[list[str]]:
        """Return the groups of parameter names that are searched together, in their order."""
        names = [name for name, _ in problem.network.named_parameters()]
        if self.scope == "tensors":
            return [[name] for name in names[::-1][: self.tensors]]
        layer = weighted_layers(problem.network)[-1 if self.scope == "head" else 0][0]
        return [[name for name in names if name.startswith(f"{layer}.")]]

    def search(self, problem: Problem) -> DebiasingResult:
        """Search each group of tensors."""
        incumbent, base = Incumbent(problem), problem.state()
        for names in self.groups(problem):
            self._search(problem, incumbent, dict(incumbent.state) if self.greedy else base, names)
        return incumbent.result()

    def _search(self, problem: Problem, incumbent: Incumbent, start: State, names: list[str]) -> None:
        box = Box(start, names, self)
        stream = numpy_generator(problem.seed, "layer-wise", *names)
        free = stream.permutation(len(box.center))[: self.max_free]
        # minimize -phi over w in [w0 - 2.2 sd(w0), w0 + 2.2 sd(w0)], one tensor at a time
        # (Savani et al. 2020, layer-wise optimization)
        low, high = box.center - box.radius, box.center + box.radius
        optimizer = build(
            OPTIMIZERS, self.optimizer, "optimizer", low=low[free], high=high[free], stream=stream
        )
        score = Scorer(problem, start, names)
        budget = self.calls
        while budget > 0:
            candidates = optimizer.ask(budget)
            budget -= len(candidates)
            points = np.repeat(box.center[None], len(candidates), axis=0)
            points[:, free] = candidates
            stack = box.unflatten(points)
            best: Best = problem.best(score(stack))
            optimizer.tell(candidates, -best.phi.cpu().numpy())

            def changed(i: int, stack: State = stack) -> State:
                return {**start, **{name: value[i] for name, value in stack.items()}}

            incumbent.offer(best, changed, names[0])


class Box:
    """The entries of some tensors as one vector, its center and the box's half widths."""

    def __init__(self, start: State, names: list[str], how: LayerWise) -> None:
        self.start, self.names = start, names
        flat = [start[name].flatten().double().cpu().numpy() for name in names]
        widths = [how.box * v.std() if len(v) > 1 and v.std() > 1e-9 else how.floor for v in flat]
        self.center = np.concatenate(flat)
        self.radius = np.concatenate([np.full(len(v), w) for v, w in zip(flat, widths, strict=True)])

    def unflatten(self, points: Any) -> State:
        """Return tensors, (K, ...), of points (K, entries)."""
        sizes = [self.start[name].numel() for name in self.names]
        parts = torch.as_tensor(points).split(sizes, dim=1)
        return {
            name: part.to(self.start[name]).reshape(-1, *self.start[name].shape)
            for name, part in zip(self.names, parts, strict=True)
        }


class Scorer:
    """Scores of candidates, computed from the cached input of the last layer where only that one changes."""

    def __init__(self, problem: Problem, start: State, names: list[str]) -> None:
        self.problem, self.start = problem, start
        layer, module = weighted_layers(problem.network)[-1]
        self.weight, self.bias = f"{layer}.weight", f"{layer}.bias"
        only_head = set(names) <= {self.weight, self.bias} and isinstance(module, torch.nn.Linear)
        self.features: Tensor | None = None
        if only_head and self.weight in start and len(start[self.weight]) == 1:
            features, output, logits = layer_tensors(problem.network, module, problem.x)
            # With fixed features h a candidate of the head costs one product: s = W h + b.
            if torch.equal(output.detach().flatten(), logits.detach()):  # nothing follows the layer
                self.features = features

    def __call__(self, stack: State) -> Tensor:
        """Return logits, (K, n)."""
        count = len(next(iter(stack.values())))
        if self.features is None:
            unchanged = {n: v.expand(count, *v.shape) for n, v in self.start.items() if n not in stack}
            parts = range(0, count, self.problem.chunk)
            joint = {**unchanged, **stack}
            chunks = [{n: v[i : i + self.problem.chunk] for n, v in joint.items()} for i in parts]
            return torch.cat([self.problem.batched_scores(part) for part in chunks])
        weight = stack.get(self.weight, self.start[self.weight].expand(count, 1, -1))
        bias = stack.get(self.bias, self.start.get(self.bias, weight.new_zeros(1)).expand(count, 1))
        return weight[:, 0] @ self.features.T + bias
