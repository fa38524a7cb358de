"""Data modules, by the name a configuration calls them."""

DATAMODULES: dict[str, str] = {}
