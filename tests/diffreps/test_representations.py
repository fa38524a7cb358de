"""Representations: their contract, symmetries, and the noise of their views."""

import math

import pytest
import torch
from diffreps_problems import NAMES, VOLUMES, WITH_FILES, method, mixture, representation, starts, task
from torch import Tensor

from sevenfold.diffreps import REPRESENTATIONS
from sevenfold.diffreps.priors.base import Condition
from sevenfold.diffreps.representations.base import CoordinateRepresentation
from sevenfold.diffreps.view_noise import Anchored, Fresh, Pool
from sevenfold.testing.contract import Check, run_check
from sevenfold.testing.representation import CHECKS

ONE = torch.zeros(0).double()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(set(REPRESENTATIONS) - WITH_FILES))
def test_representations_keep_their_contract(name: str, check: Check) -> None:
    small = {"size": 4, "samples": 5} if name in VOLUMES else {}
    run_check(check, representation(name, **small))


@pytest.mark.parametrize("name", NAMES)
def test_a_representation_renders_on_its_device(name: str, device: torch.device) -> None:
    rep = representation(name).to(device)
    views = rep.views(3, torch.Generator().manual_seed(0)).double().to(device)
    images = rep.rendered(starts(rep).to(device), views)
    assert images.device.type == device.type and bool(images.isfinite().all())


def test_a_wide_canvas_equals_multidiffusion() -> None:
    rep, prior = representation("wide_canvas", channels=1), mixture((1, 6, 6))
    problem = task(rep, prior, noise=Anchored(), views=5)
    sampler = method(
        "pullback", schedule={"name": "karras", "levels": 10}, solver={"name": "linear"}, start="drawn"
    )
    state = sampler.begin(problem)
    e = state.noise["cells"].view(-1, 1, 6, 14)
    sigmas = [step.sigma for step in sampler.plan(prior)] + [0.0]  # type: ignore[attr-defined]
    z, free = sigmas[0] * e, Condition(torch.full((len(problem),), -1))
    lefts = problem.pool[:, 1].long().tolist()
    assert lefts[0] == 0 and lefts[-1] == 14 - 6
    for sigma, following in zip(sigmas, sigmas[1:], strict=False):
        total, count = torch.zeros_like(z), torch.zeros_like(z)
        for left in lefts:  # every crop takes its own DDIM step; overlaps are averaged
            crop = z[..., left : left + 6]
            clean = prior.denoise(crop, torch.full((len(z),), sigma, dtype=torch.float64), free)
            total[..., left : left + 6] += clean + following / sigma * (crop - clean)
            count[..., left : left + 6] += 1
        z = total / count
        sampler.advance(problem, state)
        assert float((state.theta.view_as(z) + following * e - z).abs().max()) < 1e-10


def test_a_wrapped_canvas_continues_at_its_left_edge() -> None:
    rep = representation("wide_canvas", channels=1, wrap=True)
    canvas = torch.arange(6 * 14).double()
    crop = rep.render(canvas, torch.tensor([0.0, 11.0]).double())
    assert crop[0, 0].tolist() == [11, 12, 13, 0, 1, 2]
    lefts = rep.views(4, torch.Generator())[:, 1].tolist()
    assert lefts == [0, 4, 7, 10] and rep.picture(canvas).shape == (1, 6, 14)


def test_a_tile_continues_over_its_edges() -> None:
    def ratio(name: str) -> float:
        rep = representation(name, size=16, w0=6.0, width=16, channels=1)
        at = torch.zeros(2 if name == "tile" else 0).double()
        images = torch.stack([rep.render(theta, at)[0] for theta in starts(rep, 40)])
        seams = [images[:, :, 0] - images[:, :, -1], images[:, 0] - images[:, -1]]
        inside = torch.cat([images.diff(dim=d).abs().flatten() for d in (1, 2)]).mean()
        return float(torch.cat(seams).abs().mean() / inside)

    assert ratio("tile") <= 1.5
    assert ratio("siren") > 1.5  # what an ordinary network does at its edges


def test_a_tile_s_views_are_cyclic_shifts_and_so_are_their_anchors() -> None:
    rep = representation("tile", size=6)
    theta, view = starts(rep, 1)[0], torch.tensor([2.0, 5.0]).double()
    plain = rep.render(theta, torch.zeros(2).double())
    assert torch.allclose(rep.render(theta, view), plain.roll((-2, -5), (1, 2)), atol=1e-10)
    assert torch.equal(rep.anchors(view), torch.arange(36).view(6, 6).roll((-2, -5), (0, 1)))


def test_panoramas_agree_on_directions_that_views_share() -> None:
    rep = representation("panorama", size=7)
    theta = starts(rep, 1)[0]
    first = torch.tensor([0.4, 0.2]).double()
    image, directions = rep.render(theta, first), rep.coordinates(first)
    assert torch.allclose(directions.norm(dim=1), torch.ones(49).double(), atol=1e-12)
    for pixel in (0, 10, 24, 48):
        x, y, z = directions[pixel].tolist()
        towards = torch.tensor([math.atan2(y, x), math.asin(z)], dtype=torch.float64)
        center = rep.render(theta, towards)[:, 3, 3]  # the pixel in the middle looks that way
        assert float((center - image.flatten(1)[:, pixel]).abs().max()) < 1e-10
    assert float(rep.angles(torch.stack([first, first + torch.tensor([0.5, 0.0])]))[0, 1]) == pytest.approx(
        math.degrees(math.acos(math.cos(0.2) ** 2 * math.cos(0.5) + math.sin(0.2) ** 2)), abs=1e-6
    )


