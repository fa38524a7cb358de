"""Curve tables divided into a part to learn from and parts to judge on."""

from dataclasses import dataclass

import numpy as np

from sevenfold.nas.x11.tensor import By, CurveTensor, class_keys, leaked, split_rows
from sevenfold.seeding import numpy_generator


@dataclass(frozen=True)
class JudgedPart:
    """Test architectures; ``fit`` is the training part where another model than the fitted one is judged.

    ``judge`` holds runs that nothing was fitted to. ``leak`` is the share of test rows whose network is among
    the training rows under another string.
    """

    name: str
    test: CurveTensor
    judge: CurveTensor
    leak: float
    fit: CurveTensor | None = None


@dataclass(frozen=True)
class Division:
    """Random divisions of a table into training and test architectures.

    Args:
        known: the runs to learn from.
        last: a run that judges only, or None.
        train: share, or number, of architectures to learn from.
        split: whether networks (``class``) or strings are divided.
        beside: a second division, with a separate model, whose scores are reported too; None: none.
        seed: of the division.
    """

    known: CurveTensor
    last: CurveTensor | None
    train: float
    split: By
    beside: By | None
    seed: int

    def parts(self) -> tuple[CurveTensor, list[JudgedPart]]:
        """Return the training part and what is judged."""
        training, first = self._part("test", self.split)
        judged = [JudgedPart("test", first.test, first.judge, first.leak)]
        if self.beside is not None and self.beside != self.split:
            judged.append(self._part(f"test_{self.beside}", self.beside)[1])
        return training, judged

    def _part(self, name: str, by: By) -> tuple[CurveTensor, JudgedPart]:
        stream = numpy_generator(self.seed, "x11 split")
        train, test = split_rows(self.known, self.train, by=by, seed_stream=stream)
        judge = self.known if self.last is None else self.last
        leak, training = leaked(self.known, train, test), self.known.part(train)
        return training, JudgedPart(name, self.known.part(test), judge.part(test), leak, training)


def leaked_from(train: CurveTensor, test: CurveTensor) -> float:
    """Return the share of the rows of a second table whose network is in the first."""
    if type(train.space) is not type(test.space):
        return 0.0
    known = class_keys(train.space, np.concatenate([train.archs, test.archs.astype(train.archs.dtype)]))
    return float(np.isin(known[len(train.archs) :], known[: len(train.archs)]).mean())
