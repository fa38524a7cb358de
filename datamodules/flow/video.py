"""Videos and folders of frames, to predict on: pair after pair, each sequence whole on one device."""

from pathlib import Path
from typing import ClassVar

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from datamodules.sampling import WholeGroups, placement
from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.data.sequences import Frames, find_sequences
from sevenfold.flow.data.video import VideoDataset
from sevenfold.ranges import DepthOrNone
from sevenfold.records import read_folder


class FlowVideo(pl.LightningDataModule):
    """Predict on every sequence of frames below a folder.

    Pictures that differ in a running number are a sequence, and a gap is a cut
    (``sevenfold.flow.data.sequences``). The test splits of Sintel and KITTI are such folders. Sequences with
    a record in the run's folder are done and left out.

    Args:
        root: any folder with frames in it, at any depth.
        workers: processes that read files; 0 reads in the main process.
    """

    batch: ClassVar[type] = FlowBatch

    def __init__(self, *, root: str = "data", workers: DepthOrNone = 0) -> None:
        super().__init__()
        self.root, self.workers = root, workers
        self.sequences: list[Frames] = []

    def setup(self, stage: str) -> None:
        """Find the sequences that are still to do."""
        done = set()
        if self.trainer is not None:
            done = {record["key"] for record in read_folder(Path(self.trainer.default_root_dir) / "records")}
        self.sequences = [frames for frames in find_sequences(self.root) if frames.name not in done]

    def predict_dataloader(self) -> DataLoader:
        """Load this device's sequences, one pair at a time."""
        data = VideoDataset(self.sequences)
        sampler = WholeGroups([place[0] for place in data.places], **placement(self))
        return DataLoader(data, batch_size=1, sampler=sampler, num_workers=self.workers)