def test_a_camera_s_right_is_right_and_its_up_is_up() -> None:
    rep = representation("panorama", size=7)
    directions = rep.coordinates(torch.zeros(2).double()).view(7, 7, 3)
    assert torch.allclose(directions[3, 3], torch.tensor([1.0, 0.0, 0.0]).double(), atol=1e-6)
    assert float(directions[0, 3, 2]) > 0 > float(directions[6, 3, 2])  # first row looks up
    assert float(directions[3, 6, 1]) < 0  # azimuth grows to the left, seen from inside with z up


@pytest.mark.parametrize("group", ["mirror", "rotate2", "rotate3", "rotate4", "rotate6"])
def test_symmetric_images_are_invariant(group: str) -> None:
    rep = representation("symmetric", group=group)
    assert isinstance(rep, CoordinateRepresentation)
    theta = starts(rep, 1)[0]
    weights = rep.layout.split(theta)
    points = torch.rand(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    order = 2 if group == "mirror" else int(group[6:])
    angle = 2 * math.pi / order
    rotation = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    element = torch.tensor([[-1.0, 0.0], [0.0, 1.0]] if group == "mirror" else rotation).double()
    element = torch.tensor(rotation, dtype=torch.float64) if group != "mirror" else element
    assert float((rep.values(weights, points) - rep.values(weights, points @ element.T)).abs().max()) < 1e-12
    image = rep.render(theta, ONE)[0]
    if group == "mirror":
        assert float((image - image.flip(1)).abs().max()) < 1e-12
    if group in ("rotate2", "rotate4"):
        assert float((image - image.rot90(2, (0, 1))).abs().max()) < 1e-12


def test_turned_views_are_rotations_of_the_image() -> None:
    rep = representation("turned", degrees=[0.0, 90.0, 180.0])
    views = rep.views(1, torch.Generator()).double()
    assert len(views) == 3
    theta = starts(rep, 1)[0]
    plain, quarter, half = (rep.render(theta, view)[0] for view in views)
    assert torch.allclose(half, plain.rot90(2, (0, 1)), atol=1e-5)  # angles are float32
    assert torch.allclose(quarter, plain.rot90(1, (0, 1)), atol=1e-5) or torch.allclose(
        quarter, plain.rot90(-1, (0, 1)), atol=1e-5
    )


def covariance(noise: object, rep: object, pool: Tensor) -> Tensor:
    """The exact covariance of all views' noise together, from pushing basis vectors through ``at``."""
    from sevenfold.diffreps.random_streams import Streams

    bound = noise.bind(rep, pool)  # type: ignore[attr-defined]
    ((name, example),) = bound.start(Streams([0], "x", pool)).items()
    basis = torch.eye(example[0].numel()).double().view(-1, *example.shape[1:])
    map_ = bound.at({name: basis}, torch.arange(len(pool)), starts(rep, len(basis))).flatten(1)
    return map_.T @ map_


@pytest.mark.parametrize(
    ("kind", "name"), [(Pool(), "tile"), (Fresh(), "tile"), (Anchored(), "tile"), (Anchored(), "wide_canvas"),
                       (Anchored(), "panorama"), (Pool(share_within=50.0), "panorama")],
)  # fmt: skip
def test_noise_of_every_kind_is_standard_normal_in_each_view(kind: object, name: str) -> None:
    options = {"rows": 24, "channels": 1} if name == "panorama" else {"channels": 1}
    rep = representation(name, **options)
    pool = rep.views(5, torch.Generator().manual_seed(0)).double()
    size = rep.shape[1] * rep.shape[2]
    whole = covariance(kind, rep, pool).view(len(pool), size, len(pool), size)
    for view in range(len(pool)):
        assert torch.equal(whole[view, :, view], torch.eye(size).double())
    if isinstance(kind, Anchored) and name == "tile":  # the same noise, shifted
        assert torch.equal(whole[0, :, 1].sum(1), torch.ones(size).double())


def test_views_near_each_other_share_noise_by_option() -> None:
    rep = representation("panorama", channels=1)
    pool = rep.views(6, torch.Generator()).double()
    pool[:, 1] = 0.0  # 60 degrees apart
    shared = Pool(share_within=61.0).bind(rep, pool)
    assert shared.owner.tolist() == [0, 0, 2, 2, 4, 0]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="have no angles between them"):
        Pool(share_within=10.0).bind(representation("tile"), torch.zeros(2, 2))


def test_places_too_coarse_for_a_view_are_refused() -> None:
    with pytest.raises(ValueError, match="two pixels of a view share a place"):
        Anchored().bind(representation("panorama", rows=4), torch.zeros(1, 2).double())
    with pytest.raises(ValueError, match="Siren has no places of its own"):
        Anchored().bind(representation("siren"), torch.zeros(1, 0).double())
