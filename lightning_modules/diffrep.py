"""Sampling of representations as a Lightning module: the study, and samples by one of its methods."""

from pathlib import Path

import torch
from torch import Tensor

from lightning_modules.study import StudyModule
from sevenfold.diffreps.run import run
from sevenfold.diffreps.studies.samples import SamplesStudy
from sevenfold.study import Context


class DiffrepSampler(StudyModule):
    """A :class:`SamplesStudy` to run, and samples by its methods.

    It has no parameters: the prior is frozen.
    """

    study: SamplesStudy

    @torch.no_grad()
    def sample(self, count: int, seed: int | None = None, *, method: str | None = None) -> Tensor:
        """Return pictures (count, C, H, W) of samples of the study's first representation.

        Args:
            count: number of samples; they are the first ones of a run of the study with this seed.
            seed: of the samples; by default the module's.
            method: label of a method in the study; by default the first one that is not the reference.
        """
        study = self.study
        others = [label for label in study.methods if label != study.reference]
        label = method or [*others, *study.methods][0]
        _, representation, noise = study.settings()[0]
        context = Context(Path(), self.device, self.seed if seed is None else seed)
        task = study.task(representation, noise, range(count), context)
        outcome = run(study.methods[label], task)
        if outcome.theta.ndim == 2:
            return torch.stack([task.representation.picture(theta) for theta in outcome.theta])
        return outcome.images[:, 0]
