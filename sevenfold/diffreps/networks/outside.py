"""Networks that come with files: a class of a Python file, exported programs, folders of diffusers.

Nothing is downloaded. Labels are those of the network; the prior's ``null_label`` says which means no class.
"""

import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sevenfold.config import ConfigError
from sevenfold.errors import InputError, one_line
from sevenfold.tables import allowed

# class in config.json -> names of its arguments for images, times and classes
FOLDERS = {
    "UNet2DModel": ("sample", "timestep", "class_labels"),
    "UNet2DConditionModel": ("sample", "timestep", "class_labels"),
    "DiTTransformer2DModel": ("hidden_states", "timestep", "class_labels"),
}


def file(*, path: str, class_name: str, args: dict[str, Any] = {}) -> nn.Module:  # noqa: B006
    """Return a network whose class is in a Python file, which is run: the command line must allow its name.

    Args:
        path: the file, such as nets/my_net.py, allowed by ``--allow my_net``.
        class_name: the class.
        args: arguments of its constructor.
    """
    place = existing(path)
    if place.stem not in allowed():
        raise ConfigError("path", f"'{path}' is code outside the suite: say --allow {place.stem} to trust it")
    spec = importlib.util.spec_from_file_location(place.stem, place)
    if spec is None or spec.loader is None:
        raise ConfigError("path", f"'{path}' is no Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        network = getattr(module, class_name)(**args)
    except AttributeError:
        names = sorted(
            name
            for name, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, nn.Module)
        )
        raise ConfigError("class_name", f"'{class_name}' is none of {', '.join(names)}") from None
    except Exception as error:  # whatever somebody's code raises
        raise ConfigError("path", f"cannot make {class_name} of '{path}': {one_line(error)}") from None
    if not isinstance(network, nn.Module):
        raise ConfigError("class_name", f"'{class_name}' is no torch.nn.Module")
    return network


class Program(nn.Module):
    """A program without code, called where it was made: inputs are moved to its device and back."""

    with_weights = True

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        # hidden from ``eval`` and ``to``, which exported programs refuse
        self.hidden = [program]
        tensors = [*program.parameters(), *program.buffers()]
        self.device = tensors[0].device if tensors else torch.device("cpu")

    def forward(self, *parts: Tensor, **named: Tensor) -> Any:
        """Return what the program returns."""
        moved = {name: part.to(self.device) for name, part in named.items()}
        output = self.hidden[0](*(part.to(self.device) for part in parts), **moved)
        like = [*parts, *named.values()][0]
        return output.to(like.device) if isinstance(output, Tensor) else output


def exported(*, path: str) -> Program:
    """Return a program of ``torch.export`` with a dynamic batch.

    Args:
        path: the file (.pt2).
    """
    return _program(path, lambda place: torch.export.load(place).module(), "torch.export")


def scripted(*, path: str) -> Program:
    """Return a TorchScript program.

    Args:
        path: the file (.pt).
    """

    def load(place: str) -> nn.Module:
        with warnings.catch_warnings():  # torch.jit is deprecated; its files exist all the same
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(place, map_location="cpu").eval()

    return _program(path, load, "torch.jit")


def _program(path: str, load: Any, kind: str) -> Program:
    place = existing(path)
    try:
        return Program(load(str(place)))
    except Exception as error:  # damaged archives raise what their readers raise
        raise InputError(f"'{path}' is no program of {kind}: {one_line(error)}") from None


class Folder(nn.Module):
    """A network of diffusers from its folder, with its weights.

    Args:
        path: folder with config.json: that of a UNet2DModel, UNet2DConditionModel without text, or
            DiTTransformer2DModel.
    """

    with_weights = True

    def __init__(self, *, path: str) -> None:
        super().__init__()
        config = existing(str(Path(path) / "config.json"))
        kind = json.loads(config.read_text()).get("_class_name")
        if kind not in FOLDERS:
            raise InputError(f"'{path}' holds a {kind}; known are {', '.join(FOLDERS)}")
        try:
            import diffusers
        except ImportError:
            raise ConfigError(
                "name", "diffusers needs the package diffusers: pip install 'sevenfold[diffrep]'"
            ) from None
        self.names = FOLDERS[kind]
        self.inner: Any = getattr(diffusers, kind).from_pretrained(
            path, local_files_only=True, low_cpu_mem_usage=False
        )
        self.text = kind == "UNet2DConditionModel"
        # DiT's table of classes has one row more, for none
        self.null_label = self.inner.config.num_embeds_ada_norm if kind.startswith("DiT") else None

    def forward(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the output (N, C or 2 C, H, W) for images at ``time`` (N,)."""
        image, when, which = self.names
        named: dict[str, Any] = {image: x, when: time, which: labels}
        if self.text:
            named["encoder_hidden_states"] = None
        output: Tensor = self.inner(**named, return_dict=False)[0]
        return output


def existing(path: str) -> Path:
    """Return a path; raises ``InputError`` where there is no file."""
    if not Path(path).is_file():
        raise InputError(f"'{path}' does not exist; set the network's 'path'")
    return Path(path)
