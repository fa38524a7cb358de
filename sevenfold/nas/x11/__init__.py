"""Surrogate learning curves (NAS-Bench-x11): predicted curves of any architecture of a space.

A surrogate compresses curves, predicts the coefficients from an encoding, and adds noise like that of one
training; see :mod:`ensemble`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sevenfold.config import Node
from sevenfold.tables import ComponentTable, OneOf

if TYPE_CHECKING:
    from sevenfold.nas.x11.drop_in import DropIn

COMPRESSIONS = ComponentTable(
    {
        "svd": "sevenfold.nas.x11.svd:SVD",
        "vae": "sevenfold.nas.x11.vae:VAE",
    },
    holds="compressions of learning curves",
)

REGRESSORS = ComponentTable(
    {
        "lgb": "sevenfold.nas.x11.lgb:LightGBM",
        "mlp": "sevenfold.nas.x11.mlp:Perceptron",
        "xgb": "sevenfold.nas.x11.xgb:XGBoost",
    },
    holds="regressors of curve coefficients",
    extras={"lgb": "x11"},
)

NOISES = ComponentTable(
    {
        "gauss": "sevenfold.nas.x11.noise.gauss:Gauss",
        "kde": "sevenfold.nas.x11.noise.kde:KDE",
        "none": "sevenfold.nas.x11.noise.base:NoNoise",
        "vae": "sevenfold.nas.x11.noise.vae:NoiseVAE",
        "window": "sevenfold.nas.x11.noise.window:Window",
    },
    holds="models of the noise of a training",
)

CompressionNode = Annotated[Node, OneOf("sevenfold.nas.x11:COMPRESSIONS")]
"""Name and options of a compression of learning curves."""
RegressorNode = Annotated[Node, OneOf("sevenfold.nas.x11:REGRESSORS")]
"""Name and options of a regressor of curve coefficients."""
NoiseNode = Annotated[Node, OneOf("sevenfold.nas.x11:NOISES")]
"""Name and options of a noise model."""


def load_ensemble(folder: str | Path) -> "DropIn":
    """Open an exported surrogate with the call signature of the authors' package (Yan et al. 2021).

    Its ``predict`` takes n architectures and returns curves (n, epochs) in per cent.

    >>> import tempfile, numpy as np
    >>> from sevenfold.nas import NB201, load_ensemble
    >>> from sevenfold.nas.x11 import ensemble, export, surrogate
    >>> parts = {"compression": {"name": "svd", "k": 2}, "regressor": {"name": "mlp", "epochs": 2}}
    >>> model = ensemble.Ensemble(NB201(), encoding="adj", metrics=["val/acc"], epochs=5, **parts)
    >>> model.fit(NB201().archs(range(50)), np.random.default_rng(0).uniform(0, 100, (50, 5, 1)))
    >>> folder = export.save(surrogate.Surrogate(model, noise={"name": "none"}), tempfile.mkdtemp())
    >>> load_ensemble(folder).predict(NB201().to_strings(NB201().archs([7])), "arch_str").shape
    (1, 5)
    """
    from sevenfold.nas.x11.drop_in import DropIn
    from sevenfold.nas.x11.export import load

    return DropIn(load(folder))
