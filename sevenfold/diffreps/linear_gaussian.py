"""Exact laws of linear Gaussian problems: closed forms, and the covariance of a sampler without sampling.

With an affine representation and a Gaussian prior one step of the sampler is an affine map of parameters and
noise. Its matrix follows from its values on basis vectors, and second moments follow from the matrix.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sevenfold.diffreps.methods.anneal import Anneal
from sevenfold.diffreps.methods.base import State
from sevenfold.diffreps.methods.plan import Step
from sevenfold.diffreps.methods.pullback import Pullback
from sevenfold.diffreps.priors.mixture import Mixture
from sevenfold.diffreps.random_streams import Streams
from sevenfold.diffreps.representations.affine import Affine
from sevenfold.diffreps.sampling_task import Task, make_task
from sevenfold.diffreps.view_noise import Noise, Pool, ViewNoise

WEIGHTS = (0.5, 0.3, 0.2)
VARIANCES = (0.25, 1.0, 4.0)


@dataclass(frozen=True)
class Line:
    """A one-dimensional range of a representation, in an image with independent values.

    ``weights`` are the squares of the unit vector q that spans the range, and sum to one; ``variances`` are
    those of the prior.
    """

    weights: tuple[float, ...] = WEIGHTS
    variances: tuple[float, ...] = VARIANCES

    def marginal(self) -> float:
        """Return the variance along q of an image that is sampled first and then fitted."""
        # Var(q^T x) = sum_j w_j lam_j
        return float(np.dot(self.weights, self.variances))

    def conditional(self) -> float:
        """Return the variance of the prior restricted to the range, the law that sampling aims at."""
        # (q^T S^-1 q)^-1 = (sum_j w_j / lam_j)^-1
        return 1 / float(np.dot(self.weights, 1 / np.array(self.variances)))

    def geometric(self) -> float:
        """Return the variance where the noise itself is projected to the range."""
        # d log u / d sigma = sigma q^T (S + sigma^2)^-1 q integrates to prod_j lam_j^(w_j / 2)
        return float(np.exp(np.dot(self.weights, np.log(self.variances))))

    def split(self) -> float:
        """Return the variance of the pullback without resampling, from infinite noise.

        It is sum_j w_j (integral of lam_j / ((lam_j + s^2) Phi(s)) ds)^2, Phi the product of
        ((lam_j + s^2) / lam_j)^(w_j / 2).
        """
        # Variation of constants for du/ds = h(s) u - q^T S (S + s^2)^-1 e, h(s) = s q^T (S + s^2)^-1 q, whose
        # integrating factor is 1 / Phi(s).
        from scipy.integrate import quad

        w, lam = np.array(self.weights), np.array(self.variances)

        def integrand(s: float, j: int) -> float:
            phi = np.prod(((lam + s**2) / lam) ** (w / 2))
            return float(lam[j] / ((lam[j] + s**2) * phi))

        return sum(w[j] * quad(integrand, 0, np.inf, args=(j,))[0] ** 2 for j in range(len(w)))

    def task(self, noise: ViewNoise | None = None) -> Task:
        """Return the task of one sample in float64, under a prior of mean zero."""
        size = len(self.weights)
        direction = torch.tensor(self.weights, dtype=torch.float64).sqrt()
        prior = gaussian(torch.zeros(size), torch.tensor(self.variances).diag(), (size, 1, 1))
        representation = Affine(direction[None, :, None], shape=(size, 1, 1))
        return make_task(representation, prior, noise or Pool(), seeds=[0], dtype=torch.float64)


def gaussian(mean: Tensor, covariance: Tensor, shape: tuple[int, int, int]) -> Mixture:
    """Return a single Gaussian as a prior, in float64."""
    one = torch.ones(1, dtype=torch.float64)
    return Mixture(mean.double()[None], covariance.double()[None], one, shape=shape)


def sampled_covariance(method: Pullback, task: Task) -> Tensor:
    """Return the exact covariance (p, p) of the parameters that ``method`` ends at; ``task`` has one sample.

    The representation must be affine, the prior Gaussian, and the solver must accept every step.
    """
    p = task.representation.layout.size
    example = task.noise.start(Streams([0], "shape", task.pool))
    m = sum(v[0].numel() for v in example.values())
    moment = torch.block_diag(torch.zeros(p, p), torch.eye(m)).double()
    for number, step in enumerate(method.plan(task.prior)):
        if step.back is not None:
            moment = _mixed_moment(moment, p, step.back / step.sigma)
        sigma = (1 + method.stochastic.churn) * step.sigma
        moment = _mixed_moment(moment, p, step.sigma / sigma)
        down = method.down(sigma, step.next)
        # (theta, e)' = M (theta, e), so that the second moment becomes M moment M^T
        matrix = _step_matrix(method, task, replace(step, sigma=sigma, next=down), number, example)
        moment = matrix @ moment @ matrix.T
        if step.next > 0:
            moment = _mixed_moment(moment, p, down / step.next)
    return moment[:p, :p]


def _mixed_moment(moment: Tensor, p: int, keep: float) -> Tensor:
    """Return the second moment after the noise e is replaced by keep e + sqrt(1 - keep^2) n."""
    scale = torch.cat([torch.ones(p), torch.full((len(moment) - p,), keep)]).double()
    fresh = torch.cat([torch.zeros(p), torch.full((len(moment) - p,), 1 - keep**2)]).double()
    return scale[:, None] * moment * scale + fresh.diag()


def _step_matrix(method: Pullback, task: Task, step: Step, number: int, example: Noise) -> Tensor:
    """Return the matrix of one step on (parameters, noise), from its values at zero and at basis vectors."""
    p, sizes = task.representation.layout.size, [v[0].numel() for v in example.values()]
    basis = _basis(p + sum(sizes))
    many, state = _states(method, task, basis[:, :p], basis[:, p:], example)
    index = task.some_views(method.views_per_step, number)
    method.move(many, state, step.sigma, step.next, index)
    after = torch.cat([state.theta, basis[:, p:]], 1)
    return (after[1:] - after[:1]).T


def annealed_covariance(method: Anneal, task: Task) -> Tensor:
    """Return the exact covariance (p, p) of the parameters that ``method`` ends at; ``task`` has one sample.

    The conditions are those of :func:`sampled_covariance`.

    Example:
        >>> exact = {"name": "linear"}
        >>> method = Anneal(schedule={"name": "karras", "levels": 10}, solver=exact, start="drawn")
        >>> annealed_covariance(method, Line().task()).shape
        torch.Size([1, 1])
    """
    p = task.representation.layout.size
    example = task.noise.start(Streams([0], "shape", task.pool))
    m = sum(v[0].numel() for v in example.values())
    moment = torch.zeros(p, p, dtype=torch.float64)
    basis = _basis(p + 2 * m)
    for number, step in enumerate(method.plan(task.prior)):
        # theta' = M (theta, e, xi) with fresh e and xi, so that the moment becomes M diag(moment, I) M^T
        many, state = _states(method, task, basis[:, :p], basis[:, p : p + m], example)
        local = _variables(basis[:, p + m :], example) if step.next > 0 else None
        method.redraw(many, state, step.sigma, local, task.some_views(method.views_per_step, number))
        matrix = (state.theta[1:] - state.theta[:1]).T
        moment = matrix @ torch.block_diag(moment, torch.eye(2 * m, dtype=torch.float64)) @ matrix.T
    return moment


def _basis(size: int) -> Tensor:
    """Return zero and the basis vectors as rows (size + 1, size)."""
    return torch.cat([torch.zeros(1, size), torch.eye(size)]).double()


def _states(method: Pullback, task: Task, theta: Tensor, noise: Tensor, example: Noise) -> tuple[Task, State]:
    """Return a task of as many samples as ``theta`` has rows, and their state with given noise."""
    many = replace(task, seeds=range(len(theta)), labels=task.labels.expand(len(theta)))
    streams = Streams([], "none", task.pool)
    return many, State(theta, _variables(noise, example), streams, method.solver.begin(theta))


def _variables(flat: Tensor, example: Noise) -> Noise:
    """Return rows of numbers as the white variables of a noise."""
    parts = flat.split([v[0].numel() for v in example.values()], 1)
    return {
        name: part.reshape(len(flat), *v.shape[1:])
        for (name, v), part in zip(example.items(), parts, strict=True)
    }
