"""The ensemble of a surrogate: members that learn from rows of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator

from sevenfold.config import ConfigError, build
from sevenfold.errors import InputError
from sevenfold.nas.encodings import ENCODINGS
from sevenfold.nas.spaces.base import Ints, Space
from sevenfold.nas.x11 import COMPRESSIONS, REGRESSORS
from sevenfold.nas.x11.base import Compression, Floats, Memo, Regressor, State, below, side_by_side
from sevenfold.nas.x11.svd import SVD
from sevenfold.seeding import numpy_generator
from sevenfold.tables import component


class Member:
    """One compression and one regressor; ``rows`` are those of the training set that it learns from."""

    def __init__(self, compression: Mapping[str, Any], regressor: Mapping[str, Any]) -> None:
        self.compression: Compression = build(COMPRESSIONS, compression, "compression")
        self.regressor: Regressor = build(REGRESSORS, regressor, "regressor")
        self.shift = self.scale = np.zeros(0)

    def fit(self, x: Floats, curves: Floats, stream: Generator) -> None:
        """Fit compression, then regressor; choose the rank jointly if ``rule`` is ``joint``."""
        self.compression.fit(curves, stream)
        self.regressor.fit(x, self.targets(curves), stream)

    def targets(self, curves: Floats) -> Floats:
        """Return standardized coefficients, (n, k), and keep their units."""
        coefficients = self.compression.encode(curves)
        # Standardized, so that the trees' penalties mean the same for every coefficient.
        self.shift, self.scale = coefficients.mean(axis=0), np.maximum(coefficients.std(axis=0), 1e-12)
        return (coefficients - self.shift) / self.scale

    def coefficients(self, x: Floats) -> Floats:
        """Return predicted coefficients, (n, k), of an SVD the coordinates in U."""
        return self.regressor.predict(x) * self.scale + self.shift

    def predict(self, x: Floats) -> Floats:
        """Return predicted curves, (n, D)."""
        return self.compression.decode(self.coefficients(x))

    def state(self) -> State:
        """Return all arrays and texts."""
        parts = {"compression": self.compression.state(), "regressor": self.regressor.state()}
        state_dict: State = {"shift": self.shift, "scale": self.scale}
        for part, state in parts.items():
            state_dict |= {f"{part}/{name}": value for name, value in state.items()}
        return state_dict

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore ``state``."""
        self.shift, self.scale = state["shift"], state["scale"]
        self.compression.load(below(state, "compression/"))
        self.regressor.load(below(state, "regressor/"))


