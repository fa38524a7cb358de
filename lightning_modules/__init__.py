"""Lightning modules, by the name a configuration calls them."""

MODELS: dict[str, str] = {
    "flow": "lightning_modules.flow:FlowModule",
    "nas_landscape": "lightning_modules.nas_landscape:NASLandscape",
    "nas_trials": "lightning_modules.nas_trials:NASTrials",
}
