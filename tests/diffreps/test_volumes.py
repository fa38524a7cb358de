"""Volumes: ray marching, derivatives, noise of views, worlds, judges, meshes."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.interpolate import RegularGridInterpolator
from torch import Tensor

from sevenfold.config import ConfigError, build, validate
from sevenfold.diffreps import METHODS, REPRESENTATIONS, SOLVERS, VIEW_NOISES
from sevenfold.diffreps.correlated_noise import Canonical
from sevenfold.diffreps.exports.mesh import Mesh, isosurface, mesh_of, write_ply
from sevenfold.diffreps.methods.growing import Growing, coarsened
from sevenfold.diffreps.priors.base import Condition
from sevenfold.diffreps.priors.kde import KernelDensity
from sevenfold.diffreps.priors.multiview import MultiViewKernel, multiview_gmm, multiview_kde
from sevenfold.diffreps.random_streams import Streams
from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.representations.base import Representation
from sevenfold.diffreps.representations.voxel_nerf import VoxelNerf
from sevenfold.diffreps.run import Watch, run
from sevenfold.diffreps.sampling_task import Task, make_task
from sevenfold.diffreps.view_noise import Noise
from sevenfold.diffreps.worlds import march
from sevenfold.diffreps.worlds.cameras import Camera
from sevenfold.diffreps.worlds.depth_maps import depth_agreement, depths, opacity_entropy, render_views
from sevenfold.diffreps.worlds.judge import Judge
from sevenfold.diffreps.worlds.multiview import World
from sevenfold.errors import InputError

SMALL = World(train=24, test=12, samples=8, size=6)
VOLUMES: dict[str, dict[str, Any]] = {
    "voxel_nerf": {"name": "voxel_nerf", "resolution": 3},
    "learned": {"name": "voxel_nerf", "resolution": 3, "background": "learned"},
    "texture": {"name": "voxel_nerf", "resolution": 3, "background": "texture", "colours": "linear"},
    "large": {"name": "voxel_nerf", "resolution": 13},
    "hashgrid": {"name": "mlp_nerf", "width": 8, "entries": 32, "last": 6},
    "positional": {"name": "mlp_nerf", "width": 8, "encoding": "positional", "background": "black"},
    "ink_volume": {"name": "ink_volume", "resolution": 3},
}
SHAPE = {"size": 4, "samples": 5}


def volume(kind: str, **options: Any) -> Any:
    return build(REPRESENTATIONS, {**VOLUMES[kind], **SHAPE, **options}, "r").double()


def draw(representation: Representation, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, representation.layout.size, generator=generator, dtype=torch.float64)


def test_absorption_equals_a_loop() -> None:
    density = torch.rand(3, 7, dtype=torch.float64) * 4
    step = torch.rand(3, 1, dtype=torch.float64)
    values = march.absorption(density, step)
    for ray in range(3):
        left = 1.0
        for i in range(7):
            alpha = 1 - math.exp(-float(density[ray, i] * step[ray]))
            assert float(values[ray, i]) == pytest.approx(left * alpha, abs=1e-12)
            left *= 1 - alpha


@pytest.mark.parametrize("resolution", [4, 13])
def test_interpolation_equals_that_of_scipy(resolution: int) -> None:
    grid = torch.rand(resolution, resolution, resolution, 2, dtype=torch.float64)
    points = 2.4 * torch.rand(200, 3, dtype=torch.float64) - 1.2
    line = np.linspace(-1, 1, resolution)
    theirs = RegularGridInterpolator((line,) * 3, grid.numpy(), bounds_error=False, fill_value=0.0)
    np.testing.assert_allclose(march.interpolate(grid, points).numpy(), theirs(points.numpy()), atol=1e-12)


@pytest.mark.parametrize("kind", ["voxel_nerf", "texture", "hashgrid"])
def test_marching_in_chunks_changes_nothing(kind: str) -> None:
    whole, parts = (volume(kind, chunk=n) for n in (1024, 5))
    theta, views = draw(whole), whole.views(3, torch.Generator()).double()
    one, two = (Rendering(v, views) for v in (whole, parts))
    direction = draw(whole).flip(0)
    torch.testing.assert_close(one(theta), two(theta))
    torch.testing.assert_close(one.jvp(theta, direction), two.jvp(theta, direction))
    torch.testing.assert_close(one.vjp(theta, one(theta)), two.vjp(theta, one(theta)))


@pytest.mark.parametrize("kind", VOLUMES)
def test_products_of_volumes_are_adjoint(kind: str) -> None:
    field = volume(kind)
    theta = draw(field)
    rendering = Rendering(field, field.views(2, torch.Generator()).double())
    v, w = draw(field).flip(0), torch.randn_like(rendering(theta))
    left = (rendering.jvp(theta, v) * w).sum(1)
    right = (v * rendering.vjp(theta, w)).sum(1)
    torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", ["voxel_nerf", "learned", "ink_volume"])
def test_closed_jacobians_equal_jacrev(kind: str) -> None:
    field = volume(kind)
    views = field.views(3, torch.Generator()).double()
    theta = draw(field)
    slow = Representation.jacobian(field, theta, views)
    torch.testing.assert_close(field.jacobian(theta, views), slow, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", VOLUMES)
def test_images_and_products_of_all_views_equal_those_of_single_views(kind: str) -> None:
    field = volume(kind)
    theta, views = draw(field), field.views(3, torch.Generator()).double()
    plain = torch.stack([torch.stack([field.render(t, view) for view in views]) for t in theta])
    torch.testing.assert_close(field.rendered(theta, views), plain, atol=1e-12, rtol=0)
    linear, matrix = field.linear(theta, views), Representation.jacobian(field, theta, views)
    d, r = torch.randn(2, matrix.shape[2]).double(), torch.randn(2, matrix.shape[1]).double()
    torch.testing.assert_close(linear.push(d), torch.einsum("bnp,bp->bn", matrix, d), atol=1e-10, rtol=0)
    torch.testing.assert_close(linear.pull(r), torch.einsum("bnp,bn->bp", matrix, r), atol=1e-10, rtol=0)


def test_the_ink_volume_is_affine() -> None:
    field = volume("ink_volume")
    theta, view = draw(field), field.views(3, torch.Generator())[1].double()
    middle = field.render(theta.mean(0), view)
    torch.testing.assert_close(middle, (field.render(theta[0], view) + field.render(theta[1], view)) / 2)


@pytest.mark.parametrize("field", [0.0, 40.0])
def test_opposite_cameras_see_mirror_images_of_a_symmetric_solid(field: float) -> None:
    field = volume("voxel_nerf", camera={"elevation": 0.0, "field": field}, size=6, samples=21)
    theta = torch.full((field.layout.size,), -3.0, dtype=torch.float64)
    theta[13] = 30.0  # the middle node
    front, back = (field.render(theta, view) for view in field.views(2, torch.Generator()).double())
    torch.testing.assert_close(front, back.flip(2), atol=1e-6, rtol=0)


def test_the_depth_of_a_wall_is_its_distance() -> None:
    field = volume("voxel_nerf", camera={"elevation": 0.0}, samples=400, resolution=2, scale=1000.0)
    theta = torch.full((field.layout.size,), 10.0, dtype=torch.float64)
    depth, opacity = field.depth(theta, torch.zeros(2, dtype=torch.float64))
    middle = slice(1, 3)
    assert float(opacity[middle, middle].min()) > 0.999
    assert (
        float((depth[middle, middle] - 0.25).abs().max()) < 0.01
    )  # the cube begins .25 behind the near plane
    entropy = opacity_entropy(field, theta[None], field.views(4, torch.Generator()).double())
    assert entropy["opacity_entropy"] < 0.05


def test_depths_of_a_solid_agree_between_views() -> None:
    field = volume("voxel_nerf", size=12, samples=64, scale=50.0)
    theta = torch.full((1, field.layout.size), -5.0, dtype=torch.float64)
    theta[0, 13] = 20.0
    ring = field.views(8, torch.Generator()).double()
    assert depth_agreement(field, theta, ring)["depth_agreement"] > 0.9
    depth, opacity = depths(field, theta, ring)
    assert depth.shape == opacity.shape == (1, 8, 12, 12)


NOISES: dict[str, dict[str, Any]] = {
    "independent": {"name": "independent"},
    "same": {"name": "same"},
    "object": {"name": "object", "grid": 5},
    "object_plain": {"name": "object", "grid": 5, "window": None},
    "object_blocks": {"name": "object", "grid": 5, "blocks": 3},
    "surface": {"name": "surface", "grid": 5},
    "surface_blocks": {"name": "surface", "grid": 5, "blocks": 3},
}


def noise_map(noise: Any, field: Any, views: int) -> Tensor:
    """Return the matrix from all white variables to all views' noise."""
    ring = field.views(views, torch.Generator()).double()
    bound = noise.bind(field, ring)
    example: Noise = bound.start(Streams([0], "shape", ring))
    sizes = [v[0].numel() for v in example.values()]
    basis = torch.eye(sum(sizes), dtype=torch.float64).split(sizes, 1)
    parts = {
        name: part.reshape(-1, *v.shape[1:]) for (name, v), part in zip(example.items(), basis, strict=True)
    }
    theta = draw(field, 1).expand(sum(sizes), -1)
    return bound.at(parts, torch.arange(views), theta).flatten(1).T


