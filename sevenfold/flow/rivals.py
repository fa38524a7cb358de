"""Estimators that are compared with networks: no motion, the best single vector, OpenCV's classical ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sevenfold.errors import InputError

Rival = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Images (3, H, W) in [0, 1], true flow and validity, to flow (2, H, W)."""


def zero(image1: Tensor, image2: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Estimate that nothing moves."""
    return torch.zeros_like(truth)


def constant(image1: Tensor, image2: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Return the best single vector: the geometric median of the truth (Weiszfeld 1937)."""
    points = truth[:, valid].double()
    if not points.numel():
        return torch.zeros_like(truth)
    vector = points.mean(dim=1, keepdim=True)
    for _ in range(500):
        weights = 1 / (points - vector).norm(dim=0, keepdim=True).clamp(min=1e-6)
        vector = (points * weights).sum(dim=1, keepdim=True) / weights.sum()
    return vector.to(truth.dtype)[..., None].expand_as(truth).clone()


def dis(image1: Tensor, image2: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Estimate by OpenCV's DIS, preset medium, on gray pictures and one thread (Kroeger et al. 2016)."""
    cv2 = _opencv("dis")
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return _classical(cv2, method, image1, image2)


def deepflow(image1: Tensor, image2: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Estimate by DeepFlow (Weinzaepfel et al. 2013), which OpenCV's contributed modules have."""
    cv2 = _opencv("deepflow")
    if not hasattr(cv2, "optflow"):
        raise InputError(
            "deepflow needs OpenCV's contributed modules: pip install opencv-contrib-python-headless"
        )
    return _classical(cv2, cv2.optflow.createOptFlow_DeepFlow(), image1, image2)


def _opencv(name: str) -> Any:
    try:
        import cv2
    except ModuleNotFoundError:
        raise InputError(f"{name} needs the extra 'opencv': pip install 'sevenfold[opencv]'") from None
    cv2.setNumThreads(0)  # its own threads would disturb the others' times
    return cv2


def _classical(cv2: Any, method: Any, image1: Tensor, image2: Tensor) -> Tensor:
    gray = [
        cv2.cvtColor(
            (image.permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8), cv2.COLOR_RGB2GRAY
        )
        for image in (image1, image2)
    ]
    return torch.from_numpy(method.calc(gray[0], gray[1], None).transpose(2, 0, 1).copy())


RIVALS: dict[str, Rival] = {"zero": zero, "constant": constant, "dis": dis, "deepflow": deepflow}
