"""Predictors: networks that tell from an encoding how good an architecture is, many copies at once."""

from sevenfold.tables import ComponentTable

PREDICTORS = ComponentTable(
    {
        "gcn": "sevenfold.nas.predictors.gcn:GCN",
        "mlp": "sevenfold.nas.predictors.mlp:MLP",
    },
    holds="networks that predict the error of architectures",
    given=(
        "features",
        "copies",
    ),
)
