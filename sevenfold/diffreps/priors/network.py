"""Priors given by networks, trained here or by others; the configuration describes their conventions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sevenfold.checkpoint import read_checkpoint
from sevenfold.config import ConfigError, build
from sevenfold.diffreps import NETWORKS
from sevenfold.diffreps.nodes import NetworkNode
from sevenfold.diffreps.noise_table import NoiseTable, Prediction, denoised
from sevenfold.diffreps.priors.base import Condition, Prior, spread
from sevenfold.diffreps.process import Process, Table, make_process
from sevenfold.errors import InputError
from sevenfold.ranges import Finite, NonNegativeInt, Size


class NetworkPrior(Prior):
    """A network trained with a noising process, as a denoiser in sigma space (Karras et al. 2022).

    Args:
        network: called with images (N, C, H, W), times (N,) and labels (N,), -1 for none.
        process: of its training: a noise table, whose steps are counted from 0 here, or continuous times.
        prediction: the quantity that it predicts.
        shape, data_range, classes: of its images.
        time_base, time_scale: the network's time of step t is time_base + time_scale t.
        whole_times: whether noise levels between steps of a table are rounded to the nearest step.

    Example:
        >>> import torch
        >>> class Zero(torch.nn.Module):
        ...     def forward(self, x, time, labels):
        ...         return torch.zeros_like(x)
        >>> shape, data_range = (1, 8, 8), (-1.0, 1.0)
        >>> prior = NetworkPrior(Zero(), NoiseTable(), prediction="eps", shape=shape, data_range=data_range)
        >>> prior.sigma_min < prior.sigma_max
        True
    """

    def __init__(
        self,
        network: nn.Module,
        process: NoiseTable | Process,
        *,
        prediction: Prediction,
        shape: tuple[int, int, int],
        data_range: tuple[float, float],
        classes: int = 0,
        time_base: float = 0.0,
        time_scale: float = 1.0,
        whole_times: bool = True,
    ) -> None:
        super().__init__()
        if data_range[0] >= data_range[1]:
            raise ConfigError("data_range", f"must rise, got {list(data_range)}")
        self.network, self.prediction = network.eval().requires_grad_(False), prediction
        self.process = Table(process) if isinstance(process, NoiseTable) else process
        self.noise_table = self.process.table if isinstance(self.process, Table) else None
        self.shape, self.range, self.classes = shape, data_range, classes
        self.time_base, self.time_scale = time_base, time_scale
        self.whole_times = whole_times and self.noise_table is not None
        self.sigma_min, self.sigma_max = self.process.bounds

    def denoise(self, z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return E[x0 | z] by one call of the network."""
        time = self.process.time_of(sigma.cpu())
        if self.whole_times:
            time = time.round().long()
            a, s = self.process.levels(time)
            sigma = s / a
        # input x = a z with a of the process at sigma; sigma between the steps of a table by interpolation
        level = spread(sigma, z)
        a = spread(self.process.signal(sigma), z)
        network_time = (self.time_base + self.time_scale * time).to(z)
        output = self.network(a * z, network_time, condition.labels)
        return denoised(output, z, level, self.prediction, a)


class Denoise(nn.Module):
    """A prior as a module of tensors: noisy images, noise levels and labels to denoised images."""

    def __init__(self, prior: NetworkPrior) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, x: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
        """Return E[x0 | x0 + sigma e = x] (N, C, H, W); ``labels`` (N,) are -1 for none."""
        return self.prior.denoise(x, sigma, Condition(labels))


def state_dict(
    *,
    path: str,
    network: NetworkNode = {"name": "mnist_unet"},  # noqa: B006 (never changed)
    shape: tuple[Size, Size, Size] = (1, 28, 28),
    data_range: tuple[Finite, Finite] = (0.0, 1.0),
    table: NoiseTable = NoiseTable(),
    prediction: Prediction = "eps",
    classes: NonNegativeInt = 0,
    time_base: Finite = 0.0,
    time_scale: Finite = 1.0,
    whole_times: bool = True,
) -> NetworkPrior:
    """Load published weights, a file of plain tensors, into a component of ``NETWORKS``.

    Raises ``InputError`` where the file is absent or its tensors do not fit the network.

    Args:
        path: the file.
        network: the network that the weights belong to.
        shape: (C, H, W) of its images.
        data_range: lowest and highest value of its images.
        table: noise levels of its training.
        prediction: the quantity it predicts: noise (``eps``), the image (``x0``) or ``v``.
        classes: number of classes; 0: none.
        time_base, time_scale: the network's time of step t is time_base + time_scale t.
        whole_times: whether noise levels between whole steps are rounded to the nearest step.
    """
    model: nn.Module = build(NETWORKS, network, "network")
    if not Path(path).is_file():
        raise InputError(f"weights '{path}' do not exist; set the prior's 'path'")
    state = torch.load(path, map_location="cpu", weights_only=True)
    try:
        model.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise InputError(
            f"'{path}' does not fit {network['name']}: {' '.join(str(error).split())[:300]}"
        ) from None
    return NetworkPrior(
        model, table, prediction=prediction, shape=shape, data_range=data_range, classes=classes,
        time_base=time_base, time_scale=time_scale, whole_times=whole_times,
    )  # fmt: skip


def unet(*, path: str) -> NetworkPrior:
    """Load a checkpoint of ``denoiser_trainer``, which includes the options of its training.

    Args:
        path: the checkpoint.
    """
    checkpoint = read_checkpoint(path)
    facts = checkpoint.get("denoiser")
    if facts is None:
        raise InputError(f"'{path}' is no checkpoint of denoiser_trainer")
    network = build(NETWORKS, facts["network"], "network")
    # a checkpoint of Lightning: the network's weights with a prefix, its options under "denoiser"
    weights = {
        k.removeprefix("network."): v for k, v in checkpoint["state_dict"].items() if k.startswith("network.")
    }
    network.load_state_dict(weights)
    return from_facts(network, facts)


def from_facts(network: nn.Module, facts: Mapping[str, Any]) -> NetworkPrior:
    """Return the prior of a network and of what a training has recorded of it."""
    process = make_process(facts.get("process", "table"), NoiseTable(**facts["table"]))
    return NetworkPrior(
        network, process, prediction=facts["prediction"], shape=tuple(facts["shape"]),
        data_range=tuple(facts["range"]), classes=facts["classes"],
    )  # fmt: skip
