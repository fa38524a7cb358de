"""Random perturbation (Savani et al. 2020): the best of many networks drawn around the trained one."""

import re
from typing import Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.fairness.intra.base import DebiasingResult, Incumbent, Method, Problem, State, weighted_layers
from sevenfold.ranges import Count, Scale
from sevenfold.seeding import torch_generator


class RandomPerturbation(Method):
    """The best of ``trials`` networks drawn around the trained one.

    Args:
        trials: number of draws.
        sigmas: standard deviations of the noise; draws use them in turn.
        noise: ``multiplicative``, w (1 + sigma z), or ``additive``, w + sigma sd(w) z.
        scope: ``all`` parameters (the paper's choice), the ``first`` weighted layer, or the ``head``.
        parameters: regular expression of the names to perturb instead.

    A draw depends on (seed, its number) alone, not on how many are scored at a time.
    """

    def __init__(
        self,
        *,
        trials: Count = 101,
        sigmas: list[Scale] = [0.3, 1.0],  # noqa: B006 (never changed)
        noise: Literal["multiplicative", "additive"] = "multiplicative",
        scope: Literal["all", "first", "head"] = "first",
        parameters: str | None = None,
    ) -> None:
        if not sigmas:
            raise ConfigError("sigmas", "needs at least one")
        self.trials, self.sigmas, self.noise = trials, list(sigmas), noise
        self.scope, self.parameters = scope, parameters

    def names(self, problem: Problem) -> list[str]:
        """Return the parameters that are perturbed."""
        all_names = [name for name, _ in problem.network.named_parameters()]
        if self.parameters is not None:
            names = [name for name in all_names if re.search(self.parameters, name)]
        elif self.scope == "all":
            names = all_names
        else:
            layer = weighted_layers(problem.network)[0 if self.scope == "first" else -1][0]
            names = [name for name in all_names if name.startswith(f"{layer}.")]
        if not names:
            raise ConfigError("parameters", f"'{self.parameters}' matches none of {', '.join(all_names)}")
        return names

    def draw(self, weights: State, seed: int, trial: int) -> State:
        """Return draw number ``trial`` around ``weights``."""
        noise, sigma = self.noise_of(weights, seed, trial), self.sigmas[trial % len(self.sigmas)]
        scale = {n: v if self.noise == "multiplicative" else _deviation(v) for n, v in weights.items()}
        # theta_t = theta * (1 + sigma z_t), z_t ~ N(0, I), always from the original theta
        # (Savani et al. 2020, random perturbation; sigma = .1, 101 draws)
        return {name: value + sigma * scale[name] * noise[name] for name, value in weights.items()}

    def noise_of(self, weights: State, seed: int, trial: int) -> State:
        """Return the standard normal numbers of a draw."""
        # One generator for each draw: results do not depend on the chunk size or the number of processes.
        generator = torch_generator(seed, "perturbation", trial)
        return {name: torch.randn(v.shape, generator=generator).to(v) for name, v in weights.items()}

    def search(self, problem: Problem) -> DebiasingResult:
        """Score draws in chunks."""
        weights = {k: v for k, v in problem.state().items() if k in self.names(problem)}
        incumbent = Incumbent(problem)
        for start in range(0, self.trials, problem.chunk):
            trials = range(start, min(start + problem.chunk, self.trials))
            draws = [self.draw(weights, problem.seed, trial) for trial in trials]
            stack = {name: torch.stack([draw[name] for draw in draws]) for name in weights}
            best = problem.best(problem.batched_scores(stack))
            incumbent.offer(best, draws.__getitem__, "draw")
        return incumbent.result()


def _deviation(value: Tensor) -> Tensor:
    return value.std() if value.numel() > 1 else value.abs()
