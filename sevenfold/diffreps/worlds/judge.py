"""Scores of samples of a world in held-out views: plausibility, consistency and diversity.

Nearness to known scenes must be read together with diversity, because collapse improves it.
"""

import math

import torch
from torch import Tensor

from sevenfold.diffreps.scores import frechet, pairwise
from sevenfold.diffreps.worlds.multiview import HELD_OUT, World

FEATURES = 24
Columns = dict[str, Tensor]


class Judge:
    """Scores by comparison of renders in held-out views with training and test scenes of a world.

    ``width``: of the kernel in the likelihood.
    """

    def __init__(self, world: World, *, width: float = 0.075) -> None:
        views = world.held_out()
        self.train, self.test = (world.renders(views, part).flatten(2) for part in ("train", "test"))
        self.objects, self.width = world.scene_set("train").objects, width
        flat = self.train.flatten(1)
        self.center = flat.mean(0)
        # Frechet distances need more samples than features: 24 principal components of training renders
        self.basis = torch.linalg.svd(flat - self.center, full_matrices=False)[2][:FEATURES]

    def columns(self, images: Tensor) -> Columns:
        """Return the scores of each sample, (B,), from its held-out renders (B, 8, C, H, W).

        ``nearest``: mean over views of the RMSE to the nearest training scene; ``joint``: RMSE to the scene
        that is nearest in all views together; ``agreement``: share of views with the same nearest scene;
        ``objects``: their number in the joint scene; ``janus``: whether the back view is nearer to front
        views of training scenes; ``log_likelihood``: under the kernel density, per view and value.
        """
        flat = images.float().flatten(2)
        square = torch.stack(
            [torch.cdist(flat[:, k], self.train[:, k]).square() for k in range(HELD_OUT)], 1
        )  # (B, K, M)
        size = flat.shape[2]
        nearest, which = square.min(2)
        joint, scene = square.mean(1).min(1)
        # log (1/M) sum_m N(x; x_m, w^2 I)
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
        """Return the scores of samples as a set, by comparison with test scenes.

        They are diversity relative to that of test scenes, and the energy distance and the Frechet distance
        (of leading components of training renders) to test scenes.
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
        """Return the means of the samples' scores, the scores of the set, and shares by number of objects."""
        columns = self.columns(images)
        objects = columns.pop("objects")
        shares = {f"objects_{n}": float((objects == n).float().mean()) for n in (1, 2, 3)}
        return (
            {name: float(values.mean()) for name, values in columns.items()} | self.together(images) | shares
        )

    def real(self) -> dict[str, float]:
        """Return the same scores of the test scenes, for comparison."""
        return self.summary(self.test.unflatten(2, (3, -1, 1)))


def energy(one: Tensor, two: Tensor) -> float:
    """Return 2 E|X - Y| - E|X - X'| - E|Y - Y'| of rows, unbiased: the energy distance, 0 for equal laws."""
    # Székely & Rizzo 2013
    return 2 * float(torch.cdist(one, two).mean()) - pairwise(one) - pairwise(two)
