"""Sampling differentiable representations with a diffusion prior: the pullback, its baselines and its laws.

A prior denoises images (``PRIORS``), a representation renders parameters (``REPRESENTATIONS``), a solver
moves parameters so that they render a target (``SOLVERS``), noise of views stays outside the parameters
(``VIEW_NOISES``), and a method puts them together (``METHODS``). Nothing heavy is imported here.
"""

PRIORS: dict[str, str] = {
    "gaussian": "sevenfold.diffreps.priors.fitted:gaussian",
    "gmm": "sevenfold.diffreps.priors.fitted:gmm",
    "kde": "sevenfold.diffreps.priors.kde:kde",
    "points": "sevenfold.diffreps.priors.points:points",
    "state_dict": "sevenfold.diffreps.priors.network:state_dict",
    "unet": "sevenfold.diffreps.priors.network:unet",
}

REPRESENTATIONS: dict[str, str] = {
    "curve": "sevenfold.diffreps.representations.curve:Curve",
    "fourier": "sevenfold.diffreps.representations.fourier:Fourier",
    "fourier_linear": "sevenfold.diffreps.representations.fourier:FourierLinear",
    "gaussians2d": "sevenfold.diffreps.representations.gaussians2d:Gaussians2D",
    "grid": "sevenfold.diffreps.representations.grid:Grid",
    "hashgrid": "sevenfold.diffreps.representations.grid:HashGrid",
    "panorama": "sevenfold.diffreps.representations.panorama:Panorama",
    "pixels": "sevenfold.diffreps.representations.pixels:Pixels",
    "siren": "sevenfold.diffreps.representations.siren:Siren",
    "symmetric": "sevenfold.diffreps.representations.symmetric:Symmetric",
    "tile": "sevenfold.diffreps.representations.tile:Tile",
    "turned": "sevenfold.diffreps.representations.symmetric:Turned",
    "wide_canvas": "sevenfold.diffreps.representations.panorama:WideCanvas",
}

SOLVERS: dict[str, str] = {
    "cg": "sevenfold.diffreps.solvers.cg:ConjugateGradient",
    "dense": "sevenfold.diffreps.solvers.dense:Dense",
    "inner": "sevenfold.diffreps.solvers.inner:Inner",
    "linear": "sevenfold.diffreps.solvers.linear:Linear",
    "lsmr": "sevenfold.diffreps.solvers.lsmr:LSMR",
}

VIEW_NOISES: dict[str, str] = {
    "anchored": "sevenfold.diffreps.view_noise:Anchored",
    "fresh": "sevenfold.diffreps.view_noise:Fresh",
    "pool": "sevenfold.diffreps.view_noise:Pool",
}

METHODS: dict[str, str] = {
    "fit": "sevenfold.diffreps.methods.fit:Fit",
    "pullback": "sevenfold.diffreps.methods.pullback:Pullback",
    "reference": "sevenfold.diffreps.methods.reference:Reference",
    "sds": "sevenfold.diffreps.methods.distill:SDS",
    "sjc": "sevenfold.diffreps.methods.distill:SJC",
}

SCHEDULES: dict[str, str] = {
    "karras": "sevenfold.diffreps.schedules:karras",
    "log": "sevenfold.diffreps.schedules:log",
    "table": "sevenfold.diffreps.schedules:table",
    "uniform_t": "sevenfold.diffreps.schedules:uniform_t",
}

SOURCES: dict[str, str] = {
    "digits": "sevenfold.diffreps.sources:digits",
    "mnist": "sevenfold.diffreps.sources:mnist",
    "photos": "sevenfold.diffreps.sources:photos",
}

NETWORKS: dict[str, str] = {
    "diffusers_unet": "sevenfold.diffreps.networks.diffusers_unet:DiffusersUNet",
    "mnist_unet": "sevenfold.diffreps.networks.mnist_unet:MnistUNet",
}