@pytest.mark.parametrize("kind", [*NOISES, "canonical"])
def test_noise_within_every_view_is_white(kind: str) -> None:
    field = volume("voxel_nerf", size=6, samples=8)
    noise = Canonical(world=SMALL) if kind == "canonical" else build(VIEW_NOISES, NOISES[kind], "noise")
    matrix = noise_map(noise, field, 3)
    covariance = matrix @ matrix.T
    n = 3 * 36
    for k in range(3):
        block = covariance[k * n : (k + 1) * n, k * n : (k + 1) * n]
        torch.testing.assert_close(block, torch.eye(n, dtype=torch.float64), atol=1e-10, rtol=0)
    between = float(covariance[:n, n : 2 * n].norm())
    assert between == 0 if kind == "independent" else between > 0.5


def test_object_noise_needs_a_volume() -> None:
    siren = build(REPRESENTATIONS, {"name": "siren"}, "r")
    with pytest.raises(ConfigError, match="volume"):
        build(VIEW_NOISES, {"name": "object"}, "noise").bind(siren, torch.zeros(1, 0))


def test_surface_noise_is_shared_less_behind_a_wall() -> None:
    """A solid in the front hides the back: two opposite views share less than through empty space."""
    field = volume("voxel_nerf", size=6, samples=8, camera={"elevation": 0.0})
    noise = build(VIEW_NOISES, {"name": "surface", "floor": 0.01}, "noise").bind(
        field, field.views(2, torch.Generator())
    )
    empty, solid = torch.full((2, field.layout.size), -9.0, dtype=torch.float64).unbind()
    solid = solid.index_fill(0, torch.arange(27), 9.0)  # densities come first

    def common(theta: Tensor) -> float:
        front, back = (noise.sums(theta[None], view.double())[0] for view in noise.pool)
        return float((front @ back.T).norm() / front.norm() / back.norm())

    assert common(solid) < 0.5 * common(empty)


