"""The tabular network of Savani et al. (2020), and wrappers for the logits or decisions of any classifier."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sevenfold.arrays import tensor
from sevenfold.errors import InputError
from sevenfold.seeding import seeded


class TabularNet(nn.Sequential):
    """Blocks of Linear, ReLU, dropout and BatchNorm, then one logit; ``depth`` blocks follow the first.

    The order, dropout before BatchNorm, and the sizes are those of Savani et al. (2020).
    """

    def __init__(self, features: int, *, width: int = 32, depth: int = 10, dropout: float = 0.2) -> None:
        layers: list[nn.Module] = []
        for inputs in [features] + [width] * depth:
            layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout), nn.BatchNorm1d(width)]
        super().__init__(*layers, nn.Linear(width, 1))


def sizes(network: nn.Module) -> dict[str, Any] | None:
    """Return the options of a ``TabularNet`` from its layers, or None for another network."""
    if not isinstance(network, TabularNet):
        return None
    first, dropout = network[0], network[2]
    assert isinstance(first, nn.Linear) and isinstance(dropout, nn.Dropout)
    return {
        "features": first.in_features,
        "width": first.out_features,
        "depth": len(network) // 4 - 1,
        "dropout": dropout.p,
    }


class Copies(nn.Module):
    """Copies of one ``TabularNet`` that train side by side: x (copies, B, d) gives logits (copies, B).

    Parameters and buffers are those of the plain networks, stacked; training is the same computation.
    """

    def __init__(self, networks: list[TabularNet]) -> None:
        super().__init__()
        self.dropout = next((m.p for m in networks[0] if isinstance(m, nn.Dropout)), 0.0)
        self.kinds = [type(layer) for layer in networks[0]]
        states = [network.state_dict() for network in networks]
        self.weights = nn.ParameterDict()
        self.statistics: dict[str, Tensor] = {}
        for name in states[0]:
            stacked = torch.stack([state[name] for state in states])
            if "running" in name or "num_batches" in name:
                self.statistics[name] = stacked
            else:
                self.weights[name.replace(".", "_")] = nn.Parameter(stacked)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        for i, kind in enumerate(self.kinds):
            if kind is nn.Linear:
                x = torch.baddbmm(self.weights[f"{i}_bias"][:, None], x, self.weights[f"{i}_weight"].mT)
            elif kind is nn.ReLU:
                x = x.relu()
            elif kind is nn.Dropout:
                x = nn.functional.dropout(x, self.dropout, self.training)
            else:
                x = self._normalize(x, i)
        return x[..., 0]

    def _normalize(self, x: Tensor, layer: int) -> Tensor:
        """Normalize as BatchNorm does: batch statistics in training, running ones otherwise."""
        # y = gamma (x - mu) / sqrt(sigma^2 + eps) + beta   (Ioffe & Szegedy 2015, algorithm 1)
        mean = self.statistics[f"{layer}.running_mean"][:, None]
        variance = self.statistics[f"{layer}.running_var"][:, None]
        if self.training:
            variance_now, mean_now = torch.var_mean(x, dim=1, keepdim=True, unbiased=False)
            with torch.no_grad():
                n = x.shape[1]
                mean.lerp_(mean_now, 0.1)
                # running variances are unbiased, variances of the batch are not, as in torch
                variance.lerp_(variance_now * n / (n - 1), 0.1)
            self.statistics[f"{layer}.num_batches_tracked"] += 1
            mean, variance = mean_now, variance_now
        scale = self.weights[f"{layer}_weight"][:, None] * (variance + 1e-5).rsqrt()
        return (x - mean) * scale + self.weights[f"{layer}_bias"][:, None]

    def states(self) -> list[dict[str, Tensor]]:
        """Return each copy's state as the plain network has it, copied."""
        values = {name.replace("_", ".", 1): value.detach() for name, value in self.weights.items()}
        values |= self.statistics
        copies = len(next(iter(values.values())))
        return [{name: value[i].clone() for name, value in values.items()} for i in range(copies)]


