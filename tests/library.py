"""Every Lightning module of the suite, trained on next to nothing, and one use of each.

A new entry of ``MODELS`` is covered by its defaults and the first small data set whose batches it takes; what
it says of itself can be added to ``SMALL`` and ``USES``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import yaml
from torch import Tensor

from datamodules import DATAMODULES
from lightning_modules import MODELS
from sevenfold.config import build, component
from sevenfold.nas.spaces.nb201 import NB201

SMALL: dict[str, dict[str, Any]] = {
    "flow": {
        "network": {"name": "raft", "variant": "demo", "design": {"h_init": "zeros", "norm": "weight"}},
        "training": {"iterations": [2]},
        "evaluation": {"iterations": 3},
    },
    "tabular_classifier": {"width": 8, "depth": 1},
    "nas_predictor": {"members": 2, "k": 10, "network": {"name": "mlp", "layers": 2, "width": 8}},
    "curve_surrogate": {
        "members": 2,
        "folds": 2,
        "compression": {"name": "vae", "k": 3, "width": 8},
        "noise": {"name": "gauss"},
    },
    "noise_study": {
        "noises": {"gauss": {"name": "gauss"}, "vae": {"name": "vae", "width": 8}},
        "members": 1,
        "regressor": {"name": "mlp", "width": 8, "epochs": 2},
    },
    "denoiser_trainer": {
        "network": {"name": "diffusers_unet", "widths": [16], "classes": 10},
        "samples": {"count": 4, "levels": 3},
    },
}
DATA: dict[str, dict[str, Any]] = {
    "synthetic": {
        "evaluation": {"size": 64, "val_pairs": 1, "test_pairs": 1},
        "crop": 64,
        "train_pairs": 4,
        "batch_size": 2,
        "workers": 0,
    },
    "fairness_rows": {"source": {"name": "synthetic", "n": 600}},
    "attribute_images": {"shapes": 96, "batch_size": 16},
    "predictor_cells": {
        "benchmark": {"name": "synthetic-nb201"},
        "train": 20,
        "val": 30,
        "test": 40,
        "members": 2,
    },
    "curve_tables": {"archs": 120, "judge_run": 2, "runs": [0, 1], "beside": None},
    "denoiser_images": {"batch_size": 64},
}
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 50, 70, 3)).astype(np.uint8)
PICTURES = torch.from_numpy(FRAMES[:, :32, :32]).permute(0, 3, 1, 2) / 255
ROWS = np.random.default_rng(2).normal(size=(64, 40))
CELLS = NB201().to_strings(NB201().sample(np.random.default_rng(1), 4))

USES: dict[str, Callable[[Any], Tensor]] = {
    "flow": lambda module: module.estimate(*FRAMES),
    "tabular_classifier": lambda module: module(torch.from_numpy(rows_of(module)).float()),
    "image_classifier": lambda module: module(PICTURES),
    "nas_predictor": lambda module: module.predict(CELLS),
    "curve_surrogate": lambda module: module.predict(CELLS, seeds=[1, 2, 3, 4]),
    "noise_study": lambda module: module.predict(CELLS, noise="vae", seeds=[1, 2, 3, 4]),
    "denoiser_trainer": lambda module: module.sample(3, seed=1),
}


def rows_of(module: Any) -> np.ndarray:
    """Return some rows as wide as a classifier's network."""
    return ROWS[:, : module.facts.example.shape[-1]]


def use(name: str, module: Any) -> Tensor:
    """Return what a module answers; of one that nothing is known of, its weights."""
    if name in USES:
        module.eval()
        return USES[name](module).detach()
    return torch.cat([value.double().flatten() for value in module.state_dict().values()])


def nodes(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the nodes of a small model and of small data that it takes."""
    kind = component(MODELS, name, "name")
    data = next(key for key in DATA if component(DATAMODULES, key, "name").batch is kind.batch)
    return {"name": name, **SMALL.get(name, {})}, {"name": data, **DATA[data]}


def parts(name: str) -> tuple[Any, Any]:
    """Return a small untrained module and its data."""
    model, data = nodes(name)
    torch.manual_seed(0)
    return build(MODELS, model, "model"), build(DATAMODULES, data, "data")


def trainer(folder: Path, **options: Any) -> pl.Trainer:
    """Return a trainer as a user would make one, without any callback of the suite."""
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return pl.Trainer(
        accelerator="cpu", devices=1, default_root_dir=folder, num_sanity_val_steps=0,
        **{**quiet, "enable_checkpointing": False, "max_epochs": 1, "limit_train_batches": 2, **options},
    )  # fmt: skip


def configuration(name: str, folder: Path) -> Path:
    """Write the configuration of a small run of two steps."""
    model, data = nodes(name)
    content = {
        "model": model,
        "data": data,
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 1,
            "limit_train_batches": 2,
            "num_sanity_val_steps": 0,
        },
        "callbacks": {"checkpoint": {"save_last": True}},
        "test_after_fit": False,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder / f"{name}.yaml"
