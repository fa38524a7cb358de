"""Data modules, by the name a configuration calls them."""

DATAMODULES: dict[str, str] = {
    "pairs": "datamodules.flow.pairs:FlowPairs",
    "synthetic": "datamodules.flow.synthetic:SyntheticFlow",
}
