"""Data modules, by the name a configuration calls them."""

from sevenfold.tables import ComponentTable

DATAMODULES = ComponentTable(
    {
        "attribute_images": "datamodules.fairness_images:AttributeImages",
        "curve_tables": "datamodules.x11:CurveTables",
        "denoiser_images": "datamodules.denoiser:DenoiserImages",
        "fairness_rows": "datamodules.fairness:FairnessRows",
        "flow_mix": "datamodules.flow.sets:FlowSets",
        "pairs": "datamodules.flow.pairs:FlowPairs",
        "predictor_cells": "datamodules.nas_predictor:PredictorCells",
        "scenes": "datamodules.flow.scenes:RenderedScenes",
        "synthetic": "datamodules.flow.synthetic:SyntheticFlow",
        "video": "datamodules.flow.video:FlowVideo",
    },
    holds="data modules",
)
