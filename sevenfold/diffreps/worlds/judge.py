"""How good samples of a world are, by views no sampler saw: plausible, consistent, and as different as
real ones.

Nearness to known scenes must never be read without diversity: collapse is rewarded by it.
"""

import math

import torch
from torch import Tensor

from sevenfold.diffreps.scores import frechet, pairwise
from sevenfold.diffreps.worlds.multiview import HELD_OUT, World

FEATURES = 24
Columns = dict[str, Tensor]


class Judge:
    """Compare renders in the held-out views with known (training) and unknown (test) scenes of a world.

    ``width``: of the kernel in the likelihood.
    """

    def __init__(self, world: World, *, width: float = 0.075) -> None:
        views = world.held_out()
        self.train, self.test = (world.renders(views, part).flatten(2) for part in ("train", "test"))
        self.objects, self.width = world.scene_set("train").objects, width
        flat = self.train.flatten(1)
        self.center = flat.mean(0)
        self.basis = torch.linalg.svd(flat - self.center, full_matrices=False)[2][:FEATURES]

    def columns(self, images: Tensor) -> Columns:
        """Return what is said of each sample, (B,), for its held-out renders (B, 8, C, H, W).

        ``nearest``: mean over views of the RMSE to the nearest known scene; ``joint``: to the one scene
        nearest in
        all views; ``agreement``: share of views whose nearest scene is the same; ``objects`` of the joint
        one;
        ``janus``: whether the back view is nearer to known front views; ``log_likelihood`` under the kernel,
        per view and value.
        """
        flat = images.float().flatten(2)
        square = torch.stack(
            [torch.cdist(flat[:, k], self.train[:, k]).square() for k in range(HELD_OUT)], 1
        )  # (B, K, M)
        size = flat.shape[2]
        nearest, which = square.min(2)
        joint, scene = square.mean(1).min(1)
        likelihood = (-square / (2 * self.width**2)).logsumexp(2).mean(1) - math.log(len(self.train))
        constant = size / 2 * math.log(2 * math.pi * self.width**2)
        back = flat[:, HELD_OUT // 2]
        to_back = nearest[:, HELD_OUT // 2]
        to_front = torch.cdist(back, self.train[:, 0]).square().min(1).values
        return {
            "nearest": (nearest / size).sqrt().mean(1),
            "joint": (joint / size).sqrt(),
            "agreement": torch.stack([(row == row.mode().values).float().mean() for row in which]),
            "objects": self.objects[scene].float(),
            "janus": (to_front < to_back).float(),
            "log_likelihood": (likelihood - constant) / size,
        }

    def together(self, images: Tensor) -> dict[str, float]:
        """Return what is said of samples as a set: diversity relative to unknown scenes, energy distance and
        Frechet distance (of the leading components of known renders) to them, shares by number of objects.
        """
        flat = images.float().flatten(1)
        test = self.test.flatten(1)
        scores = {"diversity": pairwise(flat) / pairwise(test), "energy": energy(flat, test)}
        if len(flat) > 1:
            scores["frechet_local"] = frechet(self.features(flat), self.features(test))
        return scores

    def features(self, flat: Tensor) -> Tensor:
        """Return the leading components (N, 24) of stacked renders."""
        return (flat - self.center) @ self.basis.T

    def summary(self, images: Tensor) -> dict[str, float]:
        """Return the means of the columns and what is said of the set."""
        columns = self.columns(images)
        objects = columns.pop("objects")
        shares = {f"objects_{n}": float((objects == n).float().mean()) for n in (1, 2, 3)}
        return (
            {name: float(values.mean()) for name, values in columns.items()} | self.together(images) | shares
        )

    def real(self) -> dict[str, float]:
        """Return the same of the unknown scenes: the bar."""
        return self.summary(self.test.unflatten(2, (3, -1, 1)))


def energy(one: Tensor, two: Tensor) -> float:
    """Return 2 E|X - Y| - E|X - X'| - E|Y - Y'| of rows: 0 for equal laws, unbiased."""
    return 2 * float(torch.cdist(one, two).mean()) - pairwise(one) - pairwise(two)
