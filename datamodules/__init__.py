"""Data modules, by the name a configuration calls them."""

DATAMODULES: dict[str, str] = {
    "flow_stage": "datamodules.flow.stage:FlowStage",
    "pairs": "datamodules.flow.pairs:FlowPairs",
    "nas_tables": "datamodules.trials:NASTables",
    "nas_trials": "datamodules.trials:NASTrials",
    "synthetic": "datamodules.flow.synthetic:SyntheticFlow",
    "video": "datamodules.flow.video:FlowVideo",
}