class Ensemble:
    """Members whose mean is the noiseless curve and whose spread is the uncertainty of the model.

    Metrics are blocks of one long curve, each divided by its standard deviation. ``joint`` ranks of an SVD
    are chosen on a fifth of the training set, held out, by the mean R2 over epochs.

    Args:
        space: search space.
        encoding: encoding of the architectures that the regressors learn from.
        metrics: "split/metric" of each block.
        epochs: length of the curves.
        compression: name and options of the compression of curves.
        regressor: name and options of the regressor of coefficients.
        members: number of members.
        bootstrap: let each member learn from a bootstrap sample of the architectures; otherwise from all.
        seed: seed of the samples and of the members.
    """

    def __init__(
        self,
        space: Space,
        *,
        encoding: str,
        metrics: Sequence[str],
        epochs: int,
        compression: Mapping[str, Any],
        regressor: Mapping[str, Any],
        members: int = 5,
        bootstrap: bool = True,
        seed: int = 0,
    ) -> None:
        if members < 1:
            raise ConfigError("members", f"must be at least 1, got {members}")
        component(ENCODINGS, encoding, "encoding")
        self.space, self.encoding, self.metrics, self.epochs = space, encoding, tuple(metrics), epochs
        self.nodes = {"compression": dict(compression), "regressor": dict(regressor)}
        self.bootstrap, self.seed = bootstrap, seed
        self.members = [Member(compression, regressor) for _ in range(members)]
        # Metrics differ in unit: without a scale the compression would see the largest alone.
        self.blocks = np.ones(len(self.metrics))
        self._memo = Memo()

    def encode(self, archs: Ints) -> Floats:
        """Return the regressors' input, (n, d)."""
        rows = build(ENCODINGS, {"name": self.encoding}, "encoding", space=self.space, archs=archs)
        return np.asarray(rows, np.float64)

    def flat(self, curves: Floats) -> Floats:
        """Return curves (n, E, M) as rows of scaled blocks, (n, M E)."""
        return np.asarray((curves / self.blocks).transpose(0, 2, 1).reshape(len(curves), -1))

    def unflat(self, rows: Floats) -> Floats:
        """Return rows of blocks as curves, (n, E, M); percentages within [0, 100], losses from 0."""
        curves = rows.reshape(len(rows), len(self.metrics), -1).transpose(0, 2, 1) * self.blocks
        return np.clip(curves, 0, upper_bounds(self.metrics))

    def rows(self, member: int, n: int) -> np.ndarray:
        """Return the training rows of a member, (n,), sorted."""
        if not self.bootstrap:
            return np.arange(n)
        return np.sort(numpy_generator(self.seed, "bootstrap", member).integers(n, size=n))

    def scale_blocks(self, curves: Floats) -> None:
        """Take the blocks' units from training curves (n, E, M)."""
        self.blocks, self._memo = np.maximum(curves.std(axis=(0, 1)), 1e-9), Memo()

    def fit(self, archs: Ints, curves: Floats) -> None:
        """Fit all members to curves (n, E, M)."""
        self.scale_blocks(curves)
        x, y = self.encode(archs), self.flat(curves)
        self.choose_rank(x, y)
        for m, member in enumerate(self.members):
            rows = self.rows(m, len(y))
            member.fit(x[rows], y[rows], numpy_generator(self.seed, "member", m))

    def choose_rank(self, x: Floats, y: Floats) -> None:
        """Fix the rank of all members where the rule is ``joint`` or ``residual``."""
        first = self.members[0].compression
        if not isinstance(first, SVD) or first.rule == "fixed":
            return
        stream = numpy_generator(self.seed, "rank")
        if first.rule == "residual":
            first.fit(y, stream)
            k = first.k
        else:
            k = self._joint_rank(x, y, stream)
        for member in self.members:
            assert isinstance(member.compression, SVD)
            member.compression.k, member.compression.rule = k, "fixed"
        self.nodes["compression"] |= {"k": k, "rule": "fixed"}

    def _joint_rank(self, x: Floats, y: Floats, stream: Generator) -> int:
        held = stream.permutation(len(x)) < len(x) // 5
        trial = Member(**self.nodes)
        trial.fit(x[~held], y[~held], stream)
        errors = []
        coefficients = trial.coefficients(x[held])
        spread = ((y[held] - y[held].mean(axis=0)) ** 2).sum(axis=0)
        for k in range(1, trial.compression.k + 1):
            part = np.where(np.arange(coefficients.shape[1]) < k, coefficients, 0)
            error = ((trial.compression.decode(part) - y[held]) ** 2).sum(axis=0)
            errors.append(float((1 - error / np.maximum(spread, 1e-12)).mean()))
        # Rounded: of ranks that are equally good the lowest is taken, whatever the processor's last digits.
        return int(np.argmax(np.round(errors, 4))) + 1

    def predict_encoded(self, x: Floats) -> Floats:
        """Return what every member predicts for encodings (n, d), (members, n, E, M)."""
        if x.ndim != 2:
            raise InputError(f"encodings must be rows (n, d), got shape {x.shape}")
        return np.stack(side_by_side(lambda member: self.unflat(member.predict(x)), self.members))

    def mean_encoded(self, x: Floats) -> Floats:
        """Return the mean over members for encodings (n, d), (n, E, M); earlier answers are remembered."""
        return self._memo.ask(x, lambda rows: self.predict_encoded(x[rows]).mean(axis=0))

    def predict_members(self, archs: Ints) -> Floats:
        """Return what every member predicts, (members, n, E, M)."""
        return self.predict_encoded(self.encode(archs))

    def predict(self, archs: Ints) -> Floats:
        """Return the mean over members, (n, E, M)."""
        return self.mean_encoded(self.encode(archs))

    def coefficients(self, x: Floats) -> Floats:
        """Return the mean of the members' coefficients, (n, k), for encodings.

        Members have axes of their own; the mean means something where they learned the same compression.
        """
        return np.asarray(np.mean([member.coefficients(x) for member in self.members], axis=0))

    def options(self) -> dict[str, Any]:
        """Return what makes an equal, unfitted ensemble, but the space."""
        return {
            "encoding": self.encoding, "metrics": list(self.metrics), "epochs": self.epochs, **self.nodes,
            "members": len(self.members), "bootstrap": self.bootstrap, "seed": self.seed,
        }  # fmt: skip

    def state(self) -> State:
        """Return all arrays and texts."""
        state_dict: State = {"blocks": self.blocks}
        for m, member in enumerate(self.members):
            state_dict |= {f"member_{m}/{name}": value for name, value in member.state().items()}
        return state_dict

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore ``state``."""
        self.blocks, self._memo = state["blocks"], Memo()
        for m, member in enumerate(self.members):
            member.load(below(state, f"member_{m}/"))


def upper_bounds(metrics: Sequence[str]) -> Floats:
    """Return the largest possible value of each metric: 100 of accuracies, none of the rest."""
    return np.array([100.0 if name.endswith("/acc") else np.inf for name in metrics])
