"""The contract kits: our own components keep them, and broken twins are caught by the check that is meant."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import studies
import torch
from torch import Tensor

from callbacks import CALLBACKS
from sevenfold.config import build
from sevenfold.deq import BACKWARDS, LINEAR, SOLVERS
from sevenfold.deq.linear.gmres import GMRES
from sevenfold.deq.phantom import Phantom
from sevenfold.deq.plain import FixedPoint
from sevenfold.diffreps.representations.siren import Siren
from sevenfold.fairness.intra.controls import Base, ThresholdOnly
from sevenfold.flow.data.layouts import Pair
from sevenfold.nas.algorithms.local_search import LocalSearch
from sevenfold.nas.algorithms.random import RandomSearch
from sevenfold.nas.spaces.nb201 import NB201
from sevenfold.studies import STUDIES
from sevenfold.tables import locate
from sevenfold.testing import (
    ContractError,
    check_algorithm,
    check_backward,
    check_callback,
    check_flow_set,
    check_linear,
    check_method,
    check_prior,
    check_representation,
    check_solver,
    check_space,
    check_study,
)
from sevenfold.testing.method import problem


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_keep_their_contract(name: str) -> None:
    check_solver(build(SOLVERS, {"name": name}, "solver"))


EXACT = {
    "implicit": {"tol": 1e-10},
    "unrolled": {"steps": 30},
    "reversible": {"steps": 20},
    "phantom": {},
}


@pytest.mark.parametrize("name", BACKWARDS)
def test_rules_for_gradients_keep_their_contract(name: str) -> None:
    rule = build(BACKWARDS, {"name": name, **EXACT.get(name, {})}, "backward")
    # The coupled steps of the reversible rule contract by .55 a pair.
    check_backward(rule, exact={"phantom": None, "reversible": 1e-4}.get(name, 1e-7))


@pytest.mark.parametrize("name", LINEAR)
def test_linear_methods_keep_their_contract(name: str) -> None:
    check_linear(build(LINEAR, {"name": name}, "adjoint"))


class Boastful(GMRES):
    """Says that every row has converged."""

    def solve(self, product, b, *, max_products, tol, inverse=None):
        solution = super().solve(product, b, max_products=min(max_products, 3), tol=tol)
        return replace(solution, status=torch.zeros_like(solution.status), residual=solution.residual * 0)


class Joint(GMRES):
    """Solves all rows as one."""

    def solve(self, product, b, *, max_products, tol, inverse=None):
        solution = super().solve(
            lambda v: product(v.view_as(b)).view(1, -1), b.view(1, -1), max_products=max_products, tol=tol
        )
        each = {name: getattr(solution, name).expand(len(b)) for name in ("products", "residual", "status")}
        return replace(solution, value=solution.value.view_as(b), **each)


class Impatient(Phantom):
    """Multiplies the gradient by three."""

    def attach(self, f, z):
        return [tuple(a + 2 * (a - a.detach()) for a in state) for state in super().attach(f, z)]


class Drifting(Phantom):
    """Moves the solution."""

    def attach(self, f, z):
        return [tuple(1.001 * part for part in state) for state in super().attach(f, z)]


@pytest.mark.parametrize(
    ("kit", "twin", "check"),
    [
        (check_linear, Boastful, "solves_and_knows_its_residual"),
        (check_linear, Joint, "rows_end_by_themselves|solves_and_knows_its_residual"),
        (check_backward, Impatient, "gradients_are_right"),
        (check_backward, Drifting, "leaves_the_solution_where_it_is"),
    ],
)
def test_broken_methods_and_rules_are_caught(kit, twin, check) -> None:
    with pytest.raises(ContractError, match=check):
        kit(twin)


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_studies_keep_their_contract(name: str) -> None:
    node = studies.node(name)
    check_study(lambda: build(STUDIES, node, "study"))


OWN_CALLBACKS = [
    name
    for name, reference in CALLBACKS.items()
    if reference.startswith("callbacks.") and getattr(locate(reference), "needs", None) is None
]


@pytest.mark.parametrize("name", OWN_CALLBACKS)
def test_callbacks_keep_their_contract(name: str) -> None:
    check_callback(lambda: build(CALLBACKS, {"name": name}, "callback"))


class Idle(FixedPoint):
    """Never moves."""

    def step(self, memory: Any, x: Tensor, y: Tensor, r: Tensor) -> None:
        pass


class Mixing(FixedPoint):
    """Moves every sample by the mean of all."""

    def step(self, memory: Any, x: Tensor, y: Tensor, r: Tensor) -> None:
        x += r + 0.05 * (r.mean(0, keepdim=True) - r)


class Remembering(FixedPoint):
    """Keeps its step size from the last solve."""

    shift = 0.0

    def step(self, memory: Any, x: Tensor, y: Tensor, r: Tensor) -> None:
        type(self).shift = (self.shift + 0.01) % 0.07
        x += r * (1 - self.shift)


@pytest.mark.parametrize(
    ("solver", "check"),
    [
        (Idle, "solves_linear_contractions"),
        (Mixing, "samples_are_independent"),
        (Remembering, "solves_repeat"),
    ],
)
def test_a_broken_solver_is_caught(solver: type, check: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_solver(solver())
    assert caught.value.check == check, caught.value


class Maximizing(LocalSearch):
    """Climbs the wrong way."""

    @classmethod
    def tell_together(cls, trials: Any, archs: Any, losses: Any) -> None:
        super().tell_together(trials, archs, [-np.asarray(values) for values in losses])


class Forgetful(LocalSearch):
    """Draws from a generator that its state does not hold."""

    def propose(self, k: int) -> Any:
        self.rng.bit_generator.state = np.random.default_rng(len(self.seen)).bit_generator.state
        return super().propose(k)


class Repeating(RandomSearch):
    """Asks for the first architecture of the space again and again."""

    def propose(self, k: int) -> Any:
        return np.zeros((k, self.space.width), np.int8)


class Dropping(LocalSearch):
    """Forgets what is out when it is saved."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "pending": [], "asked": []}


