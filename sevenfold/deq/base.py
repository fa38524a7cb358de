"""What a fixed-point problem, a solver and a result are: the terms of every other file of the folder."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from sevenfold.errors import ConfigError
from sevenfold.ranges import Checked, Limit, NonNegative, NonNegativeInt, Positive

State = tuple[Tensor, ...]
"""Tensors with one leading batch dimension in common; sample b of the state is row b of each."""

Function = Callable[..., State]
"""``f(z)``; or ``f(z, index)`` once finished samples have left: row i of z is then sample ``index[i]``."""


Rows = Callable[[Tensor], Tensor]
"""A map of rows (B, D) to rows (B, D), linear in each row."""


class Status(IntEnum):
    """How the solve of one sample ended; a :class:`Solution` has one code a sample, shape (B,).

    Example:
        >>> [status.name for status in Status]
        ['converged', 'max_iter', 'stalled', 'diverged', 'nonfinite', 'saddle']
    """

    converged = 0
    max_iter = 1
    stalled = 2
    diverged = 3
    nonfinite = 4
    saddle = 5  # of the linear system of a gradient alone: a direction of negative curvature


class Measured(NamedTuple):
    """Per-sample sizes of one step z -> f(z), each of shape (B,).

    ``abs`` is the norm of f(z) - z and ``norm`` the norm of f(z), both over all parts of the state.
    ``pixels`` and ``rest`` are needed by the stop rule ``pixel`` only: the mean displacement in pixels, and
    the relative residual of the parts that are not coordinates.
    """

    abs: Tensor
    norm: Tensor
    pixels: Tensor | None = None
    rest: Tensor | None = None

    @property
    def rel(self) -> Tensor:
        """Return the relative residual abs / (norm + 1e-8)."""
        # The constant keeps a state of zeros from dividing by zero.
        return self.abs / (self.norm + 1e-8)


Measure = Callable[[State, State, Tensor | None], Measured]
"""``measure(z, f(z), index)``; ``index`` as in :data:`Function`, None while the batch is whole."""


@dataclass(frozen=True)
class Stop:
    """The rule that decides, sample by sample, when a solve is finished.

    Relative residuals are those of Bai, Kolter and Koltun 2019, the displacement in pixels is this project's.

    Args:
        mode: ``abs`` or ``rel`` compares the absolute or relative residual with ``tol``; ``pixel`` compares
            the mean displacement with ``pixel_tol`` and the rest of the state with ``rest_tol``.
        tol: the residual at or below which a sample has converged in the modes ``abs`` and ``rel``.
        pixel_tol: the mean displacement in pixels at or below which a sample has converged, mode ``pixel``.
        rest_tol: the relative residual of the parts of the state that are not coordinates, mode ``pixel``.
        patience: a sample has stalled after this many evaluations without a new lowest residual; 0 for never.
        divergence: a sample has diverged when its absolute residual exceeds this many times
            |f(z0) - z0| + |f(z0)|; infinity for never.

    Example:
        >>> Stop(mode="abs", tol=1e-6, patience=5).tol
        1e-06
    """

    mode: Literal["abs", "rel", "pixel"] = "rel"
    tol: NonNegative = 1e-3
    pixel_tol: Positive = 0.08
    rest_tol: Positive = 1e-2
    patience: NonNegativeInt = 0
    divergence: Limit = 1e6

    def __post_init__(self) -> None:
        if self.mode not in ("abs", "rel", "pixel"):
            raise ConfigError("mode", f"is {self.mode!r}; expected 'abs', 'rel' or 'pixel'")
        for name in ("tol", "patience"):
            if getattr(self, name) < 0:
                raise ConfigError(name, f"is {getattr(self, name)}; expected 0 or more")
        for name in ("pixel_tol", "rest_tol", "divergence"):
            if getattr(self, name) <= 0:
                raise ConfigError(name, f"is {getattr(self, name)}; expected a positive number")

    def as_tensors(self, like: Tensor) -> "Stop":
        """Return the same rule with tensors for its numbers, which a graph takes as inputs."""
        rule = object.__new__(Stop)
        for name in ("mode", "patience", "divergence"):
            object.__setattr__(rule, name, getattr(self, name))
        for name in ("tol", "pixel_tol", "rest_tol"):
            object.__setattr__(rule, name, like.new_full((), getattr(self, name), dtype=torch.float64))
        return rule

    def judge(self, measured: Measured) -> tuple[Tensor, Tensor]:
        """Return the residual that decides, and where it is small enough; both of shape (B,)."""
        if self.mode == "pixel":
            if measured.pixels is None or measured.rest is None:
                raise ValueError(
                    "stop.mode 'pixel' needs a measure that returns pixels and rest; pass measure="
                )
            score = torch.maximum(measured.pixels / self.pixel_tol, measured.rest / self.rest_tol)
            return score, score <= 1
        score = measured.abs if self.mode == "abs" else measured.rel
        return score, score <= self.tol


@dataclass(frozen=True)
class Solution:
    """The result of a solve; failure is a value here (``status``), never an exception.

    ``value`` is f(z) for the evaluated z with the lowest deciding residual (or for the last one). ``indexed``
    holds the same as it stood after each of the steps ``indexing`` of the call. All else is per sample, of
    shape (B,): the residuals |f(z) - z| of the returned value, the evaluations of f it took (``steps``), its
    :class:`Status` code and the 1-based step that gave it (0: f was never finite there and z0 is returned).
    The traces have shape (evaluations, B) and are NaN where a sample was already finished. ``inverse`` is the
    product of :meth:`Solver.transposed_inverse`, where it was requested.

    Example:
        >>> from sevenfold.deq import FixedPoint, solve
        >>> z0 = (torch.zeros(2, 3),)
        >>> solution = solve(lambda z: (0.5 * z[0] + 1,), z0, FixedPoint(), max_iter=20)
        >>> solution.value[0].shape, solution.steps.tolist(), solution.converged.all().item()
        (torch.Size([2, 3]), [10, 10], True)
    """

    value: State
    indexed: tuple[State, ...]
    residual_abs: Tensor
    residual_rel: Tensor
    steps: Tensor
    status: Tensor
    step_of_best: Tensor
    trace_abs: Tensor
    trace_rel: Tensor
    trace_pixels: Tensor | None = None
    trace_rest: Tensor | None = None
    inverse: Rows | None = field(default=None, repr=False, compare=False)

    @property
    def converged(self) -> Tensor:
        """Return where the tolerance was met, shape (B,)."""
        return self.status == Status.converged

    def then(self, later: "Solution") -> "Solution":
        """Join the record of a solve that went on from this value: its results, both their steps."""
        traces: dict[str, Any] = {}
        for name in ("trace_abs", "trace_rel", "trace_pixels", "trace_rest"):
            before, after = getattr(self, name), getattr(later, name)
            if before is not None and after is not None:
                traces[name] = torch.cat([before, after])
        return replace(
            later,
            indexed=self.indexed + later.indexed,
            steps=self.steps + later.steps,
            # Steps of the second solve are counted on from the first.
            step_of_best=len(self.trace_abs) + later.step_of_best,
            **traces,
        )

    def last(self, trace: str) -> Tensor:
        """Return what a trace, ``trace_rel`` for instance, holds at each sample's last evaluation, (B,)."""
        values: Tensor = getattr(self, trace)
        return values.gather(0, (self.steps - 1)[None])[0]

    def counts(self) -> dict[str, int]:
        """Count the samples of each status, by name."""
        return {status.name: int((self.status == status).sum()) for status in Status}


