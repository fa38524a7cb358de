"""Sampling differentiable representations with a diffusion prior: the pullback, its baselines and its laws.

A prior denoises images (``PRIORS``), a representation renders parameters (``REPRESENTATIONS``), a solver moves
parameters so that they render a target (``SOLVERS``), noise of views stays outside the parameters
(``VIEW_NOISES``), and a method puts them together (``METHODS``). Nothing heavy is imported here.
"""

PRIORS: dict[str, str] = {
    "gaussian": "sevenfold.diffreps.priors.fitted:gaussian",
    "gmm": "sevenfold.diffreps.priors.fitted:gmm",
}

REPRESENTATIONS: dict[str, str] = {
    "pixels": "sevenfold.diffreps.representations.pixels:Pixels",
    "siren": "sevenfold.diffreps.representations.siren:Siren",
}

SOLVERS: dict[str, str] = {
    "dense": "sevenfold.diffreps.solvers.dense:Dense",
    "inner": "sevenfold.diffreps.solvers.inner:Inner",
}

VIEW_NOISES: dict[str, str] = {
    "fresh": "sevenfold.diffreps.view_noise:Fresh",
    "pool": "sevenfold.diffreps.view_noise:Pool",
}

METHODS: dict[str, str] = {
    "pullback": "sevenfold.diffreps.methods.pullback:Pullback",
    "reference": "sevenfold.diffreps.methods.reference:Reference",
}

SCHEDULES: dict[str, str] = {
    "karras": "sevenfold.diffreps.schedules:karras",
    "log": "sevenfold.diffreps.schedules:log",
    "table": "sevenfold.diffreps.schedules:table",
    "uniform_t": "sevenfold.diffreps.schedules:uniform_t",
}

SOURCES: dict[str, str] = {
    "digits": "sevenfold.diffreps.sources:digits",
}
