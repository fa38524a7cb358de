"""Sampling differentiable representations with a diffusion prior: the pullback, its baselines and its laws.

A prior denoises images (``PRIORS``), a representation renders parameters (``REPRESENTATIONS``), a solver moves
parameters so that they render a target (``SOLVERS``), noise of views stays outside the parameters
(``VIEW_NOISES``), and a method puts them together (``METHODS``). Nothing heavy is imported here.
"""

PRIORS: dict[str, str] = {
    "gaussian": "sevenfold.diffreps.priors.fitted:gaussian",
    "gmm": "sevenfold.diffreps.priors.fitted:gmm",
    "multiview_gmm": "sevenfold.diffreps.priors.multiview:multiview_gmm",
    "multiview_kde": "sevenfold.diffreps.priors.multiview:multiview_kde",
}

REPRESENTATIONS: dict[str, str] = {
    "ink_volume": "sevenfold.diffreps.representations.ink_volume:InkVolume",
    "pixels": "sevenfold.diffreps.representations.pixels:Pixels",
    "siren": "sevenfold.diffreps.representations.siren:Siren",
    "voxel_nerf": "sevenfold.diffreps.representations.voxel_nerf:VoxelNerf",
}

SOLVERS: dict[str, str] = {
    "cg": "sevenfold.diffreps.solvers.cg:ConjugateGradient",
    "dense_cg": "sevenfold.diffreps.solvers.dense_cg:DenseConjugateGradient",
    "dense": "sevenfold.diffreps.solvers.dense:Dense",
    "inner": "sevenfold.diffreps.solvers.inner:Inner",
}

VIEW_NOISES: dict[str, str] = {
    "canonical": "sevenfold.diffreps.correlated_noise:Canonical",
    "fresh": "sevenfold.diffreps.view_noise:Fresh",
    "independent": "sevenfold.diffreps.view_noise:Pool",
    "object": "sevenfold.diffreps.correlated_noise:Object",
    "pool": "sevenfold.diffreps.view_noise:Pool",
    "same": "sevenfold.diffreps.correlated_noise:Same",
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
