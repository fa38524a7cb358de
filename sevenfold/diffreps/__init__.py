"""Sampling differentiable representations with a diffusion prior: the pullback, its baselines and its laws.

A prior denoises images (``PRIORS``), a representation renders parameters (``REPRESENTATIONS``), a solver
changes parameters so that they render a target (``SOLVERS``), the noise of views stays outside the parameters
(``VIEW_NOISES``), and a method combines these parts (``METHODS``). Importing this package does not import
torch.
"""

from typing import TYPE_CHECKING

from sevenfold.lazy import lazy
from sevenfold.tables import ComponentTable

if TYPE_CHECKING:
    from sevenfold.diffreps.methods.distill import SDS
    from sevenfold.diffreps.methods.pullback import Pullback
    from sevenfold.diffreps.methods.reference import Reference
    from sevenfold.diffreps.noise_table import NoiseTable
    from sevenfold.diffreps.priors.fitted import gmm
    from sevenfold.diffreps.priors.network import NetworkPrior
    from sevenfold.diffreps.representations.pixels import Pixels
    from sevenfold.diffreps.representations.siren import Siren
    from sevenfold.diffreps.sampling_task import make_task
    from sevenfold.diffreps.sources import digits
    from sevenfold.diffreps.studies.samples import SamplesStudy
    from sevenfold.diffreps.view_noise import Pool

PRIORS = ComponentTable(
    {
        "diffusers_pipeline": "sevenfold.diffreps.priors.pipeline:diffusers_pipeline",
        "gaussian": "sevenfold.diffreps.priors.fitted:gaussian",
        "gmm": "sevenfold.diffreps.priors.fitted:gmm",
        "kde": "sevenfold.diffreps.priors.kde:kde",
        "network": "sevenfold.diffreps.priors.network:network",
        "points": "sevenfold.diffreps.priors.points:points",
        "shipped": "sevenfold.diffreps.priors.shipped:shipped",
        "state_dict": "sevenfold.diffreps.priors.network:network",
        "unet": "sevenfold.diffreps.priors.network:unet",
    },
    holds="diffusion priors",
    extras={"diffusers_pipeline": "sd"},
)

REPRESENTATIONS = ComponentTable(
    {
        "autoencoded": "sevenfold.diffreps.representations.autoencoded:Autoencoded",
        "curve": "sevenfold.diffreps.representations.curve:Curve",
        "fourier": "sevenfold.diffreps.representations.fourier:Fourier",
        "fourier_linear": "sevenfold.diffreps.representations.fourier:FourierLinear",
        "gaussians2d": "sevenfold.diffreps.representations.gaussians2d:Gaussians2D",
        "grid": "sevenfold.diffreps.representations.grid:Grid",
        "hashgrid": "sevenfold.diffreps.representations.grid:HashGrid",
        "ink_volume": "sevenfold.diffreps.representations.ink_volume:InkVolume",
        "mlp_nerf": "sevenfold.diffreps.representations.mlp_nerf:MlpNerf",
        "panorama": "sevenfold.diffreps.representations.panorama:Panorama",
        "pixels": "sevenfold.diffreps.representations.pixels:Pixels",
        "siren": "sevenfold.diffreps.representations.siren:Siren",
        "symmetric": "sevenfold.diffreps.representations.symmetric:Symmetric",
        "tile": "sevenfold.diffreps.representations.tile:Tile",
        "turned": "sevenfold.diffreps.representations.symmetric:Turned",
        "voxel_nerf": "sevenfold.diffreps.representations.voxel_nerf:VoxelNerf",
        "wide_canvas": "sevenfold.diffreps.representations.panorama:WideCanvas",
    },
    holds="differentiable representations",
)

SOLVERS = ComponentTable(
    {
        "cg": "sevenfold.diffreps.solvers.cg:ConjugateGradient",
        "decoded": "sevenfold.diffreps.solvers.decoded:Decoded",
        "dense": "sevenfold.diffreps.solvers.dense:Dense",
        "dense_cg": "sevenfold.diffreps.solvers.dense_cg:DenseConjugateGradient",
        "inner": "sevenfold.diffreps.solvers.inner:Inner",
        "linear": "sevenfold.diffreps.solvers.linear:Linear",
        "lsmr": "sevenfold.diffreps.solvers.lsmr:LSMR",
        "regularized": "sevenfold.diffreps.solvers.regularized:Regularized",
    },
    holds="solvers of the pullback's least squares",
)

