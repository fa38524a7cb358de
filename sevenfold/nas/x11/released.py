"""Surrogates of the authors, after ``convert_released.py`` made plain files of them."""

from pathlib import Path
from typing import Any

import numpy as np

from sevenfold.config import build
from sevenfold.errors import InputError
from sevenfold.nas.spaces import SPACES
from sevenfold.nas.x11.conditioning import Conditioning
from sevenfold.nas.x11.drop_in import DropIn
from sevenfold.nas.x11.ensemble import Ensemble
from sevenfold.nas.x11.noise.kde import KDE
from sevenfold.nas.x11.surrogate import Surrogate
from sevenfold.seeding import numpy_generator

COMPAT_CLIP, COMPAT_SCALE = 3.0, 0.5


def open_released(folder: str | Path, *, space: str = "nb201", compat: bool = True) -> DropIn:
    """Open converted members as one surrogate; give its queries ready encodings, or cells of NAS-Bench-201.

    The denoised curve is the mean over members. Noise is drawn from each first member's samples; ``compat``
    cuts it at 3 points and halves it, as released. It is added to the mean over members, not to member 0.
    Samples of the conditioning on observed epochs were not released: it is off.
    """
    folders = sorted(Path(folder).glob("member_*"), key=lambda path: int(path.name.rpartition("_")[2]))
    if not folders:
        raise InputError(f"'{folder}' has no member_0; convert a released surrogate first")
    parts = [read_member(path) for path in folders]
    epochs, k = parts[0][0]["v"].shape[1], len(parts[0][0]["s"])
    ensemble = Ensemble(
        build(SPACES, {"name": space}, "space"),
        encoding="adj",
        metrics=["val/acc"],
        epochs=epochs,
        compression={"name": "svd", "k": k, "center": False},
        regressor={"name": "lgb", "chained": True},
        members=len(parts),
    )
    state: dict[str, Any] = {"blocks": np.ones(1)}
    for m, (arrays, links) in enumerate(parts):
        own = {"shift": arrays["mean"], "scale": arrays["scale"]}
        svd = {"mean": np.zeros(epochs), "s": arrays["s"], "v": arrays["v"], "energy": np.zeros(0)}
        own |= {f"compression/{name}": value for name, value in svd.items()}
        own |= {"regressor/chained": np.array(True)}
        own |= {f"regressor/link_{j}": text for j, text in enumerate(links)}
        state |= {f"member_{m}/{name}": value for name, value in own.items()}
    ensemble.load(state)
    return DropIn(_with_noise(ensemble, parts[0][0], compat))


def _with_noise(ensemble: Ensemble, arrays: dict[str, Any], compat: bool) -> Surrogate:
    if "noise" not in arrays:
        return Surrogate(ensemble, noise={"name": "none"}, spikes=False)
    limits = {"clip": COMPAT_CLIP, "scale": COMPAT_SCALE} if compat else {}
    surrogate = Surrogate(ensemble, noise={"name": "kde", **limits}, spikes=False)
    model = surrogate.noise.models[0]
    assert isinstance(model, KDE)
    from sevenfold.nas.x11.noise.base import Deviations

    # The density ignores architectures and curves: only deviations were released.
    nothing = np.zeros((len(arrays["noise"]), 0))
    model.fit(Deviations(nothing, nothing, arrays["noise"]), numpy_generator(0, "released"))
    surrogate.conditioning = [Conditioning()]
    return surrogate


def read_member(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return arrays and boosters' texts of one member; ``InputError`` where they do not fit together."""
    try:
        with np.load(folder / "arrays.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"'{folder}': arrays.npz is no readable .npz without objects: {error}") from None
    paths = [folder / f"link_{j}.txt" for j in range(len(arrays.get("s", ())))]
    missing = [path.name for path in paths if not path.is_file()]
    absent = [name for name in ("mean", "scale", "s", "v") if name not in arrays]
    if missing or absent:
        raise InputError(f"'{folder}' lacks {', '.join([*missing, *absent])}; convert the release again")
    if not np.array_equal(arrays.get("order", np.arange(len(paths))), np.arange(len(paths))):
        raise InputError(f"'{folder}': the chain has another order than 0, 1, ...; that is not supported")
    return arrays, [path.read_text() for path in paths]
