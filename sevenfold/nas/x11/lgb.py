"""Boosted trees by LightGBM (extra ``x11``)."""

from typing import Annotated, Any

from sevenfold.errors import InputError
from sevenfold.nas.x11.base import Floats
from sevenfold.nas.x11.chain import Chain
from sevenfold.ranges import AtLeastTwo, Count, DepthOrNone, LearningRate, NonNegative, NonNegativeInt, Range


class LightGBM(Chain):
    """A chain of LightGBM boosters.

    The authors' defaults (3000 rounds at .0218, depth 18, 40 leaves, l2 134.5) are slower and no better on
    the curves these were chosen on.

    Args:
        learning_rate: factor on the output of each tree.
        leaves: leaves of a tree, at most.
        depth: depth of a tree, at most; -1: no limit.
        min_rows: training rows in a leaf, at least.
        l1: weight of the L1 penalty on the outputs of leaves.
        l2: weight of the L2 penalty on the outputs of leaves.
    """

    def __init__(
        self,
        *,
        rounds: Count = 200,
        learning_rate: LearningRate = 0.15,
        leaves: AtLeastTwo = 31,
        depth: Annotated[int, Range(-1, 10_000, note="-1 is no limit")] = 18,
        min_rows: NonNegativeInt = 5,
        l1: NonNegative = 0.0,
        l2: NonNegative = 0.0,
        chained: bool = True,
        threads: DepthOrNone = 1,
    ) -> None:
        super().__init__(chained=chained, rounds=rounds, threads=threads)
        self.options = {
            "learning_rate": learning_rate, "num_leaves": leaves, "max_depth": depth,
            "min_child_samples": min_rows, "lambda_l1": l1, "lambda_l2": l2,
        }  # fmt: skip
        lightgbm()

    def boost(self, x: Floats, target: Floats, seed: int) -> Any:
        """Fit one booster."""
        # Gradient boosting of squared error on histograms (Ke et al. 2017); deterministic, so that a stored
        # surrogate can be fitted again.
        own = {"objective": "l2", "verbose": -1, "num_threads": self.threads, "seed": seed}
        data = lightgbm().Dataset(x, target, params={"min_data_in_bin": 1, "verbose": -1})
        return lightgbm().train({**own, "deterministic": True, **self.options}, data, self.rounds)

    def ask(self, booster: Any, x: Floats) -> Floats:
        """Predict."""
        predicted: Floats = booster.predict(x, num_threads=self.threads)
        return predicted

    def write(self, booster: Any) -> str:
        """Return LightGBM's own text."""
        return str(booster.model_to_string())

    def read(self, text: str) -> Any:
        """Read LightGBM's own text."""
        return lightgbm().Booster(model_str=text)


def lightgbm() -> Any:
    """Return the package, or say how to get it."""
    try:
        import lightgbm
    except ImportError as error:
        raise InputError("'lgb' needs LightGBM: pip install 'sevenfold[x11]'") from error
    return lightgbm
