"""Open what a run has left: ``sevenfold.load("runs/demo/version_0")``.

This file is a door of the package, as :mod:`sevenfold.main` is: it knows Lightning and the adapters, and
imports them only when it is used.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sevenfold.errors import InputError, shown
from sevenfold.tables import allow as allow_packages
from sevenfold.zoo import Card, card, weights
from sevenfold.zoo import names as published

if TYPE_CHECKING:
    import torch

    from lightning_modules.loadable import Loadable


def load(path: str | Path, *, allow: str | Sequence[str] = (), device: "str | torch.device" = "cpu") -> Any:
    """Return the trained module of a run folder, a checkpoint or the zoo, or the study of a study's folder.

    The module is in evaluation mode and has the run's ``config``; no data is opened and nothing unpickled. A
    study's module has the folder's ``records()`` and ``report()``.

    Args:
        path: a run folder (its last checkpoint is taken), a checkpoint file, or a name of the zoo such as
            ``flow/demo`` (:mod:`sevenfold.zoo`; of a table there the benchmark is returned).
        allow: packages of one's own whose classes, ``package.module:Class``, it may name; what it names of
            other packages is refused before anything is imported.
        device: where the module's tensors are put.

    >>> import torch
    >>> flow = load("flow/demo")
    >>> flow.estimate(torch.rand(3, 64, 96), torch.rand(3, 64, 96)).shape
    torch.Size([1, 2, 64, 96])
    """
    # Before the file is read: what it names is imported while it is read.
    allow_packages(*([allow] if isinstance(allow, str) else allow))
    place = Path(path)
    if not place.exists() and str(path) in published():
        return _published(card(str(path)), device)
    try:
        if place.is_dir():
            config = _run_config(place)
            module = _study(config, place) if config.get("study") else _model(_checkpoint(place))
        elif place.is_file():
            module = _model(place)
        else:
            raise InputError(
                f"{shown(str(path))} does not exist: give a run folder (output_dir/name/version_N), a "
                f"checkpoint file (.../checkpoints/last.ckpt), or one of {', '.join(published())}"
            )
    except InputError as error:
        # The same refusal as on the command line, with the cure of this door.
        hint = str(error).replace("say --allow ", "give allow= with ")
        raise (error if hint == str(error) else InputError(hint)) from None
    return module.to(device).eval()


def _published(entry: Card, device: "str | torch.device") -> Any:
    """Return what a card of the zoo describes."""
    if entry.kind == "benchmark":
        from sevenfold.nas import load_benchmark

        return load_benchmark(entry.name.rpartition("/")[2])
    if entry.kind == "extrapolator":
        from sevenfold.nas.lce.pfn.extrapolator import PFN

        return PFN(weights=str(weights(entry)))
    from lightning_modules.loadable import module_class
    from sevenfold.checkpoint import recorded_model
    from sevenfold.zoo.pack import read

    path = weights(entry)
    content = read(path)
    name, _ = recorded_model(content, path)
    return module_class(name).from_content(content, path, {}).to(device).eval()


def _run_config(folder: Path) -> dict[str, Any]:
    """Return the resolved configuration in a run folder."""
    from sevenfold.yaml_files import read_file

    if not (folder / "config.yaml").is_file():
        runs = sorted(folder.glob("version_*/config.yaml"), key=lambda file: file.stat().st_mtime)
        near = f"; its newest run is '{runs[-1].parent}'" if runs else ""
        raise InputError(f"'{folder}' is no run folder: it has no config.yaml{near}")
    return read_file(folder / "config.yaml")


def _checkpoint(folder: Path) -> Path:
    """Return the last checkpoint of a run, or without one the one it calls best."""
    from sevenfold.checkpoint import read_checkpoint

    files = sorted((folder / "checkpoints").glob("*.ckpt"), key=lambda file: file.stat().st_mtime)
    last = folder / "checkpoints/last.ckpt"
    if last in files or len(files) == 1:
        # "last" has the newest weights; a folder without it kept the best of a monitored metric.
        return last if last in files else files[0]
    if not files:
        raise InputError(f"'{folder}' holds no checkpoint: nothing was trained there, or none was saved")
    states = read_checkpoint(files[-1]).get("callbacks", {})
    best = {Path(state["best_model_path"]).name for state in states.values() if "best_model_path" in state}
    return next((file for file in files if file.name in best), files[-1])


def _model(path: Path) -> "Loadable":
    """Return the module of a checkpoint."""
    from lightning_modules.loadable import module_class
    from sevenfold.checkpoint import read_checkpoint, recorded_model

    content = read_checkpoint(path)
    name, _ = recorded_model(content, path)
    return module_class(name).from_content(content, path, {})


def _study(config: dict[str, Any], folder: Path) -> "Loadable":
    """Return the module of a study that has been run into a folder."""
    from lightning_modules import STUDY_MODULE, STUDY_MODULES
    from lightning_modules.loadable import module_class
    from lightning_modules.study import StudyModule
    from sevenfold.config import name_of

    kind = module_class(STUDY_MODULES.get(name_of(config["study"], "study"), STUDY_MODULE))
    module = kind.make({"study": config["study"], "seed": config.get("seed", 0)})
    assert isinstance(module, StudyModule)
    module.folder, module.run_config = folder, config
    return module
