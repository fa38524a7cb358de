"""Predictors: networks that tell from an encoding how good an architecture is, many copies at once."""

PREDICTORS: dict[str, str] = {
    "gcn": "sevenfold.nas.predictors.gcn:GCN",
    "mlp": "sevenfold.nas.predictors.mlp:MLP",
}