@pytest.mark.parametrize(
    ("algorithm", "check"),
    [
        (Dropping, "state_resumes_exactly"),
        (RandomSearch, "finds_low_losses"),
        (Maximizing, "finds_low_losses"),
        (Repeating, "budget_is_exact"),
        (Forgetful, "trials_are_independent"),
    ],
)
def test_a_broken_algorithm_is_caught(algorithm: type, check: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_algorithm(algorithm)
    assert caught.value.check == check, caught.value


def test_a_good_algorithm_passes() -> None:
    check_algorithm(LocalSearch)
    check_algorithm(RandomSearch, learns=False)


class Shifted(NB201):
    """Names an architecture by its place among others."""

    def keys(self, archs: Any) -> Any:
        return super().keys(archs) + np.arange(len(archs))


class Invalid(NB201):
    """Mutates into codes that the space does not have."""

    def mutate(self, archs: Any, rng: Any, **options: Any) -> Any:
        return super().mutate(archs, rng, **options) + 3


@pytest.mark.parametrize(
    ("space", "check"),
    [(Shifted, "keys_name_architectures"), (Invalid, "mutations_are_valid_and_leave_the_parents_alone")],
)
def test_a_broken_space_is_caught(space: type, check: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_space(space)
    assert caught.value.check == check, caught.value


class Rounded(Siren):
    """Renders steps, whose derivative is zero."""

    def render(self, params: Tensor, view: Tensor) -> Tensor:
        return super().render(params, view).mul(8).round() / 8


class Noisy(Siren):
    """Renders something else each time."""

    def render(self, params: Tensor, view: Tensor) -> Tensor:
        image = super().render(params, view)
        return image + 0.1 * torch.randn_like(image)


class Wide(Siren):
    """Claims a range that it leaves."""

    range = (-0.01, 0.01)


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Rounded, "derivatives_are_finite_differences"),
        (Noisy, "images_have_the_shape_and_range"),
        (Wide, "images_have_the_shape_and_range"),
    ],
)
def test_a_broken_representation_is_caught(kind: type, check: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_representation(kind(size=6, width=8))
    assert caught.value.check == check, caught.value


def digits(range_: tuple[float, float] | None = None, scale: float = 1.0) -> Any:
    """Return a mixture fitted to digits; its claimed range and its scale can be made wrong."""
    from sevenfold.diffreps import PRIORS

    prior = build(PRIORS, {"name": "gmm", "source": {"name": "digits", "size": 8}}, "prior")
    prior.range = range_ or prior.range
    if scale != 1:
        inner = prior.denoise
        prior.denoise = lambda z, sigma, condition: scale * inner(z, sigma, condition)
    return prior


def test_a_prior_of_the_right_range_passes() -> None:
    check_prior(digits())


@pytest.mark.parametrize("claimed", [(0.0, 1.0), (0.0, 255.0), (-5.0, 5.0)])
def test_a_prior_with_the_wrong_range_is_caught(claimed: tuple[float, float]) -> None:
    with pytest.raises(ContractError) as caught:
        check_prior(digits(claimed))
    assert caught.value.check == "samples_fill_the_range", caught.value


def test_a_prior_that_shrinks_images_is_caught() -> None:
    with pytest.raises(ContractError):
        check_prior(digits(scale=0.8))


class InPlace(Base):
    """Changes the network it is given."""

    def search(self, given: Any) -> Any:
        with torch.no_grad():
            next(given.network.parameters()).mul_(0.5)
        return super().search(given)


class Boasting(ThresholdOnly):
    """Reports less bias than there is."""

    def search(self, given: Any) -> Any:
        result = super().search(given)
        result.mu = 0.5 * result.mu + 0.01
        return result


@pytest.mark.parametrize(
    ("method", "check"),
    [(InPlace, "input_is_untouched"), (Boasting, "record_is_what_the_weights_do")],
)
def test_a_broken_method_is_caught(method: type, check: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_method(method())
    assert caught.value.check == check, caught.value


def test_the_method_kit_has_a_biased_problem() -> None:
    given = problem()
    best = given.best(given.scores()[None])
    assert abs(float(best.mu[0])) > 0.02 or float(best.phi[0]) < 0.9
    check_method(ThresholdOnly())


def pairs(root: str, split: str = "train", *, sign: float = 1.0) -> list[Pair]:
    """Write two pictures of blobs, the second shifted by (3, -2) px, with their flow; list them."""
    from sevenfold.flow.formats import write_flow, write_image

    folder = Path(root) / split
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    texture = torch.nn.functional.interpolate(
        torch.rand(1, 3, 12, 12, generator=generator), 96, mode="bicubic"
    )[0]
    image = (255 * texture.clamp(0, 1)).to(torch.uint8)
    write_image(folder / "1.png", image[:, 8:72, 8:72])
    write_image(folder / "2.png", image[:, 10:74, 5:69])
    flow = sign * torch.tensor([3.0, -2.0])[:, None, None].expand(2, 64, 64)
    write_flow(folder / "1.flo", flow, torch.ones(64, 64, dtype=torch.bool))
    return [Pair(folder / "1.png", folder / "2.png", folder / "1.flo", "blobs", f"blobs/{split}")]


def test_a_flow_set_passes_and_a_backward_one_is_caught(tmp_path: Path) -> None:
    check_flow_set(pairs, tmp_path / "right", ["train", "val"])
    with pytest.raises(ContractError) as caught:
        check_flow_set(lambda **options: pairs(**options, sign=-1.0), tmp_path / "wrong")
    assert caught.value.check == "flow_leads_forward", caught.value
    with pytest.raises(ContractError) as caught:
        check_flow_set(lambda **options: [], tmp_path / "empty")
    assert caught.value.check == "splits_are_listed"


def test_studies_pass_and_broken_ones_are_caught() -> None:
    from toy import Draws

    class Drifting(Draws):
        calls = 0

        def run(self, piece: Any, context: Any) -> Any:
            type(self).calls += 1
            return [{**record, "calls": self.calls} for record in super().run(piece, context)]

    class Curious(Draws):
        def summarize(self, records: Any, folder: Any) -> Any:
            self.check()
            return super().summarize(records, folder)

    check_study(lambda: Draws(trials=3))
    for kind, check in ((Drifting, "records_follow_from_the_piece"), (Curious, "report_needs_records_alone")):
        with pytest.raises(ContractError) as caught:
            check_study(lambda kind=kind: kind(trials=3))  # type: ignore[misc]
        assert caught.value.check == check, caught.value


def test_callbacks_pass_and_broken_ones_are_caught() -> None:
    import pytorch_lightning as pl

    class Meddling(pl.Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
            with torch.no_grad():
                module.layer.weight.mul_(0.9)

    class Hoarding(pl.Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"module": torch.nn.Linear(1, 1)}

    check_callback(pl.callbacks.Timer)
    for kind, check in ((Meddling, "results_stay_the_same"), (Hoarding, "state_is_plain")):
        with pytest.raises(ContractError) as caught:
            check_callback(kind)
        assert caught.value.check == check, caught.value
