"""Train and evaluate optical-flow networks."""

import math
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from lightning_modules.loadable import Loadable
from sevenfold.arrays import Numbers
from sevenfold.checkpoint import Checkpoint
from sevenfold.config import ConfigError, Node, build
from sevenfold.deq.jacobian import jacobian_penalty
from sevenfold.export import write_program
from sevenfold.flow import NETWORKS
from sevenfold.flow.batch import FlowBatch, FlowPrediction, complete, image_pair
from sevenfold.flow.checkpoints import load_weights
from sevenfold.flow.headline import flow_headline
from sevenfold.flow.options import Evaluation, Optim, Training
from sevenfold.flow.padding import Amounts, pad, unpad
from sevenfold.flow.program import FlowProgram
from sevenfold.flow.scores import Scores
from sevenfold.flow.selfsup import unlabeled_part
from sevenfold.flow.training import (
    StaleStart,
    draw_iterations,
    flow_loss,
    is_late,
    measures,
    parameter_groups,
)
from sevenfold.flow.video import Carry, Video
from sevenfold.prediction import predicting
from sevenfold.ranges import Seed
from sevenfold.seeding import torch_generator
from sevenfold.tables import OneOf

NETWORK = {"name": "raft"}


class FlowModule(Loadable):
    """Estimate optical flow with any network of ``sevenfold.flow.NETWORKS``.

    Args:
        network: the network's name and options.
        weights: a file of published weights to start from (``sevenfold.flow.checkpoints``).
        training: depth of and additions to a training step.
        evaluation: depth of an evaluation.
        optim: the optimizer and its schedule.
        carry: what pairs of a video take over from the pair before when predicting.
        seed: of the draws that training steps make.

    Evaluation and prediction return ``{"flow": (B, 2, H, W)}``. Batches of a plain loader may be
    ``(image1, image2, flow, valid)`` or mappings with these keys (:func:`sevenfold.flow.batch.complete`).
    """

    batch: ClassVar[type] = FlowBatch
    outputs: ClassVar[type] = FlowPrediction

    headline = staticmethod(flow_headline)

    def __init__(
        self,
        *,
        network: Annotated[Node, OneOf("sevenfold.flow:NETWORKS")] = NETWORK,
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
        self.scores, self.pairs = Scores(), 0

    def estimate(self, image1: Numbers, image2: Numbers, *, iterations: int | None = None) -> Tensor:
        """Return the flow (B, 2, H, W) in px from ``image1`` to ``image2``.

        Args:
            image1: first picture, or a batch, of any size: (H, W, 3) bytes or (3, H, W) floats in [0, 1], of
                NumPy, torch or lists (:func:`sevenfold.arrays.images`).
            image2: second picture or batch.
            iterations: steps of f; by default those of an evaluation.
        """
        first, second = map(self.place, image_pair(image1, image2))
        steps = self.evaluation.iterations if iterations is None else iterations
        with predicting(self):
            first, added = pad(first, self.network.stride)
            second, _ = pad(second, self.network.stride)
            return unpad(self.network(first, second, iterations=steps).flows[-1], added)

    forward = estimate

    def export(
        self,
        path: str | Path,
        *,
        size: tuple[int, int] = (384, 512),
        iterations: int | None = None,
        batch: int = 1,
    ) -> Path:
        """Write the estimator for pairs (batch, 3, *size) as a program of a fixed number of steps of f.

        Args:
            path: the file.
            size: height and width of the pictures.
            iterations: steps of f; by default those of an evaluation.
            batch: pairs at a time.
        """
        steps = self.evaluation.iterations if iterations is None else iterations
        program = FlowProgram(self.network, steps)
        return write_program(program, program.examples(batch, size), path)

    def convert_batch(self, batch: object) -> FlowBatch:
        """Complete a batch of a plain loader."""
        whole = complete(batch, self.pairs, truth=not self.trainer.predicting)
        self.pairs += len(whole["image1"])
        return whole

    def on_save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep the states that the next step may start from; on several devices those of the first."""
        super().on_save_checkpoint(checkpoint)
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
        step, late = self.global_step, is_late(self.global_step, self.trainer.estimated_stepping_batches)
        f = self.network.recurrence(batch["image1"], batch["image2"])
        iterations = draw_iterations(self.rules.iterations, self.seed, step)
        estimate = self.network.estimate(
            f, iterations=iterations, start=self.stale.mix(f.start, step), scale=late
        )
        self.stale.keep(estimate.state)
        flow, valid = batch["flow"], batch["valid"]
        loss = flow_loss(estimate, flow, valid, gamma=self.network.gamma, rules=self.rules, late=late)
        loss = loss + unlabeled_part(self.network, batch, iterations)
        if self.rules.jacobian_penalty:
            stream = torch_generator(self.seed, "flow jacobian", step, device=loss.device)
            loss = loss + self.rules.jacobian_penalty * jacobian_penalty(f, estimate.state, stream)
        self.log("train/loss", loss, prog_bar=True)
        for name, value in measures(estimate, flow, valid).items():
            self.log(f"train/{name}", value, prog_bar=name == "epe")
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the gradient's norm before clipping, and how far a backward solve came."""
        # Clipping comes after this hook, so this is the norm that is compared with its limit.
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
        self.scores, self.pairs = Scores(), 0

    def on_validation_epoch_end(self) -> None:
        """Log the means; all processes hold the same ones, so averaging them changes nothing."""
        self.log_dict(self.scores.means(), sync_dist=True)

    on_test_epoch_start = on_predict_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_validation_epoch_end

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW with a rate that changes with every step."""
        optim, steps = self.optim, self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise ConfigError("trainer", "set max_steps or max_epochs, for the learning rate follows them")
        groups, factors = parameter_groups(self.network, optim, steps)
        optimizer = torch.optim.AdamW(groups, lr=optim.lr, weight_decay=optim.weight_decay, eps=optim.eps)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _padded(self, batch: FlowBatch) -> tuple[Tensor, Tensor, Amounts]:
        """Return both images padded as the batch's data set prescribes, and the padding."""
        rule = batch["padding"][0]
        image1, added = pad(batch["image1"], self.network.stride, rule)
        return image1, pad(batch["image2"], self.network.stride, rule)[0], added

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