class Logits(nn.Module):
    """Any binary classifier as a map from inputs to one logit per row.

    ``output`` says what ``module`` returns: ``logit`` (n,) or (n, 1), ``two_logits`` (n, 2), the second for
    label 1, ``probability`` of label 1, or ``auto``: (n, 2) are two logits, one column is probabilities if a
    Sigmoid ends the module, else logits. ``module`` is not copied.
    """

    def __init__(self, module: nn.Module, output: str = "auto") -> None:
        super().__init__()
        self.module = module
        if output not in ("auto", "logit", "two_logits", "probability"):
            raise InputError(f"output must be auto, logit, two_logits or probability, got '{output}'")
        last = [m for m in module.modules() if not list(m.children())][-1]
        self.output = output
        self.ends_in_sigmoid = isinstance(last, nn.Sigmoid)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of label 1, (n,)."""
        out = logits_of(self.module(x))
        if not isinstance(out, Tensor) or out.ndim > 2 or (out.ndim == 2 and out.shape[1] not in (1, 2)):
            shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise InputError(
                f"the module returns {shape}; expected one value a row, (n,) or (n, 1), or two logits, "
                f"(n, 2). "
                "Wrap the module so that its forward returns one of these"
            )
        # log p_1 / p_0 of a softmax over two logits is their difference.
        if out.ndim == 2 and out.shape[1] == 2:
            if self.output not in ("auto", "two_logits"):
                raise InputError(f"output is '{self.output}' but the module returns two columns")
            return out[:, 1] - out[:, 0]
        flat = out[:, 0] if out.ndim == 2 else out
        if self.output == "probability" or (self.output == "auto" and self.ends_in_sigmoid):
            return torch.logit(flat, eps=1e-7)
        return flat


def logits_of(output: Any) -> Any:
    """Return the logits of a module's output: a tensor, ``.logits``, the entry ``logits``, or the first item.

    >>> logits_of({"loss": None, "logits": 3})
    3
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        if "logits" not in output:
            raise InputError(
                f"the module returns a mapping without 'logits', with {', '.join(map(str, output))}"
            )
        return output["logits"]
    if hasattr(output, "logits"):
        return output.logits
    return output[0] if isinstance(output, tuple | list) and output else output


class Shifted(nn.Module):
    """The logit of a network less a threshold, in float64: above 0 for decision 1.

    >>> Shifted(nn.Flatten(0), 0.5)(torch.tensor([[0.2], [0.9]])) > 0
    tensor([False,  True])
    """

    threshold: Tensor

    def __init__(self, network: nn.Module, threshold: float) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("threshold", torch.tensor(threshold, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Return shifted logits, (n,)."""
        return self.network(x).double() - self.threshold


class Decisions(nn.Module):
    """Decisions of a network with one logit a row: 1 where the logit is above the threshold."""

    def __init__(self, network: nn.Module, threshold: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("threshold", threshold)

    def example(self, rows: Any = None) -> Tensor:
        """Return example rows as float32; without any, a row of zeros for a ``TabularNet``."""
        inner = self.network.module if isinstance(self.network, Logits) else self.network
        options = sizes(inner)
        if rows is None and options is None:
            raise InputError("a network of your own needs example=: some rows that it can decide about")
        return (
            torch.zeros(1, options["features"])
            if rows is None and options
            else tensor(rows, "example").float()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return decisions (n,)."""
        return (self.network(x).double() > self.threshold).long()


def resnet18(seed: int, weights: str | None = None) -> nn.Module:
    """Return torchvision's ResNet-18 with one logit; ``weights`` names a file with a state to start from."""
    from torchvision.models import resnet18 as network

    # torchvision draws initial weights from the global generator (He et al. 2016 for the network)
    with seeded(seed, "image network"):
        model = network(num_classes=1)
    if weights is not None:
        if not Path(weights).is_file():
            raise InputError(f"'{weights}' does not exist; give a ResNet-18 state file, or null")
        state = torch.load(weights, map_location="cpu", weights_only=True)
        missing = model.load_state_dict(
            {k: v for k, v in state.items() if not k.startswith("fc.")}, strict=False
        )
        if missing.unexpected_keys or set(missing.missing_keys) - {"fc.weight", "fc.bias"}:
            raise InputError(f"'{weights}' is no state of torchvision's ResNet-18")
    return model
