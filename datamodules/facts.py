"""Data modules that tell the module what it must know of the data."""

from abc import abstractmethod
from typing import Generic, TypeVar

import pytorch_lightning as pl

from sevenfold.exchange import TakesFacts

Facts = TypeVar("Facts")


class WithFacts(pl.LightningDataModule, Generic[Facts]):
    """Hands :meth:`facts` to the trainer's module, if that takes any, before the module is set up.

    Lightning sets the data module up first in every process and at every stage, so the facts are there when
    a network is built, and before a checkpoint is read.
    """

    @abstractmethod
    def facts(self) -> Facts:
        """Return what a module must know."""

    def setup(self, stage: str) -> None:
        """Hand the facts over."""
        module = None if self.trainer is None else self.trainer.lightning_module
        if isinstance(module, TakesFacts):
            module.prepare_for(self.facts())
