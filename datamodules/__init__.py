"""Data modules, by the name a configuration calls them."""

DATAMODULES: dict[str, str] = {
    "digits_shards": "datamodules.nas:DigitsShards",
    "flow_stage": "datamodules.flow.stage:FlowStage",
    "pairs": "datamodules.flow.pairs:FlowPairs",
    "synthetic": "datamodules.flow.synthetic:SyntheticFlow",
    "video": "datamodules.flow.video:FlowVideo",
}
