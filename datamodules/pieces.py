"""The pieces of a study, dealt to shards and ranks; what is recorded already is left out."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Generic

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from datamodules.sampling import every_item_once, placement
from sevenfold.records import RecordFiles
from sevenfold.study import P, Piece, Study

IDLE = Piece((), "")
"""Stands for no work: a rank without pieces, or a turn to collect what a worker has finished."""


class Pieces(pl.LightningDataModule, Generic[P]):
    """The pieces of ``study`` that the run folder has no records of yet, one at a time.

    Args:
        study: the study.
        shard: ``(i, n)``: of n independent jobs that fill one run folder this is number i, from 1; job i
            computes every n-th piece.
        window: pieces that an executor may have in flight when the last one is handed in; as many idle turns
            follow, in which they are collected.
    """

    def __init__(self, study: Study[P], *, shard: tuple[int, int] = (1, 1), window: int = 0) -> None:
        super().__init__()
        self.study, self.shard, self.window = study, shard, window
        self.todo: Sequence[Piece] = []

    def setup(self, stage: str) -> None:
        """List the pieces that are still to be computed."""
        number, count = self.shard
        done = set() if self.trainer is None else RecordFiles(self.trainer.default_root_dir).keys()
        mine = self.study.pieces()[number - 1 :: count]
        self.todo = [piece for piece in mine if not done.issuperset(piece.keys)]

    def transfer_batch_to_device(self, batch: Piece, device: torch.device, dataloader_idx: int) -> Piece:
        """Hand a piece on as it is: it holds nothing to move."""
        return batch

    def predict_dataloader(self) -> DataLoader:
        """Deal the pieces to the ranks in turn; every rank has at least one turn."""
        place = placement(self)
        idle = self.window * place["world_size"] + max(0, place["world_size"] - len(self.todo))
        turns = [*self.todo, *[IDLE] * idle]
        return DataLoader(
            turns,  # type: ignore[arg-type]
            batch_size=1,
            sampler=every_item_once(turns, **place),
            collate_fn=itemgetter(0),
        )
