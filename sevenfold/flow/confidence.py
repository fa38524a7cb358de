"""How far an estimate can be trusted: signals of error, the error they let expect, occlusion."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.flow.warp import warp

OFFSETS = {"consistency": 0.05, "step": 0.02, "photo": 0.01, "scale": 0.05}
"""Names of the signals, in the order of coefficients, and what is added before their logarithm is taken."""
WITHIN = ("consistency", "photo")  # signals that exist only where the flow ends inside the frame
ERROR_OFFSET, RIGHT, KNOTS = 0.05, 1.0, 20
Compute = Callable[[str, Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Signals:
    """Maps (B, H, W) by name of a signal, and where the flow ends ``inside`` the frame, bool (B, H, W).

    ``consistency``: |F(x) + B(w(x))| in px (Meister et al. 2018, eq. 1); ``step``: length of the last move
    of the estimate in px; ``photo``: mean over channels of |I2(w(x)) - I1(x)|; ``scale``: mean absolute
    error per component in px that the network predicts (Wang et al. 2024).
    """

    maps: Mapping[str, Tensor]
    inside: Tensor


def signals(
    flow: Tensor,
    image1: Tensor,
    image2: Tensor,
    *,
    backward: Tensor | None = None,
    step: Tensor | None = None,
    scale: Tensor | None = None,
) -> Signals:
    """Return the signals of an estimate that can be computed from what there is.

    ``flow`` and ``backward`` are (B, 2, H, W) in px, images (B, 3, H, W) in [0, 1], ``step`` (B, 2, H, W) the
    last move, ``scale`` (B, H, W) the predicted error.
    """
    pulled, inside = warp(image2, flow)
    maps: dict[str, Tensor] = {}
    if backward is not None:
        # e_fb = |F(x) + B(x + F(x))| (Meister et al. 2018, eq. 1).
        maps["consistency"] = torch.linalg.vector_norm(flow + warp(backward, flow)[0], dim=1)
    if step is not None:
        maps["step"] = torch.linalg.vector_norm(step, dim=1)
    maps["photo"] = (pulled - image1).abs().mean(dim=1)
    if scale is not None:
        maps["scale"] = scale
    return Signals(maps, inside)


def occlusion(flow: Tensor, backward: Tensor) -> Tensor:
    """Tell which pixels are hidden in the second frame, or leave it, bool (B, H, W).

    ``flow`` and ``backward`` are (B, 2, H, W) in px; constants of Meister et al. 2018 (eq. 1).

    Example:
        >>> import torch
        >>> still = torch.zeros(1, 2, 4, 4)
        >>> bool(occlusion(still, still).any()), bool(occlusion(still, still + 2).all())
        (False, True)
    """
    back, inside = warp(backward, flow)
    # |F + B(w)|^2 > 0.01 (|F|^2 + |B(w)|^2) + 0.5 (Meister et al. 2018, eq. 1).
    apart = (flow + back).square().sum(dim=1)
    bound = 0.01 * (flow.square().sum(dim=1) + back.square().sum(dim=1)) + 0.5
    return (apart > bound) | ~inside


@dataclass(frozen=True)
class Calibration:
    """What turns signals into an expected error and a confidence, for each combination of signals.

    ``rows``: combination, its names in the order of ``OFFSETS`` joined by "+", to the intercept and one
    coefficient a signal. ``curves``: combination to knots of expected error in px (increasing) and the share
    of pixels right within 1 px there.
    """

    rows: Mapping[str, Sequence[float]]
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]

    def expected_error(self, given: Signals) -> Tensor:
        """Return the expected end-point error in px (B, H, W).

        Raises ``InputError`` where there is no row for these signals.
        """
        return self._chosen(given, self._error)

    def confidence(self, given: Signals) -> Tensor:
        """Return how likely each pixel is right within 1 px, (B, H, W) in [0, 1]."""

        def share(name: str, maps: Mapping[str, Tensor]) -> Tensor:
            errors, shares = self.curves[name]
            return _between(self._error(name, maps), errors, shares)

        return self._chosen(given, share)

    def _chosen(self, given: Signals, compute: Compute) -> Tensor:
        """Compute with all signals where the flow ends inside, elsewhere with those that exist there."""
        everywhere = {name: part for name, part in given.maps.items() if name not in WITHIN}
        full = compute(self._row(given.maps), given.maps)
        if not everywhere:
            return full
        return torch.where(given.inside, full, compute(self._row(everywhere), everywhere))

    def _row(self, maps: Mapping[str, Tensor]) -> str:
        name = combination(maps)
        if name not in self.rows:
            known = ", ".join(self.rows)
            raise InputError(f"this model is calibrated for {known}, not for the signals {name}")
        return name

    def _error(self, name: str, maps: Mapping[str, Tensor]) -> Tensor:
        intercept, *weights = self.rows[name]
        # log e = c0 + sum_i c_i log(s_i + offset_i), the least-squares fit on validation scenes.
        total = torch.full_like(next(iter(maps.values())), intercept)
        for weight, signal in zip(weights, name.split("+"), strict=True):
            total = total + weight * torch.log(maps[signal] + OFFSETS[signal])
        return total.exp()


def combination(names: Mapping[str, object] | Sequence[str]) -> str:
    """Return the name of a combination of signals, whatever their order.

    >>> combination(["photo", "step"])
    'step+photo'
    """
    return "+".join(name for name in OFFSETS if name in names)


def calibrate(
    values: Mapping[str, np.ndarray], inside: np.ndarray, error: np.ndarray, combinations: Sequence[str]
) -> Calibration:
    """Fit a calibration to the pixels of validation scenes.

    ``values``: each signal at all pixels (N,); ``inside`` (N,); ``error``: true end-point errors in px (N,).
    Combinations without consistency and photo are fitted on all pixels, others on those inside. The curve is
    an isotonic regression of "right within 1 px" on the expected error, at ``KNOTS`` of its quantiles.
    """
    from sklearn.isotonic import IsotonicRegression

    rows, curves = {}, {}
    for name in combinations:
        chosen = inside if any(part in WITHIN for part in name.split("+")) else np.ones_like(inside)
        logs = [np.log(values[part][chosen] + OFFSETS[part]) for part in name.split("+")]
        design = np.stack([np.ones(int(chosen.sum())), *logs], axis=1).astype(np.float64)
        target = np.log(error[chosen] + ERROR_OFFSET)
        weights = np.linalg.lstsq(design, target, rcond=None)[0]
        expected = np.exp(design @ weights)
        curve = IsotonicRegression(y_min=0.0, y_max=1.0, increasing=False, out_of_bounds="clip")
        curve.fit(expected, error[chosen] < RIGHT)
        knots = np.unique(np.quantile(expected, np.linspace(0, 1, KNOTS)))
        rows[name] = [float(weight) for weight in weights]
        curves[name] = ([float(k) for k in knots], [float(share) for share in curve.predict(knots)])
    return Calibration(rows, curves)


def _between(values: Tensor, knots: Sequence[float], shares: Sequence[float]) -> Tensor:
    """Interpolate linearly between knots; beyond the ends the first and the last share hold."""
    x = torch.tensor(knots, dtype=values.dtype, device=values.device)
    y = torch.tensor(shares, dtype=values.dtype, device=values.device)
    if len(x) == 1:
        return y.expand_as(values)
    right = torch.searchsorted(x, values.contiguous()).clamp(1, len(x) - 1)
    share = ((values - x[right - 1]) / (x[right] - x[right - 1])).clamp(0, 1)
    return torch.lerp(y[right - 1], y[right], share)
