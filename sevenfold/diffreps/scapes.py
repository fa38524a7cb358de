"""Procedurally drawn landscapes of eight kinds: images in colour that need no download."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from sevenfold.diffreps.sources import Images
from sevenfold.ranges import Count, Range, Seed
from sevenfold.seeding import torch_generator

SIDE, FINER, CHUNK = 32, 3, 256
RING = 4  # screens around which a single screen is cut out: one sun for each so many

# Colours of a kind as #rrggbb: zenith, horizon, sun, clouds, far hills, near ground, trees.
_PALETTES = {
    "noon": "3373d9 b2d9f7 fff7cc fafaff 80a1b8 478533 1a521f",
    "dawn": "7380c7 fac2a8 ffe6bf f2c7cc 9e859e 5c6157 2e3d38",
    "sunset": "402e6b fa802e ffcc59 d96159 733852 331f29 170f17",
    "night": "05081f 1a214c f2f2e0 242b47 141a33 0a1217 05080d",
    "winter": "99b2d1 e6ebf2 fffaeb d1d9e6 bdcce0 f0f5fa 334c4c",
    "desert": "4c8cd9 f2e0b8 fff7d9 faf2e6 cc9473 e0ad61 5c7338",
    "sea": "408ce0 c7e6f5 fff7d9 fafaff 738c99 0f5280 1f4733",
    "storm": "333845 7a828a bfc2bf 4c525c 475259 29382e 121c1a",
}
KINDS = tuple(_PALETTES)
# Traits of a kind: cover of clouds, chance of a tree in a slot, height of the sun over the horizon in
# heights of the picture, brightness of stars, ruggedness.
_TRAITS = torch.tensor(
    [
        [0.45, 0.65, 0.36, 0.0, 0.8],
        [0.40, 0.55, 0.10, 0.0, 0.9],
        [0.50, 0.50, 0.08, 0.0, 1.0],
        [0.25, 0.55, 0.33, 1.0, 1.0],
        [0.45, 0.70, 0.25, 0.0, 1.2],
        [0.15, 0.08, 0.36, 0.0, 0.6],
        [0.40, 0.00, 0.30, 0.0, 0.5],
        [0.80, 0.60, 0.40, 0.0, 1.1],
    ]
)
_SEA = KINDS.index("sea")


def _palettes() -> Tensor:
    """Return the colours (8, 7, 3) in [0, 1]."""
    numbers = [[list(bytes.fromhex(colour)) for colour in row.split()] for row in _PALETTES.values()]
    return torch.tensor(numbers) / 255


@dataclass(frozen=True)
class _Places:
    """The points of a chunk of pictures: columns (N, 1, W) in px on the ring, rows (1, H, 1) in [0, 1]."""

    columns: Tensor
    rows: Tensor
    length: int  # of the ring in px


@dataclass(frozen=True)
class _Hills:
    """The profile of a layer of hills: five octaves, whose heights halve with their widths."""

    lattices: list[Tensor]
    foot: Tensor
    rise: Tensor
    length: int

    def top(self, columns: Tensor) -> Tensor:
        """Return the row (N, 1, W) of the crest at columns in px."""
        crest = self.foot
        for octave, lattice in enumerate(self.lattices):
            crest = crest - self.rise * 0.5**octave * _noise1(lattice, columns, self.length)
        return crest


class _Draws:
    """Random numbers of a chunk, drawn on the CPU so that every device draws the same pictures."""

    def __init__(self, seed: int, chunk: int, device: torch.device) -> None:
        self.generator, self.device = torch_generator(seed, "scapes", chunk), device

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(CHUNK, *shape, generator=self.generator).to(self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(CHUNK, *shape, generator=self.generator).to(self.device)


def scapes(
    *,
    count: Count = 2048,
    seed: Seed = 0,
    wide: Annotated[int, Range(1, 64)] = 1,
    device: Literal["cpu", "auto"] = "cpu",
) -> Images:
    """Draw landscapes (count, 3, 32, 32) in [-1, 1], of the eight ``KINDS`` in turn.

    Sky, sun or moon, stars, clouds, three layers of hills, trees and water are functions of the column on a
    ring, drawn three times finer than a pixel. Every column has the same law, so that images continue each
    other: a picture of several screens is as likely as its parts. Clouds and hills are value noise of several
    octaves (Ebert et al., "Texturing and Modeling", 2003, chapter 2). The first images of a seed are the same
    whatever their count.

    Args:
        count: images.
        seed: of the pictures.
        wide: screens side by side, (32, 32 wide) px, which close on themselves; 1: a cut of 32 columns.
        device: where they are drawn: ``auto`` means on a GPU if there is one. They are returned on the CPU.

    Example:
        >>> pictures = scapes(count=8)
        >>> pictures.images.shape, pictures.labels.tolist()
        (torch.Size([8, 3, 32, 32]), [0, 1, 2, 3, 4, 5, 6, 7])
    """
    place = torch.device("cuda" if device == "auto" and torch.cuda.is_available() else "cpu")
    chunks = [_chunk(seed, start // CHUNK, wide, place).cpu() for start in range(0, count, CHUNK)]
    labels = torch.arange(count) % len(KINDS)
    name = "scapes" if wide == 1 else f"scapes{wide}"
    return Images(name, torch.cat(chunks)[:count], labels, (-1.0, 1.0))


def _chunk(seed: int, chunk: int, wide: int, device: torch.device) -> Tensor:
    """Draw ``CHUNK`` pictures; their kinds begin anew with every chunk, whose length they divide."""
    draws = _Draws(seed, chunk, device)
    kinds = torch.arange(CHUNK, device=device) % len(KINDS)
    colours, traits = _palettes().to(device)[kinds], _TRAITS.to(device)[kinds]
    # +- .04 in every colour: no two days look alike
    colours = (colours + 0.04 * draws.normal(*colours.shape[1:])).clamp(0, 1)
    length = SIDE * (RING if wide == 1 else wide)
    fine = (torch.arange(SIDE * wide * FINER, device=device) + 0.5) / FINER
    start = draws.uniform(1, 1) * length if wide == 1 else torch.zeros(CHUNK, 1, 1, device=device)
    rows = ((torch.arange(SIDE * FINER, device=device) + 0.5) / (SIDE * FINER)).view(1, -1, 1)
    at = _Places((start + fine) % length, rows, length)
    horizon = 0.45 + 0.2 * draws.uniform(1, 1)
    image = _sky(draws, at, colours, traits, horizon)
    image = _land(draws, at, colours, traits, horizon, kinds == _SEA, image)
    return F.avg_pool2d(image, FINER).clamp(0, 1) * 2 - 1


def _sky(draws: _Draws, at: _Places, colours: Tensor, traits: Tensor, horizon: Tensor) -> Tensor:
    """Return the sky (N, 3, H, W) with stars, sun or moon, and clouds."""
    height = (at.rows / horizon).clamp(0, 1)
    image = _mix(_flat(colours, 0), _flat(colours, 1), (height**1.3).unsqueeze(1))
    # A star fills a pixel in a hundred, fainter towards the horizon.
    shine = draws.uniform(SIDE, at.length)
    stars = ((shine - 0.985) / 0.015).clamp(0) * traits[:, 3].view(-1, 1, 1)
    pixel = (at.rows * SIDE).long().expand(CHUNK, -1, 1), at.columns.long().clamp(max=at.length - 1)
    stars = stars[torch.arange(CHUNK, device=draws.device).view(-1, 1, 1), pixel[0], pixel[1]]
    image = image + (stars * (1 - height)).unsqueeze(1)
    # One sun for every so many screens of the ring, at places that are uniform on it.
    for _ in range(max(1, round(at.length / SIDE / RING))):
        column = draws.uniform(1, 1) * at.length
        row = horizon - traits[:, 2].view(-1, 1, 1) * (0.7 + 0.6 * draws.uniform(1, 1))
        across = _around(at.columns - column, at.length)
        distance = (across.square() + ((at.rows - row) * SIDE).square()).sqrt()
        radius = 1.8 + 1.2 * draws.uniform(1, 1)
        glow = (
            0.55 * torch.exp(-(distance / 7)) * (1 - 0.6 * traits[:, :1, None] * (traits[:, :1, None] > 0.7))
        )
        image = _mix(image, _flat(colours, 2), glow.unsqueeze(1))
        image = _mix(image, _flat(colours, 2), (radius - distance + 0.5).clamp(0, 1).unsqueeze(1))
    shape = torch.zeros((), device=draws.device)
    for weight, across_px, rows in ((0.5, 16, 5), (0.3, 8, 10), (0.2, 4, 20)):
        shape = shape + weight * _noise2(draws, at, across_px, rows)
    cover = traits[:, :1, None] * (0.5 + draws.uniform(1, 1))
    opacity = ((shape - 0.72 + 0.45 * cover) / 0.16).clamp(0, 1) * 0.9 * (1 - height**4)
    shade = 1 - 0.18 * (shape - 0.5).clamp(-0.5, 0.5)
    return _mix(image, _flat(colours, 3) * shade.unsqueeze(1), opacity.unsqueeze(1))


def _land(
    draws: _Draws, at: _Places, colours: Tensor, traits: Tensor, horizon: Tensor, sea: Tensor, image: Tensor
) -> Tensor:
    """Return the sky with three layers of hills, each nearer and darker, trees on two of them, and water."""
    rugged, water = traits[:, 4].view(-1, 1, 1), sea.view(-1, 1, 1)
    grain = _noise2(draws, at, 2, 24) - 0.5
    for layer, (drop, rise) in enumerate(((-0.02, 0.20), (0.10, 0.16), (0.26, 0.14))):
        lattices = [draws.uniform(at.length // width) for width in (32, 16, 8, 4, 2)]
        hills = _Hills(lattices, horizon + drop + 0.75 * rise * rugged, rise * rugged, at.length)
        colour = _mix(_flat(colours, 4), _flat(colours, 5), layer / 2)
        light = 1 + 0.25 * grain - 0.35 * (at.rows - horizon).clamp(0)
        crest = hills.top(at.columns)
        if layer:  # water takes the place of the nearer hills
            crest = torch.where(water, horizon + 0.02, crest)
            trees = _trees(draws, at, hills, traits[:, 1].view(-1, 1, 1), 4 * layer)
            hazy = _mix(_flat(colours, 6), colour, 0.3 * (2 - layer))
            image = _mix(image, hazy, trees.unsqueeze(1))
        body = ((at.rows - crest) * SIDE * FINER + 0.5).clamp(0, 1)
        surface = colour * light.unsqueeze(1)
        if layer:
            surface = torch.where(water.unsqueeze(1), _water(draws, at, colours, horizon), surface)
        image = _mix(image, surface, body.unsqueeze(1))
    return image


def _water(draws: _Draws, at: _Places, colours: Tensor, horizon: Tensor) -> Tensor:
    """Return flat water (N, 3, H, W): the horizon's colour far away, deeper near, with ripples."""
    depth = ((at.rows - horizon) / (1 - horizon)).clamp(0, 1)
    ripples = (_noise2(draws, at, 8, 32) - 0.5) * (0.15 + 0.35 * depth)
    far = _mix(_flat(colours, 1), _flat(colours, 5), 0.45)
    return _mix(far, _flat(colours, 5), depth.sqrt().unsqueeze(1)) + ripples.unsqueeze(1) * 0.7


