"""Train and evaluate optical-flow networks."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from sevenfold.checkpoint import Checkpoint
from sevenfold.config import ConfigError, Node, build
from sevenfold.deq.jacobian import jacobian_penalty
from sevenfold.flow import NETWORKS
from sevenfold.flow.batch import FlowBatch, FlowPrediction
from sevenfold.flow.checkpoints import load_weights
from sevenfold.flow.losses import sequence_loss
from sevenfold.flow.padding import Amounts, pad, unpad
from sevenfold.flow.scores import Scores
from sevenfold.flow.training import StaleStart, draw_iterations, measures, rate_factor
from sevenfold.flow.video import Carry, Video
from sevenfold.ranges import Count, LearningRate, NonNegative, NonNegativeInt, Positive, Seed, Share
from sevenfold.seeding import torch_generator

LATE = 0.8  # the share of training after which late weights hold


@dataclass(frozen=True)
class Training:
    """Say how a training step goes.

    ``iterations``: steps of f, drawn anew for each training step where there are several. ``stale_start``:
    share of each batch that starts from the final states of the batch before. ``step_penalty``: weight of the
    mean length, in px, of the flow's last step, which pulls training towards a fixed point (0.1 helps; 1 from
    the first step on keeps the network at zero flow). ``late_step_penalty``: its weight in the last fifth of
    training, where it may be 1; null keeps it.
    """

    iterations: list[Count] = field(default_factory=lambda: [12])
    stale_start: Share = 0.0
    step_penalty: NonNegative = 0.0
    late_step_penalty: NonNegative | None = None
    jacobian_penalty: NonNegative = 0.0

    def __post_init__(self) -> None:
        if not self.iterations:
            raise ConfigError("iterations", "needs at least one number of steps")


@dataclass(frozen=True)
class Evaluation:
    """Say how many steps of f an evaluation takes: ``iterations``, or the data set's own in ``by_dataset``.

    ``budgets``: numbers of steps at which testing reports the error as well.
    """

    iterations: Count = 24
    by_dataset: dict[str, Count] = field(default_factory=dict)
    budgets: list[Count] = field(default_factory=list)


@dataclass(frozen=True)
class Optim:
    """Set AdamW and its one-cycle rate: linearly up over the share ``warmup`` of all steps, then down to 0.

    The cycle is ``extra_steps`` longer than training (published recipes: 100).
    """

    lr: LearningRate = 4e-4
    weight_decay: NonNegative = 1e-4
    eps: Positive = 1e-8
    warmup: Share = 0.05
    extra_steps: NonNegativeInt = 0


NETWORK = {"name": "raft"}


class FlowModule(pl.LightningModule):
    """Estimate optical flow with any network of ``sevenfold.flow.NETWORKS``.

    Args:
        network: the network's name and options.
        weights: a file of published weights to start from (``sevenfold.flow.checkpoints``).
        training: depth of and additions to a training step.
        evaluation: depth of an evaluation.
        optim: the optimizer and its schedule.
        carry: what pairs of a video take over from the pair before when predicting.
        seed: of the draws that training steps make.

    Evaluation and prediction return ``{"flow": (B, 2, H, W)}``.
    """

    batch: ClassVar[type] = FlowBatch
    outputs: ClassVar[type] = FlowPrediction

    def __init__(
        self,
        *,
        network: Node = NETWORK,
        weights: str | None = None,
        training: Training = Training(),
        evaluation: Evaluation = Evaluation(),
        optim: Optim = Optim(),
        carry: Carry = Carry(),
        seed: Seed = 0,
    ):
        super().__init__()
        self.network = build(NETWORKS, network, "network")
        self.rules, self.evaluation, self.optim, self.seed = training, evaluation, optim, seed
        try:
            for iterations in training.iterations:
                self.network.check_iterations(iterations)
        except ValueError as error:
            raise ConfigError("training.iterations", str(error)) from None
        if weights is not None:
            load_weights(self.network, weights)
        self.stale = StaleStart(training.stale_start, seed)
        self.video = Video(self.network, carry)
        self.scores = Scores()

    def on_save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep the states that the next step may start from; on several devices those of the first."""
        checkpoint["stale_start"] = None if self.stale.state is None else list(self.stale.state)

    def on_load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Take these states up again."""
        state = checkpoint.get("stale_start")
        self.stale.state = None if state is None else (state[0], state[1])

    def on_train_epoch_start(self) -> None:
        """Forget the last epoch's states, so that a resumed run is the same."""
        self.stale.reset()

    def training_step(self, batch: FlowBatch, batch_idx: int) -> Tensor:
        """Estimate, compare, log."""
        step = self.global_step
        f = self.network.recurrence(batch["image1"], batch["image2"])
        estimate = self.network.estimate(
            f,
            iterations=draw_iterations(self.rules.iterations, self.seed, step),
            start=self.stale.mix(f.start, step),
        )
        self.stale.keep(estimate.state)
        flow, valid = batch["flow"], batch["valid"]
        loss = sequence_loss(estimate.flows, flow, valid, gamma=self.network.gamma)
        loss = loss + self._step_penalty(step) * estimate.last_step
        if self.rules.jacobian_penalty:
            stream = torch_generator(self.seed, "flow jacobian", step, device=loss.device)
            loss = loss + self.rules.jacobian_penalty * jacobian_penalty(f, estimate.state, stream)
        self.log("train/loss", loss, prog_bar=True)
        for name, value in measures(estimate, flow, valid).items():
            self.log(f"train/{name}", value, prog_bar=name == "epe")
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the gradient's norm before clipping, and how far a backward solve came."""
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        self.log("train/grad_norm", torch.nn.utils.get_total_norm(gradients))
        for name, value in self.network.backward_measures().items():
            self.log(f"train/{name}", value)

    def validation_step(self, batch: FlowBatch, batch_idx: int, dataloader_idx: int = 0) -> FlowPrediction:
        """Score a batch."""
        return self._evaluate(batch, "val", [])

    def test_step(self, batch: FlowBatch, batch_idx: int, dataloader_idx: int = 0) -> FlowPrediction:
        """Score a batch, at every budget too."""
        return self._evaluate(batch, "test", self.evaluation.budgets)

    def predict_step(self, batch: FlowBatch, batch_idx: int, dataloader_idx: int = 0) -> FlowPrediction:
        """Return the flow of a batch; of a pair of a video also how many evaluations of f it took."""
        image1, image2, added = self._padded(batch)
        if "sequence" not in batch:
            estimate = self.network(image1, image2, iterations=self._steps(batch))
            return {"flow": unpad(estimate.flows[-1], added)}
        steps, sequence, index = self._steps(batch), batch["sequence"][0], int(batch["index"][0])
        estimate = self.video.estimate(image1, image2, iterations=steps, sequence=sequence, index=index)
        taken = estimate.solution.steps if estimate.solution is not None else torch.tensor([steps])
        return {"flow": unpad(estimate.flows[-1], added), "evaluations": taken}

    def on_validation_epoch_start(self) -> None:
        """Begin new scores."""
        self.scores = Scores()

    def on_validation_epoch_end(self) -> None:
        """Log the means; all processes hold the same ones, so averaging them changes nothing."""
        self.log_dict(self.scores.means(), sync_dist=True)

    on_test_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_validation_epoch_end

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW with a rate that changes with every step."""
        optim = self.optim
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=optim.lr, weight_decay=optim.weight_decay, eps=optim.eps
        )
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise ConfigError("trainer", "set max_steps or max_epochs, for the learning rate follows them")
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_factor(step, steps + optim.extra_steps, optim.warmup)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _padded(self, batch: FlowBatch) -> tuple[Tensor, Tensor, Amounts]:
        """Return both images padded as the batch's data set wants it, and what was added."""
        rule = batch["padding"][0]
        image1, added = pad(batch["image1"], self.network.stride, rule)
        return image1, pad(batch["image2"], self.network.stride, rule)[0], added

    def _step_penalty(self, step: int) -> float:
        """Return the weight of the flow's last step in training step ``step``."""
        late, total = self.rules.late_step_penalty, self.trainer.estimated_stepping_batches
        return self.rules.step_penalty if late is None or step < LATE * total else late

    def _steps(self, batch: FlowBatch) -> int:
        """Return how many steps the batch's data set is evaluated with."""
        return self.evaluation.by_dataset.get(batch["dataset"][0], self.evaluation.iterations)

    def _evaluate(self, batch: FlowBatch, stage: str, budgets: list[int]) -> FlowPrediction:
        """Add a batch's measures to the scores; return its flow."""
        image1, image2, added = self._padded(batch)
        f = self.network.recurrence(image1, image2)
        estimate = self.network.estimate(f, iterations=self._steps(batch))
        flow = unpad(estimate.flows[-1], added)
        others = self.network.flows_at(f, budgets) if budgets else []
        at_budget = {steps: unpad(each, added) for steps, each in zip(budgets, others, strict=True)}
        self.scores.add_flow(stage, batch, flow, at_budget)
        if estimate.solution is not None:
            self.scores.add_solution(stage, batch, estimate.solution)
        return {"flow": flow}
