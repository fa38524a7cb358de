"""Lightning modules, by the name a configuration calls them."""

MODELS: dict[str, str] = {
    "flow": "lightning_modules.flow:FlowModule",
}