def _trees(draws: _Draws, at: _Places, hills: _Hills, chance: Tensor, slot: int) -> Tensor:
    """Return how much of every point (N, H, W) trees cover, at most one for every ``slot`` px.

    The nearer the hills, the larger their trees and slots.
    """
    slots = at.length // slot
    there, shift, size, crown = (draws.uniform(slots) for _ in range(4))
    covered = torch.zeros((), device=draws.device)
    own = (at.columns / slot).long()
    for neighbour in (-1, 0, 1):
        index = (own + neighbour) % slots

        def of(numbers: Tensor, index: Tensor = index) -> Tensor:
            return numbers.gather(1, index[:, 0])[:, None]

        middle = (index + 0.2 + 0.6 * of(shift)) * slot
        tall = slot * (0.7 + 0.6 * of(size))
        above = (hills.top(middle % at.length) - at.rows) * SIDE + 0.3  # px above the foot
        part = above / tall
        across = _around(at.columns - middle, at.length).abs()
        cone = 0.34 * tall * (1 - part) * (part > 0.12)
        ball = 0.36 * tall * (1 - ((part - 0.62) / 0.38).square()).clamp(0).sqrt()
        trunk = 0.05 * tall * (part < 0.5) + 0.1
        half = torch.maximum(torch.where(of(crown) < 0.6, cone, ball), trunk)
        inside = ((half - across) * FINER + 0.5).clamp(0, 1) * (part > -0.1) * (part < 1)
        covered = torch.maximum(covered, inside * (of(there) < chance))
    return covered


