"""Training of a denoiser of small images, for use as a prior."""

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from lightning_modules.loadable import Loadable
from sevenfold.arrays import Numbers, tensor
from sevenfold.checkpoint import Checkpoint
from sevenfold.config import Node, build
from sevenfold.diffreps import NETWORKS
from sevenfold.diffreps.batch import ImageBatch, Picture, complete, noisy_images
from sevenfold.diffreps.denoising import (
    Optim,
    Samples,
    classes_in_turn,
    denoising_loss,
    drop_labels,
    image_samples,
    one_cycle,
    sample_scores,
)
from sevenfold.diffreps.noise_table import NoiseTable, Prediction
from sevenfold.diffreps.priors.base import UNCONDITIONAL, Condition
from sevenfold.diffreps.priors.network import Denoise, NetworkPrior, from_facts
from sevenfold.diffreps.process import ProcessName, make_process
from sevenfold.diffreps.sources import Images
from sevenfold.errors import InputError
from sevenfold.exchange import required
from sevenfold.export import write_program
from sevenfold.ranges import Seed, ShareBelowOne
from sevenfold.seeding import torch_generator
from sevenfold.tables import OneOf

UNET = {"name": "diffusers_unet"}


class DenoiserTrainer(Loadable):
    """A denoiser trained on batches of images and labels (:class:`ImageBatch`).

    A test with a data module of the suite draws samples and scores them by a classifier of real images. The
    checkpoint is a prior, ``unet``.

    Args:
        network: of the denoiser.
        table: noise levels of training, of the process ``table``.
        process: noise levels of training: steps of the table, angles (``cosine``), or times of a ``flow``.
        prediction: the quantity that the network predicts.
        class_dropout: share of labels omitted in training, for guidance and unconditional samples.
        optim: the optimizer and its schedule.
        samples: of a test.
        seed: of the draws that training and tests make.
    """

    batch: ClassVar[type] = ImageBatch

    def __init__(
        self,
        *,
        network: Annotated[Node, OneOf("sevenfold.diffreps:NETWORKS")] = UNET,
        table: NoiseTable = NoiseTable(),
        process: ProcessName = "table",
        prediction: Prediction = "v",
        class_dropout: ShareBelowOne = 0.1,
        optim: Optim = Optim(),
        samples: Samples = Samples(),
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self.network_node, self.network = network, build(NETWORKS, network, "network")
        self.table, self.prediction, self.class_dropout = table, prediction, class_dropout
        self.optim, self.samples, self.seed = optim, samples, seed
        self.process_name, self.process = process, make_process(process, table)
        self.images: Images | None = None
        self.picture: Picture | None = None

    def prepare_for(self, facts: Images) -> None:
        """Set the real images, which determine shape and range and which samples are compared with."""
        self.images, self.picture = facts, Picture(facts.shape, facts.range)

    def convert_batch(self, batch: object) -> object:
        """Convert a batch of a plain loader; the first one determines shape and range of images."""
        if isinstance(batch, ImageBatch) or self.trainer.predicting:
            return batch
        complete_batch = complete(batch, self._channels())
        if self.picture is None:
            self.picture = Picture.like(complete_batch.images)
        return complete_batch._replace(images=self.place(complete_batch.images))

    def _channels(self) -> int:
        shape = getattr(self.network, "shape", (1,)) if self.picture is None else self.picture.shape
        return int(shape[0])

    def training_step(self, batch: ImageBatch, batch_idx: int) -> Tensor:
        """Return the loss."""
        names = "denoiser", self.global_step, self.global_rank
        stream = torch_generator(self.seed, *names, device=self.device)
        images, labels = batch
        labels = drop_labels(labels, self.class_dropout, stream)
        loss = denoising_loss(self.network, self.process, self.prediction, images, labels, stream)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """Log the loss, with the same noise in every epoch."""
        stream = torch_generator(self.seed, "denoiser validation", batch_idx, device=self.device)
        loss = denoising_loss(self.network, self.process, self.prediction, *batch, stream)
        self.log("val/loss", loss, prog_bar=True, sync_dist=True, batch_size=len(batch[0]))

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """Log the loss, and with the first batch the scores of samples by a classifier."""
        stream = torch_generator(self.seed, "denoiser test", batch_idx, device=self.device)
        loss = denoising_loss(self.network, self.process, self.prediction, *batch, stream)
        self.log("test/loss", loss, sync_dist=True, batch_size=len(batch[0]))
        if batch_idx == 0 and self.images is not None:
            scores = sample_scores(self.prior(), self.images, self.samples, self.seed)
            figures = {f"test/{name}": value for name, value in scores.items()}
            self.log_dict(figures, batch_size=len(batch[0]), sync_dist=True)

    def forward(self, x: Numbers, sigma: Numbers, labels: Numbers | None = None) -> Tensor:
        """Return the mean (N, C, H, W) of clean images given noisy ones, under :meth:`prior`.

        Args:
            x: clean image + ``sigma`` * noise, (N, C, H, W), in the range of the training data.
            sigma: noise levels (N,), or one for all.
            labels: classes (N,), -1 for none.
        """
        z = self.place(noisy_images(x, "x", channels=self._channels()))
        level = tensor(sigma, "sigma").float().to(z.device).expand(len(z))
        classes = torch.full((len(z),), UNCONDITIONAL) if labels is None else tensor(labels, "labels").long()
        with torch.no_grad():
            return self.prior().denoise(z, level, Condition(classes.to(z.device)))

    def export(self, path: str | Path, *, batch: int = 1) -> Path:
        """Write :meth:`forward` as a program of x (batch, C, H, W), sigma (batch,) and labels (batch,)."""
        x, none = torch.zeros(batch, *required(self.picture, self).shape), torch.full((batch,), UNCONDITIONAL)
        return write_program(Denoise(self.prior()), (x, torch.ones(batch), none), path)

    def predict_step(self, batch: Sequence[Tensor], batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Return clean images for batches ``(x, sigma)`` or ``(x, sigma, labels)`` of a plain loader."""
        if not isinstance(batch, list | tuple) or len(batch) not in (2, 3) or isinstance(batch, ImageBatch):
            raise InputError("a batch to denoise is (x, sigma) or (x, sigma, labels); sample() draws images")
        return self(*batch)

    def sample(self, count: int, seed: int | None = None, *, labels: Sequence[int] | None = None) -> Tensor:
        """Return samples (count, C, H, W), drawn as in a test.

        Args:
            count: how many.
            seed: of the samples; by default the module's.
            labels: their classes, -1 for none; by default all classes in turn.
        """
        prior, options = self.prior(), self.samples
        classes = classes_in_turn(prior, count) if labels is None else labels
        if len(classes) != count:
            raise InputError(f"labels must be {count} classes, one a sample, got {len(classes)}")
        seed = self.seed if seed is None else seed
        return image_samples(prior, classes, levels=options.levels, weight=options.weight, seed=seed)

    def prior(self) -> NetworkPrior:
        """Return the present network as a prior."""
        return from_facts(copy.deepcopy(self.network), self.facts())

    def facts(self) -> Node:
        """Return what is needed to build the prior without this module, its data or its configuration."""
        picture = required(self.picture, self)
        return {
            "network": self.network_node,
            "table": dataclasses.asdict(self.table),
            "process": self.process_name,
            "prediction": self.prediction,
            **{name: list(value) for name, value in picture._asdict().items()},
            "classes": getattr(self.network, "classes", 0),
        }

    def on_save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Add the facts that the network needs as a prior."""
        super().on_save_checkpoint(checkpoint)
        if self.picture is not None:
            checkpoint["denoiser"] = self.facts()

    def on_load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Set shape and range of the training images."""
        if self.picture is None and "denoiser" in checkpoint:
            facts = checkpoint["denoiser"]
            self.picture = Picture(tuple(facts["shape"]), tuple(facts["range"]))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW with a one-cycle rate."""
        steps = int(self.trainer.estimated_stepping_batches)
        optimizer, schedule = one_cycle(self.parameters(), self.optim, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
