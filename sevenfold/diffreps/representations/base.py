"""The interface of representations: differentiable functions from a flat vector of parameters to images."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap

from sevenfold.config import ConfigError
from sevenfold.ranges import Checked

Weights = dict[str, Tensor]


class Layout:
    """The places of named arrays in a flat vector of parameters, in the order of ``shapes``."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = dict(shapes)
        self.sizes = [math.prod(shape) for shape in self.shapes.values()]
        self.size = sum(self.sizes)

    def split(self, params: Tensor) -> Weights:
        """Return the arrays of one sample's parameters (p,)."""
        parts = params.split(self.sizes)
        return {n: part.view(shape) for (n, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def join(self, arrays: Weights, lead: int = 0) -> Tensor:
        """Return arrays, each behind ``lead`` further dimensions, as one tensor (..., p)."""
        return torch.cat([arrays[name].flatten(lead) for name in self.shapes], dim=lead)


@dataclass(frozen=True)
class Linear:
    """The derivative J of a rendering at one place: ``push``, (B, p) to (B, n), is J d; ``pull`` is J^T r."""

    push: Callable[[Tensor], Tensor]
    pull: Callable[[Tensor], Tensor]


class Representation(Checked, nn.Module, ABC):
    """A differentiable function f from parameters to images, without parameters as attributes.

    Parameters are arguments, so that samples are batched; the module has constants only, as buffers.

    Attributes:
        shape: (C, H, W) of a rendered view.
        layout: of the parameters; ``layout.size`` is p.
        affine: whether rendering is affine in the parameters (the solver ``linear`` needs that).
        range: lowest and highest value that it can render, or None for any.
        cells: number of places that noise can be anchored to; 0 for none.

    A view is a vector (d,) whose meaning depends on the representation; with a single view, d = 0.
    Constants are built in float64; ``.to(dtype)`` converts them to the dtype of parameters.
    ``render`` must work under ``torch.func``: nothing in place, no branch that depends on values.
    """

    affine = False
    range: tuple[float, float] | None = None
    cells = 0

    def __init__(self, shape: tuple[int, int, int], layout: Layout) -> None:
        super().__init__()
        if min(shape) < 1:
            raise ConfigError("size", f"an image needs at least one pixel and channel, got shape {shape}")
        self.shape, self.layout = shape, layout

    @abstractmethod
    def initial(self, generator: torch.Generator) -> Tensor:
        """Draw the parameters (p,) of one sample."""

    @abstractmethod
    def render(self, params: Tensor, view: Tensor) -> Tensor:
        """Return the image (C, H, W) of parameters (p,) in a view (d,)."""

    def views(self, count: int, generator: torch.Generator) -> Tensor:
        """Return a pool of ``count`` views (count, d), or the only view (1, 0)."""
        return torch.zeros(1, 0)

    def anchors(self, view: Tensor) -> Tensor:
        """Return the number of the cell that each pixel of a view shows, (H, W), all different."""
        raise ConfigError("view_noise", f"{type(self).__name__} has no places of its own to anchor noise to")

    def angles(self, views: Tensor) -> Tensor:
        """Return the angles (K, K) between views in degrees."""
        raise ConfigError("view_noise", f"views of {type(self).__name__} have no angles between them")

    def picture(self, params: Tensor) -> Tensor:
        """Return a picture of parameters (p,): the first view, or the whole object where that shows more."""
        return self.render(params, self.views(1, torch.Generator().manual_seed(0))[0].to(params))

    def rendered(self, params: Tensor, views: Tensor) -> Tensor:
        """Return the images (B, V, C, H, W) of B samples' parameters (B, p) in V views (V, d)."""
        return vmap(vmap(self.render, (None, 0)), (0, None))(params, views)

    def gram(self, params: Tensor, views: Tensor) -> Tensor | None:
        """Return J J^T (B, n, n), n = V C H W, where a formula without J is known, otherwise None."""
        return None

    @property
    def factored(self) -> bool:
        """Return whether :meth:`linear` stores factors that are much smaller than the Jacobian."""
        return False

    def linear(self, params: Tensor, views: Tensor) -> Linear:
        """Return products with the Jacobian, which is computed once or stored in factors."""
        matrix = self.jacobian(params, views)
        return Linear(
            lambda d: (matrix @ d[..., None])[..., 0], lambda r: (r[:, None] @ matrix)[:, 0]
        )  # fmt: skip

    def jacobian(self, params: Tensor, views: Tensor) -> Tensor:
        """Return the Jacobian (B, V C H W, p) of V views for B samples' parameters (B, p)."""

        def one(theta: Tensor, view: Tensor) -> Tensor:
            return jacrev(self.render)(theta, view).flatten(0, 2)

        return vmap(vmap(one, (None, 0)), (0, None))(params, views).flatten(1, 2)


class CoordinateRepresentation(Representation):
    """A representation whose value at every coordinate is independent of the other coordinates.

    Pixel j depends on coordinate j only, so that its row of the Jacobian is the gradient of one small
    function: H W times less work than differentiating whole images.
    """

    @abstractmethod
    def coordinates(self, view: Tensor) -> Tensor:
        """Return the coordinates (H W, k) of a view's pixels, row by row."""

    @abstractmethod
    def values(self, weights: Weights, coordinates: Tensor) -> Tensor:
        """Return values (N, C) at coordinates (N, k)."""

    def kernel(self, weights: Weights, coordinates: Tensor) -> Tensor | None:
        """Return J J^T (C, N, C, N) of the values at coordinates (N, k), or None without a formula."""
        return None

    def gram(self, params: Tensor, views: Tensor) -> Tensor | None:
        """Return the kernel of all views' coordinates, in the order of rendered values."""
        coordinates = vmap(self.coordinates)(views).flatten(0, 1)
        if self.kernel(self.layout.split(params[0]), coordinates[:1]) is None:
            return None
        weights = vmap(self.layout.split)(params)
        kernels: Tensor = vmap(self.kernel, (0, None))(weights, coordinates)  # type: ignore[assignment]
        by_view = kernels.unflatten(4, (len(views), -1)).unflatten(
            2, (len(views), -1)
        )  # (B, C, V, N, C, V, N)
        return by_view.transpose(1, 2).transpose(4, 5).flatten(4, 6).flatten(1, 3)

    def render(self, params: Tensor, view: Tensor) -> Tensor:
        """Return the values at a view's coordinates as an image."""
        values = self.values(self.layout.split(params), self.coordinates(view))
        return values.T.reshape(self.shape)

    def jacobian(self, params: Tensor, views: Tensor) -> Tensor:
        """Return the Jacobian pixel by pixel."""
        # J_j = d f(x_j; theta) / d theta, one small Jacobian for each coordinate x_j
        coordinates = vmap(self.coordinates)(views)  # (V, N, k)
        weights = vmap(self.layout.split)(params)

        def pixel(weights_of_one: Weights, at: Tensor) -> Tensor:
            return self.values(weights_of_one, at[None])[0]

        rows = vmap(vmap(vmap(jacrev(pixel), (None, 0)), (None, 0)), (0, None))(weights, coordinates)
        flat = self.layout.join(rows, 4)  # (B, V, N, C, p)
        return flat.transpose(2, 3).flatten(1, 3)


def pixel_centers(height: int, width: int) -> Tensor:
    """Return the centers (H W, 2) of pixels as (x, y) in [-1, 1], row by row, in float64."""
    y = (2 * torch.arange(height, dtype=torch.float64) + 1) / height - 1
    x = (2 * torch.arange(width, dtype=torch.float64) + 1) / width - 1
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2)
