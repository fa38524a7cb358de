"""Networks of other code behind the suite's own call: images, times and labels in, a tensor of images out."""

from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from sevenfold.config import ConfigError
from sevenfold.errors import InputError

PARTS = ("x", "time", "label")


@dataclass(frozen=True)
class Call:
    """How a network is called, and where its output is.

    Args:
        order: what its positional arguments are, of x, time and label; null: those that ``named`` leaves
            out, in this order, without label where there are no classes.
        named: what its keyword arguments are, by name.
        times: whether it is given times as numbers of float or int.
        output: attribute or key of its output; null: the tensor, the first of a tuple, or ``sample``.

    Example:
        >>> Call(named={"timestep": "time"}).arguments(classes=0)
        (['x'], {'timestep': 'time'})
    """

    order: list[str] | None = None
    named: dict[str, str] = field(default_factory=dict)
    times: Literal["float", "int"] = "float"
    output: str | None = None

    def __post_init__(self) -> None:
        parts = [*(self.order or []), *self.named.values()]
        if wrong := [part for part in parts if part not in PARTS]:
            raise ConfigError("order", f"'{wrong[0]}' is none of x, time and label")
        if len(set(parts)) < len(parts):
            raise ConfigError("order", f"names a part twice: {', '.join(parts)}")
        if self.order is not None and not {"x", "time"} <= set(parts):
            raise ConfigError("order", f"needs x and time, got {', '.join(parts) or 'nothing'}")

    def arguments(self, classes: int) -> tuple[list[str], dict[str, str]]:
        """Return the parts of the positional and of the named arguments."""
        if self.order is not None:
            return self.order, self.named
        parts = PARTS if classes else PARTS[:2]
        return [part for part in parts if part not in self.named.values()], self.named


class Called(nn.Module):
    """A network of other code as ``network(x, time, labels)``.

    Args:
        network: any module.
        call: how it is called.
        channels: of images; of an output with twice as many the first half is used (learned variances).
        classes: 0 for none.
    """

    def __init__(self, network: nn.Module, call: Call, *, channels: int, classes: int) -> None:
        super().__init__()
        self.network, self.channels, self.output = network, channels, call.output
        self.order, self.named = call.arguments(classes)
        self.whole = call.times == "int"

    def forward(self, x: Tensor, time: Tensor, labels: Tensor) -> Tensor:
        """Return the output (N, C, H, W) for images at ``time`` (N,) with ``labels`` (N,)."""
        parts = {"x": x, "time": time.round().long() if self.whole else time, "label": labels}
        named = {name: parts[part] for name, part in self.named.items()}
        images = self._tensor(self.network(*(parts[part] for part in self.order), **named))
        if images.ndim != 4 or images.shape[1] not in (self.channels, 2 * self.channels):
            raise InputError(
                f"the network returned shape {tuple(images.shape)} for images of shape {tuple(x.shape)}; set "
                "the prior's 'call.output'"
            )
        # the second half is an interpolation of variances   (Nichol & Dhariwal 2021, eq. 15)
        return images[:, : self.channels]

    def _tensor(self, output: Any) -> Tensor:
        if self.output is None and isinstance(output, Tensor):
            return output
        if self.output is None and isinstance(output, tuple) and not hasattr(output, "sample"):
            return self._tensor(output[0])
        name = self.output or "sample"
        value = output.get(name) if isinstance(output, dict) else getattr(output, name, None)
        if not isinstance(value, Tensor):
            raise InputError(
                f"the network returned {type(output).__name__} without a tensor '{name}'; set the prior's "
                "'call.output'"
            )
        return value
