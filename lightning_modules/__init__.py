"""Lightning modules, by the name a configuration calls them."""

MODELS: dict[str, str] = {}
