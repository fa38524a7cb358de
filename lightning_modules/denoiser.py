"""Train a denoiser of small images, to be a prior afterwards."""

import copy
import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from sevenfold.checkpoint import Checkpoint
from sevenfold.config import Node, build
from sevenfold.diffreps import NETWORKS
from sevenfold.diffreps.batch import ImageBatch
from sevenfold.diffreps.denoising import denoising_loss, drop_labels, image_samples
from sevenfold.diffreps.noise_table import NoiseTable, Prediction
from sevenfold.diffreps.priors.network import NetworkPrior
from sevenfold.diffreps.scores import Classifier, entropy, frechet
from sevenfold.diffreps.sources import Images
from sevenfold.exchange import required
from sevenfold.ranges import Count, Finite, LearningRate, NonNegative, Seed, Share, ShareBelowOne, Size
from sevenfold.seeding import torch_generator

UNET = {"name": "diffusers_unet"}


@dataclass(frozen=True)
class Optim:
    """Set AdamW and its one-cycle rate: up to ``lr`` over the share ``warmup`` of all steps, then down."""

    lr: LearningRate = 2e-3
    weight_decay: NonNegative = 1e-4
    warmup: Share = 0.1


@dataclass(frozen=True)
class Samples:
    """Say which samples a test draws: ``count``, their classes in turn, by ``levels`` steps of DDIM with
    guidance ``weight``.
    """

    count: Count = 200
    levels: Size = 40
    weight: Finite = 1.0


class DenoiserTrainer(pl.LightningModule):
    """Train on batches of images and labels (:class:`ImageBatch`).

    A test draws samples and judges them by a classifier of real images. Its checkpoint is a prior, ``unet``.

    Args:
        network: a component of ``NETWORKS``.
        table: noise levels of training.
        prediction: what the network is to put out.
        class_dropout: share of labels left out in training, for guidance and unconditional samples.
        optim: the optimizer and its schedule.
        samples: of a test.
        seed: of the draws that training and tests make.
    """

    batch: ClassVar[type] = ImageBatch

    def __init__(
        self,
        *,
        network: Node = UNET,
        table: NoiseTable = NoiseTable(),
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
        self.alphas_bar = table.alphas_bar()
        self.images: Images | None = None

    def prepare_for(self, facts: Images) -> None:
        """Take over the real images: their shape and range, and what samples are compared with."""
        self.images = facts

    def training_step(self, batch: ImageBatch, batch_idx: int) -> Tensor:
        """Return the loss."""
        stream = torch_generator(self.seed, "denoiser", self.global_step, self.global_rank)
        images, labels = batch
        labels = drop_labels(labels, self.class_dropout, stream)
        loss = denoising_loss(self.network, self.alphas_bar, self.prediction, images, labels, stream)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """Log the loss on the same noise every time."""
        stream = torch_generator(self.seed, "denoiser validation", batch_idx)
        loss = denoising_loss(self.network, self.alphas_bar, self.prediction, *batch, stream)
        self.log("val/loss", loss, prog_bar=True, sync_dist=True, batch_size=len(batch[0]))

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """Log the loss; with the first batch, what samples look like to a classifier."""
        stream = torch_generator(self.seed, "denoiser test", batch_idx)
        loss = denoising_loss(self.network, self.alphas_bar, self.prediction, *batch, stream)
        self.log("test/loss", loss, sync_dist=True, batch_size=len(batch[0]))
        if batch_idx == 0:
            self.log_dict(self.sample_scores(), batch_size=len(batch[0]), sync_dist=True)

    def sample_scores(self) -> dict[str, float]:
        """Draw samples of every class in turn (of none, if there are none) and judge them."""
        real, chosen, prior = required(self.images, self), self.samples, self.prior()
        labels = [k % prior.classes if prior.classes else -1 for k in range(chosen.count)]
        found = image_samples(prior, labels, levels=chosen.levels, weight=chosen.weight, seed=self.seed)
        judge = Classifier(real)
        features = judge.features(found.cpu())
        confidence, predicted = judge.probabilities(features).max(1)
        scores = {
            "test/confidence": float(confidence.mean()),
            "test/entropy": entropy(judge.probabilities(features)),
            "test/frechet_local": frechet(features, judge.features(real.images)),
            "test/classifier_accuracy": judge.accuracy,
        }
        if prior.classes:
            scores["test/class_accuracy"] = float((predicted == torch.tensor(labels)).float().mean())
        return scores

    def prior(self) -> NetworkPrior:
        """Return what has been trained so far as a prior."""
        real = required(self.images, self)
        return NetworkPrior(
            copy.deepcopy(self.network), self.table, prediction=self.prediction, shape=real.shape,
            data_range=real.range, classes=getattr(self.network, "classes", 0),
        )  # fmt: skip

    def on_save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Add what is needed to use the network as a prior."""
        real = required(self.images, self)
        checkpoint["denoiser"] = {
            "network": self.network_node,
            "table": dataclasses.asdict(self.table),
            "prediction": self.prediction,
            "shape": list(real.shape),
            "range": list(real.range),
            "classes": getattr(self.network, "classes", 0),
        }

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW with a one-cycle rate."""
        rules = self.optim
        optimizer = torch.optim.AdamW(self.parameters(), lr=rules.lr, weight_decay=rules.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, rules.lr, total_steps=max(2, steps), pct_start=rules.warmup
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
