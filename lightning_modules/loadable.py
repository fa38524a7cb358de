"""Lightning modules that a checkpoint, a pickle or ``sevenfold.load`` makes again, without data and files."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn

from lightning_modules import MODELS, STUDY_MODULE, STUDY_MODULES
from sevenfold.checkpoint import Checkpoint, compare_state, read_checkpoint, recorded_model, state_of
from sevenfold.config import ConfigError, Node, merge
from sevenfold.errors import InputError, one_line
from sevenfold.ranges import Checked
from sevenfold.recorded import Recorded, checked, name_in, plain_options
from sevenfold.tables import component


class Loadable(Checked, Recorded, pl.LightningModule):
    """Base of the suite's modules: options are in every checkpoint, as plain values in ``hyper_parameters``.

    What a module has learned of its data beside its weights goes into the checkpoint by its
    ``on_save_checkpoint`` and comes back by ``on_load_checkpoint``; both call those of this class.

    Class attributes:
        files: options that name files the constructor reads; a loaded module does without them.
        rates: the attribute that holds an option group with ``lr``, and that option's name.
    """

    files: ClassVar[tuple[str, ...]] = ("weights",)
    rates: ClassVar[tuple[str, str]] = ("optim", "optim")

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters(self.made_with, logger=False)
        self.run_config: Node = {}

    @property
    def config(self) -> Node:
        """Return the resolved configuration of the run that trained this module; without one, its options."""
        return self.run_config or {"model": {"name": name_in(MODELS, type(self)), **self.hparams}}

    @property
    def lr(self) -> float:
        """The optimizer's learning rate, which Lightning's rate finder sets."""
        rate: float = getattr(self, self.rates[0]).lr
        return rate

    @lr.setter
    def lr(self, value: float) -> None:
        """Set it for the next optimizer, in the recorded options too."""
        attribute, option = self.rates
        setattr(self, attribute, replace(getattr(self, attribute), lr=value))
        self.hparams[option] = {**self.hparams[option], "lr": value}

    def convert_batch(self, batch: object) -> object:
        """Return a batch of any loader, which is on this device, as the steps take it."""
        return batch

    def _apply_batch_transfer_handler(
        self, batch: object, device: torch.device | None = None, dataloader_idx: int = 0
    ) -> object:
        """Convert a batch once it has been moved; a hook of Lightning's would warn beside a data module."""
        return self.convert_batch(super()._apply_batch_transfer_handler(batch, device, dataloader_idx))

    def place(self, values: torch.Tensor) -> torch.Tensor:
        """Return numbers on this module's device, in its precision."""
        return values.to(self.device, cast(torch.dtype, self.dtype))

    def fitting(self) -> bool:
        """Tell whether a trainer is about to fit this module."""
        return self._trainer is not None and self.trainer.state.fn == TrainerFn.FITTING

    def first_batch(self) -> object:
        """Return the first batch that a fit will load; the global random numbers are as before."""
        self.trainer.fit_loop.setup_data()
        with torch.random.fork_rng(devices=[]):
            return next(iter(cast(Iterable[object], self.trainer.train_dataloader)))

    def on_save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Add the name by which the suite knows this class, and the configuration that came with it."""
        checkpoint["model"] = name_in(MODELS, type(self))
        if self.run_config:
            checkpoint.setdefault("config", self.run_config)

    @classmethod
    def make(cls, options: Node) -> Self:
        """Return a module with plain options, checked as those of a configuration are."""
        return cls(**checked(cls, options))

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | Path,
        *,
        map_location: str | torch.device | None = None,
        strict: bool = True,
        **options: object,
    ) -> Self:
        """Return the module of a checkpoint, on the CPU unless ``map_location`` names another device.

        ``options`` replace recorded ones; mappings are merged into them. Raises ``InputError`` for files that
        are damaged, of another model, or not from this suite. Nothing is unpickled.
        """
        module = cls.from_content(read_checkpoint(checkpoint_path), checkpoint_path, options, strict=strict)
        return module.to(map_location or "cpu")

    @classmethod
    def from_content(
        cls, content: Checkpoint, path: str | Path, options: Node, *, strict: bool = True
    ) -> Self:
        """Return the module of a checkpoint that has been read from ``path``."""
        state = state_of(content, path)
        name, stored = recorded_model(content, path)
        if name not in {name_in(MODELS, base) for base in cls.__mro__}:
            raise InputError(f"'{path}' is a checkpoint of the model '{name}', not of {cls.__name__}")
        stored |= {option: None for option in cls.files if option in stored}
        with torch.random.fork_rng(devices=[]):  # initial weights are drawn and replaced
            try:
                module = cls.make(merge(stored, plain_options(options)))
            except ConfigError as error:
                raise ConfigError(f"{path}: {error.key}", error.message) from None
            module.restore(content, state, path, strict=strict)
        config = content.get("config")
        if isinstance(config, dict) and isinstance(config.get("model"), dict):
            module.run_config = {**config, "model": merge(config["model"], plain_options(options))}
        return module

    def restore(self, content: Checkpoint, state: Node, path: str | Path, *, strict: bool = True) -> None:
        """Take over what a checkpoint holds beside options: what was learned of the data, and weights."""
        try:
            self.on_load_checkpoint(content)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise InputError(f"'{path}' is damaged or of another version: {error!r}") from None
        if strict:
            compare_state(state, self, path)
        try:
            self.load_state_dict(state, strict=strict)
        except RuntimeError as error:  # of another shape
            raise InputError(f"'{path}' is a checkpoint of another model: {one_line(error)}") from None

    def export(self, path: str | Path) -> Path:
        """Write what this module predicts as a tensor program, for ``torch.export.load(path).module()``.

        Returns the file's path. Raises ``InputError`` where predictions are no computation of tensors.
        """
        raise InputError(f"{type(self).__name__} computes more than tensors and cannot be exported")


def module_class(name: str) -> type[Loadable]:
    """Return the class that checkpoints call ``name``; one's own must be of an allowed package."""
    others = {reference: reference for reference in (*STUDY_MODULES.values(), STUDY_MODULE)}
    kind: type[Loadable] = component({**MODELS, **others}, name, "model.name")
    return kind
