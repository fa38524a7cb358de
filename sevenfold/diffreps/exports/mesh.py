"""Meshes of volumes by marching tetrahedra (Doi & Koide 1991), in plain PyTorch, and PLY files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sevenfold.diffreps.representations.volume import Nerf
from sevenfold.errors import InputError

# a cube's corners are numbered 4 x + 2 y + z; six tetrahedra around its diagonal fill it
TETRAHEDRA = torch.tensor(
    [[0, 4, 6, 7], [0, 6, 2, 7], [0, 2, 3, 7], [0, 3, 1, 7], [0, 1, 5, 7], [0, 5, 4, 7]]
)


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh.

    Attributes:
        vertices: (N, 3).
        triangles: (M, 3) numbers of vertices; normals point out of the solid.
        colours: (N, 3) in [0, 1], or None.
    """

    vertices: Tensor
    triangles: Tensor
    colours: Tensor | None = None


def isosurface(values: Tensor, level: float) -> Mesh:
    """Return the surface at which a grid (G, G, G) over [-1, 1]^3 crosses ``level``; above it is solid."""
    size = values.shape[0]
    line = torch.linspace(-1, 1, size, dtype=values.dtype)
    points = torch.cartesian_prod(line, line, line)
    corner = torch.cartesian_prod(*[torch.arange(size - 1)] * 3)  # (cubes, 3)
    offsets = torch.cartesian_prod(*[torch.arange(2)] * 3)
    numbers = (corner[:, None] + offsets) @ torch.tensor([size * size, size, 1])  # (cubes, 8)
    tetra = numbers[:, TETRAHEDRA].flatten(0, 1)  # (T, 4)
    inside = values.flatten()[tetra] > level
    mixed = inside.any(1) & ~inside.all(1)
    tetra, inside = tetra[mixed], inside[mixed]
    count = inside.sum(1)
    one = _corners(tetra[count == 1], inside[count == 1])
    three = _corners(tetra[count == 3], ~inside[count == 3])
    two = _quads(tetra[count == 2], inside[count == 2])
    faces = torch.cat([one, three, two])  # (M, 3, 2): the edges whose crossings are the vertices
    edges, place = faces.flatten(0, 1).sort(1).values.unique(dim=0, return_inverse=True)
    low, high = values.flatten()[edges].unbind(1)
    # linear interpolation along an edge: t = (level - f_0) / (f_1 - f_0)
    share = ((level - low) / (high - low))[:, None]
    vertices = torch.lerp(points[edges[:, 0]], points[edges[:, 1]], share)
    return Mesh(vertices, _outward(vertices, place.view(-1, 3), faces, points, values))


def _corners(tetra: Tensor, alone: Tensor) -> Tensor:
    """Return the triangle that cuts off the one corner that is ``alone``, as edges (M, 3, 2)."""
    first, *rest = tetra.gather(1, torch.argsort(alone.int(), dim=1, descending=True, stable=True)).unbind(1)
    return torch.stack([torch.stack([first, other], 1) for other in rest], 1)


def _quads(tetra: Tensor, inside: Tensor) -> Tensor:
    """Return the two triangles between two corners inside and two outside, as edges (M, 3, 2)."""
    order = torch.argsort(inside.int(), dim=1, descending=True, stable=True)
    a, b, c, d = tetra.gather(1, order).unbind(1)
    quad = [torch.stack(pair, 1) for pair in ((a, c), (a, d), (b, d), (b, c))]
    return torch.cat(
        [torch.stack([quad[0], quad[1], quad[2]], 1), torch.stack([quad[0], quad[2], quad[3]], 1)]
    )


def _outward(vertices: Tensor, triangles: Tensor, faces: Tensor, points: Tensor, values: Tensor) -> Tensor:
    """Return triangles oriented so that their normals point from solid to empty."""
    ends = values.flatten()[faces]  # (M, 3, 2)
    toward = points[faces[..., 1]] - points[faces[..., 0]]
    outward = (toward * (ends[..., :1] - ends[..., 1:]).sign()).sum(1)
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    normal = torch.linalg.cross(b - a, c - a)
    wrong = (normal * outward).sum(1) < 0
    return torch.where(wrong[:, None], triangles.flip(1), triangles)


def mesh_of(volume: Nerf, params: Tensor, *, level: float = 5.0, resolution: int = 48) -> Mesh:
    """Return the surface of a volume at density ``level``, with its colours there.

    Raises ``InputError`` where nothing is that dense.
    """
    line = torch.linspace(-1, 1, resolution)
    density = volume.density(params, torch.cartesian_prod(line, line, line)).view((resolution,) * 3)
    # a border of zeros closes surfaces that reach the faces of the cube
    density = torch.nn.functional.pad(density[1:-1, 1:-1, 1:-1], (1,) * 6)  # closed at the cube's faces
    if float(density.max()) <= level:
        raise InputError(
            f"nothing is denser than {level:g}; the largest density is {float(density.max()):.3g}"
        )
    surface = isosurface(density, level)
    colours = volume.fields(params, surface.vertices)[1][:, :3].clamp(0, 1)
    return Mesh(surface.vertices, surface.triangles, colours)


def write_ply(path: str | Path, mesh: Mesh) -> None:
    """Write a mesh as binary PLY."""
    kinds: list[tuple[str, str]] = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(mesh.vertices)}"]
    header += [f"property float {axis}" for axis in "xyz"]
    if mesh.colours is not None:
        kinds += [(name, "u1") for name in ("red", "green", "blue")]
        header += [f"property uchar {name}" for name in ("red", "green", "blue")]
    rows = np.zeros(len(mesh.vertices), dtype=kinds)
    for i, axis in enumerate("xyz"):
        rows[axis] = mesh.vertices[:, i].numpy()
    if mesh.colours is not None:
        shades = (mesh.colours * 255).round().byte().numpy()
        for i, name in enumerate(("red", "green", "blue")):
            rows[name] = shades[:, i if shades.shape[1] > 1 else 0]
    faces = np.zeros(len(mesh.triangles), dtype=[("n", "u1"), ("corners", "<i4", (3,))])
    faces["n"], faces["corners"] = 3, mesh.triangles.numpy()
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    Path(path).write_bytes("\n".join(header).encode() + rows.tobytes() + faces.tobytes())
