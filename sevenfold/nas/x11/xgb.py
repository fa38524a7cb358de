"""Boosted trees by XGBoost (optional; ``xgboost-cpu`` or ``xgboost``)."""

from typing import Any

from sevenfold.errors import InputError
from sevenfold.nas.x11.base import Floats
from sevenfold.nas.x11.chain import Chain
from sevenfold.ranges import Count, Depth, DepthOrNone, LearningRate, NonNegative


class XGBoost(Chain):
    """A chain of XGBoost boosters with histogram splits.

    Args:
        learning_rate: factor on the output of each tree.
        depth: depth of a tree, at most.
        min_weight: sum of the weights of training rows in a leaf, at least.
        l1: weight of the L1 penalty on the outputs of leaves.
        l2: weight of the L2 penalty on the outputs of leaves.
    """

    def __init__(
        self,
        *,
        rounds: Count = 200,
        learning_rate: LearningRate = 0.15,
        depth: Depth = 8,
        min_weight: NonNegative = 1.0,
        l1: NonNegative = 0.0,
        l2: NonNegative = 1.0,
        chained: bool = True,
        threads: DepthOrNone = 1,
    ) -> None:
        super().__init__(chained=chained, rounds=rounds, threads=threads)
        self.options = {
            "eta": learning_rate, "max_depth": depth, "min_child_weight": min_weight, "alpha": l1,
            "lambda": l2, "nthread": threads,
        }  # fmt: skip
        xgboost()

    def boost(self, x: Floats, target: Floats, seed: int) -> Any:
        """Fit one booster."""
        # Second-order boosting of squared error (Chen and Guestrin 2016).
        options = {"objective": "reg:squarederror", "tree_method": "hist", "seed": seed, **self.options}
        return xgboost().train(options, xgboost().DMatrix(x, target), self.rounds)

    def ask(self, booster: Any, x: Floats) -> Floats:
        """Predict."""
        predicted: Floats = booster.predict(xgboost().DMatrix(x)).astype(float)
        return predicted

    def write(self, booster: Any) -> str:
        """Return XGBoost's own JSON."""
        return bytes(booster.save_raw("json")).decode()

    def read(self, text: str) -> Any:
        """Read XGBoost's own JSON."""
        booster = xgboost().Booster()
        booster.load_model(bytearray(text.encode()))
        return booster


def xgboost() -> Any:
    """Return the package, or say how to get it."""
    try:
        import xgboost
    except ImportError as error:
        raise InputError("'xgb' needs XGBoost: pip install xgboost-cpu") from error
    return xgboost
