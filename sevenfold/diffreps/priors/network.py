"""Priors given by networks, trained here or by others; the configuration describes their conventions."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from sevenfold.checkpoint import read_checkpoint
from sevenfold.config import ConfigError, build
from sevenfold.diffreps import NETWORKS, PROCESSES
from sevenfold.diffreps.networks.called import Call, Called
from sevenfold.diffreps.nodes import NetworkNode, ProcessNode
from sevenfold.diffreps.noise_table import NoiseTable, Prediction, denoised, input_of
from sevenfold.diffreps.priors.base import Condition, Prior, spread
from sevenfold.diffreps.process import EDM, Process, Table, make_process
from sevenfold.diffreps.weights import load_into, read_weights
from sevenfold.errors import InputError, one_line
from sevenfold.ranges import MOST, Finite, NonNegativeInt, Range, Size

NATIVE = -1
FAR = 200.0
VP = {"name": "vp"}
MNIST = {"name": "mnist_unet"}


class NetworkPrior(Prior):
    """A network trained with a noising process, as a denoiser in sigma space (Karras et al. 2022).

    Args:
        network: called with images (N, C, H, W), times (N,) and labels (N,), ``null_label`` for none.
        process: of its training: a noise table, whose steps are counted from 0 here, or another process.
        prediction: the quantity that it predicts.
        shape, data_range, classes: of its images.
        null_label: the label of no class; None where the network knows images of a class only.
        time_base, time_scale: the network's time of step t is time_base + time_scale t.
        whole_times: whether noise levels between steps of a table are moved to the nearest step.

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
        null_label: int | None = NATIVE,
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
        self.null_label, self.unconditional = null_label, null_label is not None or not classes
        self.time_base, self.time_scale = time_base, time_scale
        self.whole_times = whole_times and self.noise_table is not None
        self.edm_std = self._edm_std()
        self.sigma_min, self.sigma_max = self.process.bounds
        self.needs_signal = prediction in ("eps", "score")
        if self.needs_signal and math.isinf(self.sigma_max):
            if self.noise_table is not None:
                raise ConfigError(
                    "prediction",
                    f"{prediction} cannot be read at zero signal; the flag 'zero_snr' (abar that ends in 0) "
                    "needs v",
                )
            self.sigma_max = FAR

    def _edm_std(self) -> float:
        if self.prediction != "edm":
            return 1.0
        if not isinstance(self.process, EDM):
            raise ConfigError("prediction", "edm needs the process edm, whose 'std' its scales are made of")
        return self.process.std

    def denoise(self, z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return E[x0 | z] by one call of the network."""
        return self.at(z, torch.zeros_like(z), sigma, condition)

    def at(self, y: Tensor, e: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return the denoised image of y + sigma e by one call of the network, with the input a y + s e."""
        levels = sigma.double().cpu()
        if self.needs_signal and not torch.compiler.is_compiling() and bool(levels.isinf().any()):
            raise InputError(
                f"{self.prediction} cannot be read at infinite noise: 'sigma_max' must be finite"
            )
        time, (a, s) = self.process.time_of(levels), self.process.coordinates(levels)
        if self.whole_times:
            # the level moves to the nearest step, with exactly that step's a and s
            assert isinstance(self.process, Table)
            time = time.round().long()
            a, s = self.process.levels(time)
        a, s = spread(a, y), spread(s, y)
        x = a * y + s * e
        output = self.network(
            input_of(x, s, self.prediction, self.edm_std),
            (self.time_base + self.time_scale * time).to(y),
            self._labels(condition.labels),
        )
        return denoised(output, x, a, s, self.prediction, self.edm_std)

    def _labels(self, labels: Tensor) -> Tensor:
        if self.null_label in (None, NATIVE):
            return labels
        return labels.masked_fill(labels < 0, self.null_label)


class Denoise(nn.Module):
    """A prior as a module of tensors: noisy images, noise levels and labels to denoised images."""

    def __init__(self, prior: NetworkPrior) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, x: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
        """Return E[x0 | x0 + sigma e = x] (N, C, H, W); ``labels`` (N,) are -1 for none."""
        return self.prior.denoise(x, sigma, Condition(labels))


def network(
    *,
    network: NetworkNode = MNIST,
    weights: str | None = None,
    key: str | None = None,
    prefix: str = "",
    process: ProcessNode = VP,
    prediction: Prediction = "eps",
    shape: tuple[Size, Size, Size] = (1, 28, 28),
    data_range: tuple[Finite, Finite] = (0.0, 1.0),
    classes: NonNegativeInt = 0,
    null_label: Annotated[int, Range(-1, MOST, note="-1: the network takes -1 itself")] | None = None,
    call: Call = Call(),
    time_base: Finite = 0.0,
    time_scale: Finite = 1.0,
    whole_times: bool = True,
) -> NetworkPrior:
    """Return any network as a prior: a component of ``NETWORKS``, code of yours, or a file.

    Raises ``InputError`` where weights do not fit the network, and where it cannot be called as described.

    Args:
        network: the network; code of yours is ``package.module:Class``, or ``file``.
        weights: file of its weights (.pth, .pt, .ckpt, .safetensors); null: it has them already.
        key: dotted place of the weights inside the file, such as ``ema``; null: the file itself.
        prefix: start of the names of the weights, which is removed.
        process: noising process of its training.
        prediction: what it predicts: noise (``eps``), the image (``x0``), ``v``, ``flow`` (noise minus
            image), the ``score``, or ``edm``.
        shape: (C, H, W) of its images.
        data_range: lowest and highest value of its images.
        classes: number of classes; 0: none.
        null_label: the label of no class; null: that of a component of the suite; others have none then, and
            guidance and samples without a class are refused.
        call: how it is called.
        time_base, time_scale: the network's time of step t is time_base + time_scale t.
        whole_times: whether noise levels between whole steps of a table are moved to the nearest step.
    """
    model: nn.Module = build(NETWORKS, network, "network")
    if weights is not None:
        load_into(model, read_weights(weights, key, prefix), weights)
    elif not getattr(model, "with_weights", False):
        raise ConfigError("weights", "are required: without them the network's numbers are random")
    prior = NetworkPrior(
        Called(model, call, channels=shape[0], classes=classes), build(PROCESSES, process, "process"),
        prediction=prediction, shape=shape, data_range=data_range, classes=classes,
        null_label=getattr(model, "null_label", None) if null_label is None else null_label,
        time_base=time_base, time_scale=time_scale, whole_times=whole_times,
    )  # fmt: skip
    _try(prior)
    return prior


def _try(prior: NetworkPrior) -> None:
    """Call a network once with two images, so that a wrong description is refused before a run."""
    sigma, labels = torch.full((2,), prior.sigma_min), torch.full((2,), min(prior.classes, 1) - 1)
    try:
        with torch.no_grad():
            image = prior.at(
                torch.zeros(2, *prior.shape), torch.zeros(2, *prior.shape), sigma, Condition(labels)
            )
    except InputError:
        raise
    except Exception as error:  # whatever somebody's network raises
        raise InputError(
            f"the network cannot be called with two images of shape {prior.shape}: "
            f"{one_line(error)[:200]}; see the prior's 'call', 'shape' and 'classes'"
        ) from None
    if image.shape != (2, *prior.shape) or not bool(image.isfinite().all()):
        raise InputError(
            f"the network's output for two images of shape {prior.shape} has shape {tuple(image.shape)}"
            + ("" if image.isfinite().all() else " and values that are not finite")
        )


def unet(*, path: str) -> NetworkPrior:
    """Load a checkpoint of ``denoiser_trainer``, which includes the options of its training.

    Args:
        path: the checkpoint.
    """
    checkpoint = read_checkpoint(path)
    facts = checkpoint.get("denoiser")
    if facts is None:
        raise InputError(f"'{path}' is no checkpoint of denoiser_trainer")
    model: nn.Module = build(NETWORKS, facts["network"], "network")
    # a checkpoint of Lightning: the network's weights with a prefix, its options under "denoiser"
    weights = {
        k.removeprefix("network."): v for k, v in checkpoint["state_dict"].items() if k.startswith("network.")
    }
    load_into(model, weights, path)
    return from_facts(model, facts)


def from_facts(model: nn.Module, facts: Mapping[str, Any]) -> NetworkPrior:
    """Return the prior of a network and of what a training has recorded of it."""
    process = make_process(facts.get("process", "table"), NoiseTable(**facts["table"]))
    return NetworkPrior(
        model, process, prediction=facts["prediction"], shape=tuple(facts["shape"]),
        data_range=tuple(facts["range"]), classes=facts["classes"],
    )  # fmt: skip
