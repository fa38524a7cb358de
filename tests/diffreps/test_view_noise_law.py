"""The law of volumes under each kind of view noise, exactly, in float64."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sevenfold.config import ConfigError, build
from sevenfold.diffreps.correlated_noise import Object, Same
from sevenfold.diffreps.linear_gaussian import gaussian
from sevenfold.diffreps.methods.pullback import Pullback
from sevenfold.diffreps.priors.multiview import PerView
from sevenfold.diffreps.random_streams import Streams
from sevenfold.diffreps.run import run
from sevenfold.diffreps.sampling_task import make_task
from sevenfold.diffreps.studies import STUDIES
from sevenfold.diffreps.view_noise import Pool, ViewNoise
from sevenfold.diffreps.worlds.view_noise_covariance import CUTOFF, Setup, ViewLaw

# (total; leading components / the others) by noise, Heun, 8 views
TABLE = {
    "independent": (0.494, 0.429, 1.18),
    "same": (0.836, 0.820, 1.10),
    "object_plain": (0.938, 0.915, 1.30),
    "object": (0.974, 0.963, 1.17),
    "canonical": (1.003, 1.005, 0.970),
}
LARGER = {
    16: {"independent": 0.327, "same": 0.822, "object_plain": 0.928, "object": 0.969, "canonical": 1.002},
    32: {"independent": 0.227, "same": 0.819, "object_plain": 0.927, "object": 0.967, "canonical": 1.001},
}


@pytest.fixture(scope="module")
def law() -> ViewLaw:
    return ViewLaw(Setup(), 8)


@pytest.fixture(scope="module")
def heun(law: ViewLaw) -> torch.Tensor:
    return law.split("heun")


@pytest.mark.parametrize("kind", TABLE)
def test_spreads_of_view_noises_equal_the_table(law: ViewLaw, heun: torch.Tensor, kind: str) -> None:
    spread = law.spread(heun @ law.noise(kind) @ heun.T)
    total, top, rest = TABLE[kind]
    assert spread.total == pytest.approx(total, abs=0.01)
    assert spread.top == pytest.approx(top, abs=0.01)
    assert spread.rest == pytest.approx(rest, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("views", LARGER)
def test_spreads_of_larger_rings_equal_the_table(views: int) -> None:
    law = ViewLaw(Setup(), views)
    heun = law.split("heun")
    for kind, expected in LARGER[views].items():
        assert law.spread(heun @ law.noise(kind) @ heun.T).total == pytest.approx(expected, abs=0.01), kind


def test_spreads_are_within_their_bounds(law: ViewLaw, heun: torch.Tensor) -> None:
    total = {kind: law.spread(heun @ law.noise(kind) @ heun.T).total for kind in TABLE}
    assert total["canonical"] == pytest.approx(1, abs=0.02)
    assert total["object"] >= 0.9 and total["independent"] < 0.55
    joint = law.split("heun", joint=True)
    assert law.spread(joint @ joint.T).total == pytest.approx(1.001, abs=0.01)
    assert law.spread(law.product()).total == pytest.approx(0.366, abs=0.01)
    assert law.overlap() == pytest.approx(3.3, abs=0.05)


def test_euler_loses_spread(law: ViewLaw) -> None:
    euler = law.split("euler")
    expected = {"independent": 0.463, "same": 0.772, "object": 0.899, "canonical": 0.925}
    for kind, value in expected.items():
        assert law.spread(euler @ law.noise(kind) @ euler.T).total == pytest.approx(value, abs=0.01), kind


def test_spreads_after_resampling_equal_the_table(law: ViewLaw) -> None:
    expected = {"independent": 0.464, "object": 0.963, "canonical": 0.993}
    for kind, value in expected.items():
        spread = law.spread(law.resampled(law.noise(kind), "heun", 1)).total
        assert spread == pytest.approx(value, abs=0.01), kind


def small() -> Setup:
    return Setup(count=60, resolution=3, size=4, samples=6, levels=6, sigma_min=0.01)


@pytest.mark.parametrize("kind", ["independent", "same", "object"])
@pytest.mark.parametrize("order", ["euler", "heun"])
def test_the_law_equals_that_of_the_sampler(kind: str, order: str) -> None:
    """Noise basis vectors pushed through the real sampler, real noise and real priors give the same law."""
    law = ViewLaw(small(), 3)
    shape = (1, 4, 4)
    ones = torch.ones(16, dtype=torch.float64)
    priors = [gaussian(ones, a @ law.covariance @ a.T, shape) for a in law.maps]
    kinds: dict[str, ViewNoise] = {
        "independent": Pool(), "same": Same(), "object": Object(cutoff=CUTOFF)
    }  # fmt: skip
    noise = kinds[kind]
    schedule = {"name": "karras", "levels": 6, "sigma_min": 0.01, "sigma_max": 60.0}
    method = Pullback(schedule=schedule, solver={"name": "linear"}, order=order, start="drawn")
    prior = PerView(priors, law.ring)

    def ends(variables: dict[str, torch.Tensor]) -> torch.Tensor:
        count = len(next(iter(variables.values())))
        task = make_task(law.volume, prior, noise, seeds=range(count), views=3, dtype=torch.float64)
        task.noise.start = lambda streams: variables  # type: ignore[method-assign]
        return run(method, task).theta

    bound = noise.bind(law.volume, law.ring)
    example = bound.start(Streams([0], "shape", law.ring))
    sizes = {name: v[0].numel() for name, v in example.items()}
    total = sum(sizes.values())
    basis = torch.cat([torch.zeros(1, total), torch.eye(total)]).double().split(list(sizes.values()), 1)
    variables = {
        name: part.reshape(total + 1, *example[name].shape[1:])
        for name, part in zip(sizes, basis, strict=True)
    }
    pushed = ends(variables)
    matrix = (pushed[1:] - pushed[:1]).T
    mine = law.split(order)
    torch.testing.assert_close(matrix @ matrix.T, mine @ law.noise(kind) @ mine.T, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("order", ["euler", "heun"])
def test_resampling_without_rounds_is_the_plain_law(order: str) -> None:
    law = ViewLaw(small(), 2)
    noise, plain = law.noise("object"), law.split(order)
    torch.testing.assert_close(law.resampled(noise, order, 0), plain @ noise @ plain.T)


def test_resampling_enforces_the_over_count_of_independent_noise() -> None:
    law = ViewLaw(small(), 3)
    spread = [law.spread(law.resampled(law.noise("independent"), "heun", n)).total for n in (0, 2, 8)]
    assert spread[0] > spread[1] > spread[2] > law.spread(law.product()).total - 1e-3


def study(**options: Any) -> Any:
    few = {"setup": vars(small()), "views": [3, 2], "rounds": [1, 2]}
    return build(STUDIES, {"name": "view_noise_law", **few, **options}, "study")


def test_the_study_records_every_kind_of_noise_for_every_ring(tmp_path: Path) -> None:
    records = study().run_all(tmp_path)
    by_key = {record["key"]: record for record in records}
    law = ViewLaw(small(), 3)
    noise, plain = law.noise("object"), law.split("euler")
    assert by_key["3/object/euler"]["total"] == law.spread(plain @ noise @ plain.T).total
    resampled = law.spread(law.resampled(noise, "heun", 2))
    assert by_key["3/object/heun_rounds2"]["rest"] == resampled.rest
    assert by_key["2/overlap"]["overlap"] == ViewLaw(small(), 2).overlap()
    assert len(records) == (1 + 1 + 10 + 6 + 1) + (1 + 1 + 10)
    report = study().report(records)
    assert report.headline[0] == ["noise", "2 views", "3 views"] and len(report.headline) == 1 + 7
    assert report.headline[-1][1:] == ["-", f"{by_key['3/joint_prior/heun']['total']:.3f}"]
    assert report.scalars["3_views/object/euler/total/mean"] == by_key["3/object/euler"]["total"]
    assert [path.is_file() for path in report.pictures] == [True]
    some = study().report([record for record in records if record["key"].startswith("2/")], tmp_path)
    assert some.headline[0] == ["noise", "2 views"]


@pytest.mark.parametrize(
    "options",
    [{"views": []}, {"views": [0]}, {"views": [2, 2]}, {"rounds": [-1]}, {"rounds": [1, 1]}],
    ids=str,
)
def test_rings_and_rounds_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"study\.{next(iter(options))}(\[0\])?: (needs|expected)"):
        study(**options)
