"""Sequences of frames as a data set."""

from torch.utils.data import Dataset

from sevenfold.flow.batch import FlowItem
from sevenfold.flow.data.pairs import PairDataset
from sevenfold.flow.data.sequences import Frames


class VideoDataset(Dataset[FlowItem]):
    """The pairs of all sequences in order."""

    def __init__(self, sequences: list[Frames]) -> None:
        self.pairs = PairDataset([pair for frames in sequences for pair in frames.pairs()])
        self.places = [
            (frames.name, index, index == len(frames.paths) - 2)
            for frames in sequences
            for index in range(len(frames.paths) - 1)
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> FlowItem:
        sequence, number, last = self.places[index]
        frame = self.pairs.pairs[index].image1.stem
        return {**self.pairs[index], "sequence": sequence, "index": number, "last": last, "frame": frame}
