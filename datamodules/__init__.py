"""Data modules, by the name a configuration calls them."""

DATAMODULES: dict[str, str] = {
    "flow_pairs": "datamodules.flow.pairs:FlowPairs",
    "synthetic_flow": "datamodules.flow.synthetic:SyntheticFlow",
}
