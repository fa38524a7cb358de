"""The fitting baseline: sample images first, then fit the representation to them."""

from torch import Tensor

from sevenfold.config import ConfigError, build
from sevenfold.diffreps import METHODS, SOLVERS
from sevenfold.diffreps.guidance import Guidance
from sevenfold.diffreps.methods.base import Method, State
from sevenfold.diffreps.methods.reference import Reference
from sevenfold.diffreps.nodes import MethodNode, SolverNode
from sevenfold.diffreps.sampling_task import Task
from sevenfold.ranges import Count

REFERENCE = {"name": "reference"}
SOLVER = {"name": "dense", "gn_iters": 5}


class Fit(Method):
    """A baseline that draws every view's image independently, then solves for parameters.

    With one view it bounds the fidelity that the representation allows; with several views it shows what
    inconsistent images lead to.

    Args:
        images: the ``reference`` method with its options.
        solver: a component of ``SOLVERS``.
        solves: number of solves.
    """

    def __init__(
        self, *, images: MethodNode = REFERENCE, solver: SolverNode = SOLVER, solves: Count = 10
    ) -> None:
        if images.get("name") != "reference":
            raise ConfigError("images.name", f"must be reference, got {images.get('name')}")
        self.sampler: Reference = build(METHODS, images, "images")
        self.solver, self.solves = build(SOLVERS, solver, "solver"), solves
        self.guidance: Guidance = self.sampler.guidance

    def check(self, task: Task) -> None:
        """Raise ``ConfigError`` for what sampler or solver refuse."""
        self.sampler.check(task)
        self.solver.check(task.representation)

    def steps(self, task: Task) -> int:
        """Return levels plus solves."""
        return self.sampler.steps(task) + self.solves

    def begin(self, task: Task) -> State:
        """Return the initial state of the image sampler."""
        return self.sampler.begin(task)

    def advance(self, task: Task, state: State) -> None:
        """Take a step of the image sampler, or of the fit once the images are finished."""
        if state.step < self.sampler.steps(task):
            self.sampler.advance(task, state)
            return
        if "target" not in state.noise:
            state.noise = {"target": state.theta.flatten(1)}
            state.theta = task.start()
            state.solver = self.solver.begin(state.theta)
        # theta = argmin |f(theta) - x|^2 for samples x of the prior: another law than that of the prior
        # restricted to the range of f, which sampling in parameters aims at   (Savani, Finzi & Kolter 2024)
        rendering = task.rendering(task.all_views())
        solution = self.solver.solve(rendering, state.theta, state.noise["target"], state.solver)
        state.theta, state.solver = solution.theta, solution.state
        state.counts.inner += solution.inner
        state.refused = state.refused + solution.refused
        state.step += 1
        state.trace.append(
            {"sigma": 0.0, "calls": state.counts.calls, "inner": state.counts.inner,
             "residual": float(solution.residual.mean())}
        )  # fmt: skip

    def images(self, task: Task, state: State) -> Tensor:
        """Return every view's image: those of the image sampler until the fit begins."""
        if state.theta.ndim > 2:
            return state.theta
        rendering = task.rendering(task.all_views())
        return rendering.images(rendering(state.theta))
