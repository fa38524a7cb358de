"""How much a representation restricts images, and which sampler is right then."""

from dataclasses import replace

from torch import Tensor

from sevenfold.diffreps.priors.base import ExactPrior
from sevenfold.diffreps.sampling_task import Task
from sevenfold.diffreps.solvers.dense import Dense
from sevenfold.seeding import torch_generator

FREE = 0.01
SOLVES = 20


def binding(task: Task, images: Tensor) -> float:
    """Return mean |x - f(fit)|^2 / mean |x - mean|^2 over images (N, C, H, W) of the prior's domain.

    0: every image can be rendered; 1: no more than their mean. The representation has one view here.

    Example:
        >>> from sevenfold.diffreps import Pixels, Pool, digits, gmm, make_task
        >>> task = make_task(Pixels(size=8), gmm(source={"name": "digits", "size": 8}), Pool(), seeds=[0])
        >>> binding(task, digits(size=8).images[:4]) < 1e-6
        True
    """
    count = len(images)
    many = replace(task, seeds=range(count), labels=task.labels[:1].expand(count))
    rendering, theta = many.rendering(many.all_views()[:1]), many.start()
    solver = Dense(gn_iters=2)
    state, target = solver.begin(theta), images.to(theta).flatten(1)
    # residual of a projection: what Gauss-Newton leaves of |x - f(theta)|^2   (Bjoerck 1996, section 9.2)
    for _ in range(SOLVES):
        solution = solver.solve(rendering, theta, target, state)
        theta, state = solution.theta, solution.state
    left = (target - solution.values).square().mean()
    return float(left / (target - target.mean(0)).square().mean())


def domain(task: Task, count: int, real: Tensor | None) -> Tensor | None:
    """Return images of a task's prior: samples of an exact one, real ones otherwise; None without either."""
    if isinstance(task.prior, ExactPrior):
        return task.prior.sample(count, torch_generator(0, "images of the prior"))
    return None if real is None else real[:count]


def case_of(value: float, views: int) -> int:
    """Return 1 where the representation does not bind, 2 where it does, 3 with several views."""
    return 3 if views > 1 else 1 if value < FREE else 2


CASES = {
    1: "does not bind: fit and pullback agree, and either is enough; anneal loses variety",
    2: "binds: anneal gives the most plausible images, fit a set most like the prior's, SDS the most "
    "recognisable ones with little variety",
    3: "has several views, each with a prior: pullback without rounds and with object noise keeps the spread",
}
