"""Lightning modules, by the name a configuration calls them."""

MODELS: dict[str, str] = {
    "digits_build": "lightning_modules.nas_build:DigitsBuild",
    "flow": "lightning_modules.flow:FlowModule",
}
