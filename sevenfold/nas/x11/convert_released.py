"""Rewrite the authors' released surrogates as plain files; run it in a throw-away environment.

The released ``surrogate_model.model`` files are pickles of old scikit-learn and LightGBM objects: reading one
runs whatever is in it, so do it where nothing can be lost, once. This script imports nothing of the project::

    python -m venv old
    old/bin/pip install numpy==1.20.3 scipy==1.6.3 scikit-learn==0.23.2 joblib lightgbm==2.3.1
    old/bin/python sevenfold/nas/x11/convert_released.py nb211-v0.5 converted/nb211

It writes, for every member below the first folder, ``member_N/link_J.txt`` (LightGBM's own text) and
``member_N/arrays.npz`` (scaler, singular values and vectors, samples of the noise). Open the result with
``sevenfold.nas.x11.released.open_released``. Only SVD with boosted trees is converted, the one kind released.
"""

import argparse
import pathlib
from typing import Any

import numpy as np


def convert(source: str, target: str) -> int:
    """Convert every ``*surrogate_model.model`` below ``source`` into folders of ``target``; count them."""
    import joblib

    paths = sorted(pathlib.Path(source).rglob("*surrogate_model.model"))
    for number, path in enumerate(paths):
        folder = pathlib.Path(target) / f"member_{number}"
        folder.mkdir(parents=True, exist_ok=True)
        convert_member(joblib.load(path), folder)
    return len(paths)


def convert_member(content: Any, folder: pathlib.Path) -> None:
    """Write one member: [chain, scaler, s, V^T, k] and, where the release has it, [density]."""
    if isinstance(content[0], (list, tuple)):
        content = list(content[0]) + list(content[1:])
    chain, scaler, s, v, k = content[:5]
    noise = content[5] if len(content) > 5 else None
    noise = noise[0] if isinstance(noise, (list, tuple)) else noise
    for place, link in enumerate(chain.estimators_):
        (folder / f"link_{place}.txt").write_text(link.booster_.model_to_string())
    k = int(k)
    arrays = {
        "mean": scaler.mean_, "scale": scaler.scale_, "s": np.asarray(s)[:k], "v": np.asarray(v)[:k],
        "order": np.asarray(chain.order_ if chain.order_ is not None else range(k)),
    }  # fmt: skip
    if noise is not None:
        arrays["noise"], arrays["factor"] = noise.dataset.T, np.array(noise.factor)
    np.savez(folder / "arrays.npz", **arrays)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Rewrite the authors' released surrogates as plain files.")
    parser.add_argument("source", help="folder with *surrogate_model.model files")
    parser.add_argument("target", help="folder to write")
    given = parser.parse_args()
    print(convert(given.source, given.target), "members converted")