# So that a solution may leave a compiled or exported program.
torch.export.register_dataclass(Solution, serialized_type_name="sevenfold.deq.Solution")


class Solver(Checked, ABC):
    """The base of fixed-point solvers: an update rule that holds options only.

    What changes during a solve lives in the memory that :meth:`start` creates. States are flat, (B, D), in at
    least float32. The driver (:func:`sevenfold.deq.driver.solve`) evaluates f into the :meth:`room`, measures
    the residual, decides which samples are finished and calls :meth:`step`.

    Example:
        >>> class Halfway(Solver):
        ...     def start(self, x, max_iter): return None
        ...     def step(self, memory, x, y, r): x += 0.5 * r
        ...     def restart(self, memory, rows): pass
        ...     def keep(self, memory, index): pass
        >>> Halfway().growth
        inf
    """

    growth: float = float("inf")
    """A sample whose residual exceeds ``growth`` times its lowest is restarted from the best state."""

    @abstractmethod
    def start(self, x: Tensor, max_iter: int) -> Any:
        """Return the memory of a new solve that begins at x and evaluates f at most ``max_iter`` times."""

    def room(self, memory: Any, y: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """Return where to write the next f(x) and residual; by default over the last ones, y and r."""
        return y, r

    @abstractmethod
    def step(self, memory: Any, x: Tensor, y: Tensor, r: Tensor) -> None:
        """Overwrite x with the next point to evaluate, given y = f(x) and r = y - x."""

    @abstractmethod
    def restart(self, memory: Any, rows: Tensor) -> None:
        """Forget the past of the samples where ``rows`` (B,) is true; x was set to another point for them."""

    @abstractmethod
    def keep(self, memory: Any, index: Tensor) -> None:
        """Keep only the samples at the positions ``index``, in that order."""

    def transposed_inverse(self, memory: Any, steps: Tensor) -> Rows | None:
        """Return v -> P^T v, where P estimates (I - J)^-1 at the solution; None where none is known.

        ``steps`` (B,) is the number of evaluations of each sample.
        """
        return None

    def begin(self, x: Tensor, steps: int) -> Any:
        """Return the memory for :meth:`advance`: tensors in tuples, or nothing."""
        raise self._no_static_form()

    def advance(self, memory: Any, x: Tensor, y: Tensor, r: Tensor) -> tuple[Tensor, Any]:
        """Return the next point and memory, as :meth:`step` gives them, and change nothing."""
        raise self._no_static_form()

    def forget(self, memory: Any, rows: Tensor) -> Any:
        """Return the memory as :meth:`restart` leaves it."""
        raise self._no_static_form()

    def _no_static_form(self) -> NotImplementedError:
        # A solver may do without this form, so these three methods are not abstract.
        return NotImplementedError(
            f"{type(self).__name__} has no form without side effects, which torch.compile(fullgraph=True) "
            "and torch.export need: use the solver fixed_point or anderson"
        )


class Backward(Checked, ABC):
    """A rule that gives a solved state its gradient."""

    @abstractmethod
    def attach(self, f: Function, z: State) -> list[State]:
        """Return states that equal or refine z and carry gradients to all that f depends on.

        z is a solution without gradient; f is called as ``f(z)``. Most rules return one state; the last is
        the one that stands for the fixed point.
        """
