"""Debiasing as a Lightning module: the study, and one debiased network with its decisions."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from lightning_modules.study import StudyModule
from sevenfold.arrays import Numbers, groups, labels, tensor
from sevenfold.checkpoint import Checkpoint
from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.executors.base import Executor
from sevenfold.export import write_program
from sevenfold.fairness import METHODS, POSTPROCESSORS
from sevenfold.fairness.debiaser import Debiaser
from sevenfold.fairness.network import Decisions, Logits, TabularNet, sizes
from sevenfold.fairness.studies.debias import DebiasStudy
from sevenfold.ranges import Seed


class DebiasModule(StudyModule):
    """A :class:`DebiasStudy` to run, and one network that is debiased and decides.

    ``network`` (which gives one logit a row) and ``threshold`` are part of the state; to load one, give
    ``network`` to the constructor.

    Args:
        study: methods by label, and the bound on the bias: its first objective.
        seed: of all random streams.
        executor: where pieces are computed; by default in this process.
        stopping: returns true once the run is to end.
        network: of the architecture that was debiased.
    """

    study: DebiasStudy
    threshold: Tensor

    def __init__(
        self,
        study: DebiasStudy,
        *,
        seed: Seed = 0,
        executor: Executor | None = None,
        stopping: Callable[[], bool] = bool,
        network: nn.Module | None = None,
    ) -> None:
        super().__init__(study, seed=seed, executor=executor, stopping=stopping)
        self.network: nn.Module | None = None if network is None else Logits(network)
        self.register_buffer("threshold", torch.zeros((), dtype=torch.float64))

    def on_save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Add the options of the network, if it is the paper's."""
        super().on_save_checkpoint(checkpoint)
        if isinstance(self.network, Logits):
            # No class of the user's own is stored: a checkpoint must load without running foreign code.
            options = {"output": self.network.output, "sizes": sizes(self.network.module)}
            checkpoint["network"] = options

    def on_load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Build the network of the checkpoint; a network of the user's own class must have been given."""
        options = checkpoint.get("network")
        if options is None or self.network is not None:
            return
        if options["sizes"] is None:
            raise InputError("the checkpoint's network is of your own class: give network=... to load it")
        self.network = Logits(TabularNet(**options["sizes"]), options["output"])

    def debias(
        self,
        network: nn.Module,
        x: Numbers,
        y: Numbers,
        a: Numbers,
        *,
        method: str,
        privileged: str | None = None,
    ) -> Self:
        """Debias a copy of a trained network on validation rows x with labels y and groups a.

        Args:
            network: returns one logit per row; it is not changed.
            x: rows of features, (n, ...).
            y: labels, 1 the favorable one.
            a: groups, 1 the privileged one, or their names.
            method: the label of a method in the study, or a name in ``METHODS``.
            privileged: name of the privileged group, where groups have names.
        """
        node = self.study.methods.get(method, {"name": method})
        if node["name"] in POSTPROCESSORS:
            raise ConfigError(
                "method", f"'{method}' changes decisions, not the network; Known: {', '.join(METHODS)}"
            )
        objective = self.study.objectives[0]
        debiaser = Debiaser(
            network,
            method=node["name"],
            method_options={key: value for key, value in node.items() if key != "name"},
            measure=objective.measure,
            epsilon=objective.epsilon,
            margin=objective.margin,
            seed=self.seed,
        ).fit(tensor(x, "x").float(), labels(y, "y"), groups(a, "a", privileged=privileged))
        self.network = debiaser.result_.network or debiaser.logits_
        self.threshold.fill_(debiaser.result_.threshold)
        return self

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Return decisions about rows, 1 where the network's logit is above the threshold."""
        if self.network is None:
            raise ConfigError("network", "is missing: call debias() first, or give one to the constructor")
        return (self.network.eval()(x).double() > self.threshold).long()

    def export(self, path: str | Path, *, example: Numbers | None = None) -> Path:
        """Write the decisions about any number of rows as a program; ``example`` shows the shape of rows."""
        if self.network is None:
            raise ConfigError("network", "is missing: call debias() first, or give one to the constructor")
        decisions = Decisions(self.network, self.threshold)
        return write_program(decisions, (decisions.example(example),), path, any_number=True)

    def decide(self, rows: Numbers) -> Tensor:
        """Return decisions (n,) about rows (n, ...) of NumPy, pandas, torch or lists."""
        with torch.no_grad():
            return self(self.place(tensor(rows, "rows").float()))