def _noise1(lattice: Tensor, columns: Tensor, length: int) -> Tensor:
    """Return value noise (N, 1, W) of a periodic lattice (N, L) at columns on a ring of ``length`` px."""
    place = columns[:, 0] / (length / lattice.shape[1])
    left = place.floor()
    ease = _smooth(place - left)
    first = left.long() % lattice.shape[1]
    second = (first + 1) % lattice.shape[1]
    return (lattice.gather(1, first) * (1 - ease) + lattice.gather(1, second) * ease)[:, None]


def _noise2(draws: _Draws, at: _Places, across: int, along: int) -> Tensor:
    """Return value noise (N, H, W), periodic on the ring: cells of ``across`` px, ``along`` rows of them."""
    lattice = draws.uniform(along + 1, at.length // across)
    place = at.rows.view(-1) * along
    upper = place.long().clamp(max=along - 1)
    ease = _smooth(place - upper).view(1, -1, 1)
    rows = lattice[:, upper] * (1 - ease) + lattice[:, upper + 1] * ease  # (N, H, L)
    x = at.columns / across
    left, blend = x.long() % rows.shape[2], _smooth(x - x.floor())
    right = (left + 1) % rows.shape[2]
    shape = (-1, rows.shape[1], -1)
    return rows.gather(2, left.expand(shape)) * (1 - blend) + rows.gather(2, right.expand(shape)) * blend


def _smooth(t: Tensor) -> Tensor:
    """Return 3 t^2 - 2 t^3, which rises from 0 to 1 without a kink at either end."""
    return t * t * (3 - 2 * t)


def _around(distance: Tensor, length: int) -> Tensor:
    """Return the signed distance on a ring: in [-length / 2, length / 2)."""
    return (distance + length / 2) % length - length / 2


def _mix(first: Tensor, second: Tensor, share: Tensor | float) -> Tensor:
    return first + (second - first) * share


def _flat(colours: Tensor, number: int) -> Tensor:
    """Return one colour of every picture as (N, 3, 1, 1)."""
    return colours[:, number, :, None, None]
