"""Every measure of one estimate against its truth, by name; percentages lie in [0, 100]."""

import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.flow.metrics import end_point_error
from sevenfold.flow.sparsification import ause, calibration_error, rank_correlation

SPEEDS = {"s0-10": (0.0, 10.0), "s10-40": (10.0, 40.0), "s40+": (40.0, float("inf"))}
DISTANCES = {"d0-10": (0.0, 10.0), "d10-60": (10.0, 60.0), "d60-140": (60.0, 140.0)}
BOUNDARY_STEP, BOUNDARY_REACH = 1.0, 5.0  # px


def measure(
    flow: Tensor,
    truth: Tensor,
    valid: Tensor,
    *,
    occluded: Tensor | None = None,
    expected: Tensor | None = None,
    confidence: Tensor | None = None,
    hidden: Tensor | None = None,
) -> dict[str, float]:
    """Return all measures that can be taken of an estimate (2, H, W) in px; others are absent.

    Args:
        flow: the estimate.
        truth: the true flow; anything outside ``valid``.
        valid: where it is known, bool (H, W).
        occluded: the true mask of hidden pixels, bool (H, W).
        expected: error that the estimate lets expect, px (H, W).
        confidence: how likely each pixel is right within 1 px, (H, W).
        hidden: the estimated mask of hidden pixels, bool (H, W).

    >>> still = torch.zeros(2, 4, 4)
    >>> measure(still, still, torch.ones(4, 4).bool())["wauc"]
    100.0
    """
    if flow.shape != truth.shape or valid.shape != truth.shape[1:]:
        shapes = ", ".join(str(tuple(part.shape)) for part in (flow, truth, valid))
        raise InputError(f"estimate, truth and validity are {shapes}; expected (2, H, W) twice and (H, W)")
    truth = torch.where(valid, truth, 0).double()
    flow = flow.double()
    error, speed = end_point_error(flow, truth), truth.norm(dim=0)
    of_valid, of_speed = error[valid], speed[valid]
    if not len(of_valid):
        return {}
    named = {"epe": of_valid.mean(), "epe_median": of_valid.median(), "wauc": _wauc(of_valid)}
    for limit in (1, 3, 5):
        named[f"{limit}px"] = 100 * (of_valid < limit).double().mean()
        named[f"{limit}px_out"] = 100 - named[f"{limit}px"]
    named["fl"] = 100 * ((of_valid > 3) & (of_valid > 0.05 * of_speed)).double().mean()
    named["angular"] = _angular(flow[:, valid], truth[:, valid])
    for axis, name in enumerate("uv"):
        named[f"mean_{name}"] = flow[axis][valid].mean()
        named[f"mean_{name}_true"] = truth[axis][valid].mean()
    places = {name: (speed >= low) & (speed < high) for name, (low, high) in SPEEDS.items()}
    places["boundary"] = _near(_jumps(truth, valid), 0.0, BOUNDARY_REACH)
    if occluded is not None:
        edges = occluded ^ _shifted(occluded)
        places |= {"matched": ~occluded, "unmatched": occluded}
        places |= {name: _near(edges, low, high) for name, (low, high) in DISTANCES.items()}
    for name, place in places.items():
        if (chosen := error[place & valid]).numel():
            named[name] = chosen.mean()
    numbers = {name: float(value) for name, value in named.items()}
    if expected is not None:
        numbers |= {
            "ause": ause(of_valid, expected[valid]),
            "spearman": rank_correlation(of_valid, expected[valid]),
        }
    if confidence is not None:
        numbers["ece"] = calibration_error(of_valid, confidence[valid])
    if hidden is not None and occluded is not None and bool((hidden | occluded).any()):
        numbers["occlusion_f1"] = float(200 * (hidden & occluded).sum() / (hidden.sum() + occluded.sum()))
    return numbers


def _wauc(error: Tensor) -> Tensor:
    """Return the weighted area under the curve of inlier rates (VIPER, Richter et al. 2017), in percent."""
    # 100 / sum_i w_i  sum_i w_i r(i / 20 px), w_i = 1 - (i - 1) / 100, i = 1, ..., 100.
    index = torch.arange(1, 101, dtype=torch.float64, device=error.device)
    weights = 1 - (index - 1) / 100
    rates = torch.searchsorted(error.sort().values, index / 20, right=True) / len(error)
    return 100 * (weights * rates).sum() / weights.sum()


def _angular(flow: Tensor, truth: Tensor) -> Tensor:
    """Return the mean angle in degrees between (u, v, 1) and its truth (Barron et al. 1994), (2, N) each."""
    product = 1 + (flow * truth).sum(dim=0)
    norms = ((1 + flow.square().sum(dim=0)) * (1 + truth.square().sum(dim=0))).sqrt()
    return torch.rad2deg(torch.arccos((product / norms).clamp(-1, 1))).mean()


def _jumps(truth: Tensor, valid: Tensor) -> Tensor:
    """Tell where the true flow changes by more than ``BOUNDARY_STEP`` px between known neighbors."""
    edges = torch.zeros_like(valid)
    for axis in (1, 2):
        step = truth.diff(dim=axis).norm(dim=0) > BOUNDARY_STEP
        near = [valid.narrow(axis - 1, start, valid.shape[axis - 1] - 1) for start in (0, 1)]
        edges.narrow(axis - 1, 0, edges.shape[axis - 1] - 1).logical_or_(step & near[0] & near[1])
    return edges


def _shifted(mask: Tensor) -> Tensor:
    """Return a mask whose pixels have a neighbor right or below of another kind, exclusive-or with itself."""
    edge = torch.zeros_like(mask)
    edge[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    return edge ^ mask


def _near(edges: Tensor, low: float, high: float) -> Tensor:
    """Tell which pixels are at least ``low`` and less than ``high`` px from an edge; none without edges."""
    if not edges.any():
        return torch.zeros_like(edges)
    distance = torch.from_numpy(distance_transform_edt(~edges.cpu().numpy())).to(edges.device)
    return (distance >= low) & (distance < high)
