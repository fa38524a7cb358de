"""Synthetic people by a structural causal model: the unprivileged group's labels and features are shifted.

a ~ Bernoulli(share), merit u ~ N(0, 1); the fair label is 1[u + s e > 0], the recorded one
1[u + label_shift (1 - a) + s e > 0]. Features are two noisy measurements of u, one of them shifted by
feature_shift (1 - a), a proxy of a, and noise.
"""

import math
from typing import Annotated, Literal

import numpy as np

from sevenfold.fairness.data.table import Table
from sevenfold.ranges import MOST, Range, Seed
from sevenfold.seeding import numpy_generator

PRESETS: dict[str, dict[str, float]] = {
    "both": {},
    "label_bias": {"feature_shift": 0.0},
    "feature_bias": {"label_shift": 0.0},
    "sample_bias": {"share": 0.95},
    "intersectional": {},
    "none": {"label_shift": 0.0, "feature_shift": 0.0, "proxy": 0.0},
}


class Synthetic:
    """A table of ``n`` synthetic people.

    Args:
        n: how many.
        preset: where the bias is: in labels, features, ``both``, in the ``sample`` (few unprivileged),
            ``intersectional`` (two attributes, ``a`` and ``b``, whose shifts add), or ``none``.
        seed: of the draw.
    """

    def __init__(
        self,
        *,
        n: Annotated[int, Range(100, MOST)] = 4000,
        preset: Literal[
            "both", "label_bias", "feature_bias", "sample_bias", "intersectional", "none"
        ] = "both",
        seed: Seed = 0,
    ) -> None:
        self.n, self.preset, self.seed = n, preset, seed
        self.parameters = {
            "share": 0.65, "noise": 0.5, "label_shift": -0.8, "feature_shift": -0.5, "proxy": 1.0,
            **PRESETS[preset],
        }  # fmt: skip

    def label_gap(self) -> float:
        """Return the population's P(y = 1 | a = 0) - P(y = 1 | a = 1) in closed form (one attribute)."""
        # P(u + delta + s e > 0) = Phi(delta / sqrt(1 + s^2)), because u + s e ~ N(0, 1 + s^2)
        argument = self.parameters["label_shift"] / math.sqrt(1 + self.parameters["noise"] ** 2)
        return math.erf(argument / math.sqrt(2)) / 2

    def load(self) -> Table:
        """Draw the table."""
        p, stream, n = self.parameters, numpy_generator(self.seed, "causal generator", self.preset), self.n
        groups = {"a": (stream.random(n) < p["share"]).astype(np.int64)}
        if self.preset == "intersectional":
            groups["b"] = (stream.random(n) < 0.5).astype(np.int64)
        lacking = sum((1 - group for group in groups.values()), np.zeros(n))
        merit, error = stream.standard_normal((2, n))
        truth = merit + p["noise"] * error > 0
        recorded = merit + p["label_shift"] * lacking + p["noise"] * error > 0
        views = merit + 0.5 * stream.standard_normal((2, n))
        views[1] += p["feature_shift"] * lacking
        proxy = p["proxy"] * groups["a"] + stream.standard_normal(n)
        noise = stream.standard_normal((3, n))
        features = np.stack([*groups.values(), *views, proxy, *noise], axis=1).astype(float)
        names = [*groups, "view_1", "view_2", "proxy", "noise_1", "noise_2", "noise_3"]
        coding = {"y": "the favorable outcome (synthetic)", **dict.fromkeys(groups, "privileged (synthetic)")}
        y, fair = recorded.astype(np.int64), truth.astype(np.int64)
        return Table("synthetic", features, names, y, groups, coding, fair)
