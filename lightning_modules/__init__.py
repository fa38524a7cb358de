"""Lightning modules, by the name a configuration calls them."""

MODELS: dict[str, str] = {
    "benchmark_description": "lightning_modules.nas_description:BenchmarkDescription",
    "curve_surrogate": "lightning_modules.x11:CurveSurrogate",
    "debias_trials": "lightning_modules.debias:DebiasTrials",
    "denoiser_trainer": "lightning_modules.denoiser:DenoiserTrainer",
    "diffrep_sampler": "lightning_modules.diffrep:DiffrepSampler",
    "digits_build": "lightning_modules.nas_build:DigitsBuild",
    "encoding_study": "lightning_modules.nas_predictor:EncodingStudy",
    "flow": "lightning_modules.flow:FlowModule",
    "image_classifier": "lightning_modules.tabular:ImageClassifier",
    "initial_conditions": "lightning_modules.initial_conditions:InitialConditions",
    "lce_search": "lightning_modules.lce:LCESearch",
    "lce_study": "lightning_modules.lce:LCEStudy",
    "nas_landscape": "lightning_modules.nas_landscape:NASLandscape",
    "nas_predictor": "lightning_modules.nas_predictor:NASPredictor",
    "nas_trials": "lightning_modules.nas_trials:NASTrials",
    "noise_study": "lightning_modules.x11_noise:NoiseStudy",
    "tabular_classifier": "lightning_modules.tabular:TabularClassifier",
    "view_noise_law": "lightning_modules.view_law:ViewNoiseLaw",
    "volume_sampler": "lightning_modules.volume:VolumeSampler",
}