VIEW_NOISES = ComponentTable(
    {
        "anchored": "sevenfold.diffreps.view_noise:Anchored",
        "canonical": "sevenfold.diffreps.correlated_noise:Canonical",
        "fresh": "sevenfold.diffreps.view_noise:Fresh",
        "independent": "sevenfold.diffreps.view_noise:Pool",
        "object": "sevenfold.diffreps.correlated_noise:Object",
        "pool": "sevenfold.diffreps.view_noise:Pool",
        "same": "sevenfold.diffreps.correlated_noise:Same",
        "surface": "sevenfold.diffreps.surface_noise:Surface",
    },
    holds="noises of views",
)

METHODS = ComponentTable(
    {
        "anneal": "sevenfold.diffreps.methods.anneal:Anneal",
        "fit": "sevenfold.diffreps.methods.fit:Fit",
        "growing": "sevenfold.diffreps.methods.growing:Growing",
        "pullback": "sevenfold.diffreps.methods.pullback:Pullback",
        "reference": "sevenfold.diffreps.methods.reference:Reference",
        "sds": "sevenfold.diffreps.methods.distill:SDS",
        "sjc": "sevenfold.diffreps.methods.distill:SJC",
    },
    holds="samplers of representations",
)

SCHEDULES = ComponentTable(
    {
        "karras": "sevenfold.diffreps.schedules:karras",
        "flow": "sevenfold.diffreps.schedules:flow",
        "log": "sevenfold.diffreps.schedules:log",
        "table": "sevenfold.diffreps.schedules:table",
        "trailing": "sevenfold.diffreps.schedules:trailing",
        "uniform_t": "sevenfold.diffreps.schedules:uniform_t",
    },
    holds="schedules of noise levels",
    given=("prior",),
)

SOURCES = ComponentTable(
    {
        "world_views": "sevenfold.diffreps.priors.by_view:world_views",
        "digits": "sevenfold.diffreps.sources:digits",
        "folder": "sevenfold.diffreps.sources:folder",
        "mnist": "sevenfold.diffreps.sources:mnist",
        "photos": "sevenfold.diffreps.sources:photos",
        "scapes": "sevenfold.diffreps.scapes:scapes",
    },
    holds="sets of images",
)

NETWORKS = ComponentTable(
    {
        "diffusers": "sevenfold.diffreps.networks.outside:Folder",
        "diffusers_unet": "sevenfold.diffreps.networks.diffusers_unet:DiffusersUNet",
        "exported": "sevenfold.diffreps.networks.outside:exported",
        "file": "sevenfold.diffreps.networks.outside:file",
        "mnist_unet": "sevenfold.diffreps.networks.mnist_unet:MnistUNet",
        "scripted": "sevenfold.diffreps.networks.outside:scripted",
        "small_unet": "sevenfold.diffreps.networks.small_unet:SmallUNet",
    },
    holds="denoising networks",
    extras={"diffusers": "diffrep", "diffusers_unet": "diffrep"},
)

PROCESSES = ComponentTable(
    {
        "cosine": "sevenfold.diffreps.process:Cosine",
        "edm": "sevenfold.diffreps.process:EDM",
        "flow": "sevenfold.diffreps.process:Flow",
        "ve": "sevenfold.diffreps.process:VE",
        "vp": "sevenfold.diffreps.process:vp",
        "vp_linear": "sevenfold.diffreps.process:VPLinear",
    },
    holds="noising processes",
)

_PUBLIC = {
    "NetworkPrior": "sevenfold.diffreps.priors.network:NetworkPrior",
    "NoiseTable": "sevenfold.diffreps.noise_table:NoiseTable",
    "Pixels": "sevenfold.diffreps.representations.pixels:Pixels",
    "Pool": "sevenfold.diffreps.view_noise:Pool",
    "Pullback": "sevenfold.diffreps.methods.pullback:Pullback",
    "Reference": "sevenfold.diffreps.methods.reference:Reference",
    "SDS": "sevenfold.diffreps.methods.distill:SDS",
    "SamplesStudy": "sevenfold.diffreps.studies.samples:SamplesStudy",
    "Siren": "sevenfold.diffreps.representations.siren:Siren",
    "digits": "sevenfold.diffreps.sources:digits",
    "gmm": "sevenfold.diffreps.priors.fitted:gmm",
    "make_task": "sevenfold.diffreps.sampling_task:make_task",
}
__all__ = [
    "NetworkPrior",
    "NoiseTable",
    "Pixels",
    "Pool",
    "Pullback",
    "Reference",
    "SDS",
    "SamplesStudy",
    "Siren",
    "digits",
    "gmm",
    "make_task",
]
__getattr__, __dir__ = lazy(__name__, _PUBLIC)
