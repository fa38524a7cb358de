"""Lightning modules, by the name a configuration calls them."""

from sevenfold.tables import ComponentTable

MODELS = ComponentTable(
    {
        "curve_surrogate": "lightning_modules.x11:CurveSurrogate",
        "denoiser_trainer": "lightning_modules.denoiser:DenoiserTrainer",
        "flow": "lightning_modules.flow:FlowModule",
        "image_classifier": "lightning_modules.tabular:ImageClassifier",
        "nas_predictor": "lightning_modules.nas_predictor:NASPredictor",
        "noise_study": "lightning_modules.x11_noise:NoiseStudy",
        "tabular_classifier": "lightning_modules.tabular:TabularClassifier",
    },
    holds="Lightning modules",
)

STUDY_MODULES: dict[str, str] = {
    "debias": "lightning_modules.debias:DebiasModule",
    "samples": "lightning_modules.diffrep:DiffrepSampler",
}
"""By the study's name, modules that do more than run it; others: ``STUDY_MODULE``."""
STUDY_MODULE = "lightning_modules.study:StudyModule"