def test_surface_noise_needs_opacity() -> None:
    noise = build(VIEW_NOISES, {"name": "surface"}, "noise")
    ink = volume("ink_volume", size=6)
    with pytest.raises(ConfigError, match="opacity"):
        noise.bind(ink, ink.views(2, torch.Generator()))


def test_the_law_of_one_view_is_a_kernel_density() -> None:
    ring = SMALL.ring(4)
    prior = multiview_kde(world=SMALL, views=4, width=0.2)
    z = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    sigma = torch.full((8,), 0.7)
    labels = torch.full((8,), -1)
    values = prior.denoise(z, sigma, Condition(labels, ring.repeat(2, 1), group=4))
    for k in range(4):
        field = KernelDensity(SMALL.renders(ring)[:, k], 0.2)
        rows = [k, k + 4]
        expected = field.denoise(z[rows], sigma[rows], Condition(labels[rows]))
        torch.testing.assert_close(values[rows], expected, atol=1e-5, rtol=1e-5)


def test_the_joint_law_is_that_of_stacked_views() -> None:
    ring = SMALL.ring(3)
    points = SMALL.renders(ring)
    prior = MultiViewKernel(points, ring, width=0.2, together=0)
    z = torch.randn(2, 3, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    condition = Condition(torch.full((6,), -1), ring.repeat(2, 1), group=3)
    values = prior.denoise(z.flatten(0, 1), torch.full((6,), 1.5), condition).view(z.shape)
    stacked = KernelDensity(points.flatten(2)[:, :, :, None], 0.2)  # (M, K, n, 1): one "image" a scene
    expected = stacked.denoise(
        z.flatten(2)[:, :, :, None], torch.full((2,), 1.5), Condition(torch.full((2,), -1))
    )
    torch.testing.assert_close(values.flatten(2), expected[..., 0], atol=1e-4, rtol=1e-4)


def test_priors_of_a_ring_refuse_other_views() -> None:
    prior = multiview_gmm(world=SMALL, views=4, components=2)
    z, sigma, labels = torch.zeros(1, 3, 6, 6), torch.ones(1), torch.tensor([-1])
    assert prior.denoise(z, sigma, Condition(labels, SMALL.ring(4)[1:2])).isfinite().all()
    with pytest.raises(InputError, match="none of the 4"):
        prior.denoise(z, sigma, Condition(labels, SMALL.ring(3)[1:2]))
    with pytest.raises(InputError, match="sets of 2"):
        multiview_kde(world=SMALL, views=3, together=2).denoise(
            z.expand(3, -1, -1, -1), sigma.expand(3), Condition(labels.expand(3), SMALL.ring(3), group=3)
        )


def test_held_out_views_have_their_documented_distance() -> None:
    from sevenfold.diffreps.worlds.cameras import angles_between

    level = World(camera=Camera(elevation=0.0))
    for count, degrees in ((8, 19.6875), (16, 2.8125), (32, 2.8125), (64, 2.8125)):
        both = torch.cat([level.held_out(), level.ring(count)])
        assert float(angles_between(both)[:8, 8:].min()) == pytest.approx(degrees, abs=1e-3)
    raised = World(camera=Camera(elevation=10.0), unseen=50.0)
    both = torch.cat([raised.held_out(), raised.ring(32)])
    assert float(angles_between(both)[:8, 8:].min()) == pytest.approx(40, abs=0.2)
    with pytest.raises(ConfigError, match="world.unseen: expected a number above -90 and below 90"):
        validate(World, {"unseen": 90.0}, "world")


def test_the_judge_detects_memorization_collapse_and_janus_faces() -> None:
    world = World(train=60, test=40, samples=8, size=6)
    judge = Judge(world)
    known = judge.train.unflatten(2, (3, 6, 6))
    copied = judge.summary(known[:20])
    assert copied["nearest"] < 1e-3 and copied["agreement"] == 1 and 0.7 < copied["diversity"] < 1.3
    collapsed = judge.summary(known[:1].expand(12, -1, -1, -1, -1))
    assert collapsed["diversity"] < 1e-6 and collapsed["energy"] > 1
    two_faced = known[:20].clone()
    two_faced[:, 4] = known[:20, 0]  # the front, seen from behind
    assert judge.summary(two_faced)["janus"] > copied["janus"] + 0.5
    mixed = torch.stack([known[(torch.arange(20) + 7 * k) % 60, k] for k in range(8)], 1)
    assert judge.summary(mixed)["agreement"] < 0.4
    real = judge.real()
    assert real["diversity"] == pytest.approx(1) and abs(real["energy"]) < 0.5


def nerf_task(seeds: list[int], noise: str = "object") -> Task:
    field = build(REPRESENTATIONS, {"name": "voxel_nerf", "size": 6, "samples": 8, "resolution": 4}, "r")
    prior = multiview_kde(world=SMALL, views=8)
    bound = build(VIEW_NOISES, {"name": noise}, "noise")
    return make_task(field, prior, bound, seeds=seeds, views=8)


def pullback(**options: Any) -> Any:
    node = {
        "name": "pullback", "views_per_step": 4, "schedule": {"name": "karras", "levels": 8},
        "solver": {"name": "dense_cg", "max_iter": 3, "damping": 0.01}, "resampling": {"rounds": 1},
    }  # fmt: skip
    return build(METHODS, {**node, **options}, "method")


def test_dense_cg_equals_cg() -> None:
    task = nerf_task([0, 1])
    theta, rendering = task.start(), task.rendering(torch.tensor([0, 3]))
    target = rendering(theta) * 0.8
    values = []
    for name in ("cg", "dense_cg"):
        solver = build(SOLVERS, {"name": name, "max_iter": 5}, "solver")
        values.append(solver.solve(rendering, theta, target, solver.begin(theta)).theta)
    torch.testing.assert_close(*values, atol=1e-4, rtol=1e-4)


def test_volumes_do_not_depend_on_their_batch_and_resume_bit_equal(tmp_path: Any) -> None:
    method = pullback()
    with torch.no_grad():
        together = run(method, nerf_task([5, 6])).theta
        alone = run(method, nerf_task([6])).theta
        torch.testing.assert_close(together[1:], alone, atol=1e-3, rtol=1e-3)
        watch = Watch(tmp_path / "snapshot.pt", every=5)
        task = nerf_task([5, 6])
        state = method.begin(task)
        for _ in range(5):
            method.advance(task, state)
        torch.save({"state": state.plain(), "frames": [], "seconds": 0.0}, watch.snapshot)
        assert torch.equal(run(method, nerf_task([5, 6]), watch).theta, together)


def test_growing_keeps_the_grid_coarse_until_noise_has_fallen() -> None:
    task = nerf_task([0])
    field = task.representation
    assert isinstance(field, VoxelNerf)
    node = {"name": "growing", "stages": [2], "until": [1.0], "schedule": {"name": "karras", "levels": 6},
            "solver": {"name": "dense_cg", "max_iter": 3, "damping": 0.01}}  # fmt: skip
    method: Growing = build(METHODS, node, "method")
    state = method.begin(task)
    with torch.no_grad():
        for step in method.plan(task.prior):
            method.advance(task, state)
            gap = float((coarsened(field, state.theta, 2) - state.theta).abs().max())
            assert gap < 1e-3 if step.next > 1 else gap > 1e-2


@pytest.mark.parametrize(("name", "measure"), [("emptiness", 1), ("smoothness", 0), ("entropy", 2)])
def test_regularizers_lower_their_penalties(name: str, measure: int) -> None:
    task = nerf_task([0])
    theta, rendering = task.start(), task.rendering(torch.tensor([0, 3]))
    target = torch.full((1, 2 * 3 * 36), 0.5)

    def measured(solver: dict[str, Any]) -> float:
        part, at = build(SOLVERS, solver, "solver"), theta
        state = part.begin(at)
        with torch.no_grad():
            for _ in range(4):
                solution = part.solve(rendering, at, target, state)
                at, state = solution.theta, solution.state
        assert solution.values.shape == target.shape
        field = task.representation
        opacity = depths(field, at, task.pool[[0, 3]])[1]  # type: ignore[arg-type]
        grid = at[:, :64].view(4, 4, 4)
        return [
            float(sum(grid.diff(dim=i).square().sum() for i in range(3))),
            float(opacity.square().sum()),
            float((opacity * (1 - opacity)).square().sum()),
        ][measure]

    plain = {"name": "cg", "max_iter": 10}
    assert measured({"name": "regularized", "solver": plain, name: 3.0}) < 0.9 * measured(plain)


def ball(size: int = 24) -> Tensor:
    line = torch.linspace(-1, 1, size, dtype=torch.float64)
    return 0.6 - torch.cartesian_prod(line, line, line).norm(dim=1).view(size, size, size)


def area_and_volume(mesh: Mesh) -> tuple[float, float]:
    a, b, c = (mesh.vertices[mesh.triangles[:, i]] for i in range(3))
    area = torch.linalg.cross(b - a, c - a).norm(dim=1).sum() / 2
    return float(area), float((a * torch.linalg.cross(b, c)).sum() / 6)


def test_the_surface_of_a_ball_is_closed_and_faces_outward() -> None:
    mesh = isosurface(ball(), 0.0)
    area, inside = area_and_volume(mesh)
    assert area == pytest.approx(4 * math.pi * 0.36, rel=0.02)
    assert inside == pytest.approx(4 / 3 * math.pi * 0.216, rel=0.03)
    edges = torch.cat([mesh.triangles[:, [i, (i + 1) % 3]] for i in range(3)])
    forward = {tuple(edge) for edge in edges.tolist()}
    assert len(forward) == len(edges) and all((b, a) in forward for a, b in forward)


def test_a_volume_becomes_a_ply_file(tmp_path: Any) -> None:
    field = volume("voxel_nerf", resolution=5).float()
    params = torch.full((field.layout.size,), -3.0)
    params[62] = 9.0  # the middle of 5^3
    mesh = mesh_of(field, params, resolution=16)
    write_ply(tmp_path / "it.ply", mesh)
    header, _, body = (tmp_path / "it.ply").read_bytes().partition(b"end_header\n")
    assert f"element vertex {len(mesh.vertices)}".encode() in header
    assert len(body) == 15 * len(mesh.vertices) + 13 * len(mesh.triangles)
    with pytest.raises(InputError, match="denser"):
        mesh_of(field, torch.full((field.layout.size,), -30.0))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"name": "voxel_nerf", "resolution": 1}, "resolution"),
        ({"name": "voxel_nerf", "samples": 1}, "samples"),
        ({"name": "voxel_nerf", "chunk": 0}, "chunk"),
        ({"name": "voxel_nerf", "camera": {"field": 190.0}}, "field"),
        ({"name": "mlp_nerf", "levels": 0}, "levels"),
        ({"name": "ink_volume", "resolution": 1}, "resolution"),
    ],
)
def test_bad_volumes_are_refused(node: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(REPRESENTATIONS, node, "r")


def test_any_number_of_samples_can_be_rendered() -> None:
    field = volume("voxel_nerf")
    views = field.views(5, torch.Generator()).double()
    assert render_views(field, draw(field, 3), views).shape == (3, 5, 3, 4, 4)
