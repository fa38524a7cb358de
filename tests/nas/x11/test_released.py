"""The released surrogates: a stand-in of the same objects, converted and opened."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sevenfold.errors import InputError
from sevenfold.nas.spaces.nb201 import NB201
from sevenfold.nas.x11.released import open_released

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A folder as the authors pack it: a chain of LGBMRegressor, its scaler, an uncentered SVD, a density."""
    import joblib
    from lightgbm import LGBMRegressor
    from scipy.stats import gaussian_kde
    from sklearn.multioutput import RegressorChain
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    space = NB201()
    x = space.parts(archs := space.sample(rng, 300))
    x = np.concatenate([part.values for part in x], axis=1).astype(float)
    curves = 40 + x.sum(axis=1)[:, None] * np.linspace(0, 2, 12) + rng.standard_normal((300, 12))
    u, s, v = np.linalg.svd(curves, full_matrices=False)
    scaler = StandardScaler().fit(u[:, :3])
    chain = RegressorChain(LGBMRegressor(n_estimators=20, verbose=-1), order=[0, 1, 2])
    chain.fit(x, scaler.transform(u[:, :3]))
    rest = (u[:, :3] * s[:3]) @ v[:3] - curves + 1e-3 * rng.standard_normal(curves.shape)
    folder = tmp_path_factory.mktemp("nb211-v0.5")
    (folder / "0").mkdir()
    content = [chain, scaler, s, v, 3, gaussian_kde(rest.T)]
    joblib.dump(content, folder / "0/surrogate_model.model")
    wanted = (scaler.inverse_transform(chain.predict(x[:5])) * s[:3]) @ v[:3]
    return folder, archs[:5], x[:5], wanted


def test_a_converted_release_predicts_what_its_objects_do(release, tmp_path) -> None:
    folder, archs, x, wanted = release
    script = ROOT / "sevenfold/nas/x11/convert_released.py"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script, folder, tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 0 and "1 members converted" in done.stdout, done.stderr
    model = open_released(tmp_path)
    assert np.allclose(model.predict(x, "ready"), wanted, atol=1e-6)
    strings = NB201().to_strings(archs)
    assert np.allclose(model.predict(strings, "arch_str"), wanted, atol=1e-6)  # adj is the released encoding
    noise = model.predict(strings, "arch_str", with_noise=True) - model.predict(strings, "arch_str")
    assert 0 < np.abs(noise).max() <= 1.5


def test_what_was_not_converted_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="convert a released surrogate first"):
        open_released(tmp_path)
    (tmp_path / "member_0").mkdir()
    np.savez(tmp_path / "member_0/arrays.npz", s=np.ones(2))
    with pytest.raises(InputError, match="lacks link_0.txt, link_1.txt, mean, scale, v"):
        open_released(tmp_path)
