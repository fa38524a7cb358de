"""Predictors: networks that estimate an architecture's error from its encoding, many copies at once."""

from typing import Annotated

from sevenfold.config import Node
from sevenfold.tables import ComponentTable, OneOf

PREDICTORS = ComponentTable(
    {
        "gcn": "sevenfold.nas.predictors.gcn:GCN",
        "mlp": "sevenfold.nas.predictors.mlp:MLP",
    },
    holds="networks that predict the error of architectures",
    given=("features", "copies"),
)

PredictorNode = Annotated[Node, OneOf("sevenfold.nas.predictors:PREDICTORS")]
"""Name and options of a predictor network."""
