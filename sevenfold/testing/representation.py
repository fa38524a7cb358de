"""The contract of a differentiable representation."""

import torch
from torch import Tensor

from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.representations.base import Representation
from sevenfold.testing.contract import Check, require, run_checks

STEP = 1e-6


def check_representation(representation: Representation | type[Representation]) -> None:
    """Check that parameters render to images smoothly, batched, and by their generator alone.

    Args:
        representation: a small one (its Jacobian is formed), or a class whose options all have defaults.

    >>> from sevenfold.diffreps.representations.siren import Siren
    >>> check_representation(Siren(size=6, width=8))
    """
    made = representation() if isinstance(representation, type) else representation  # type: ignore[call-arg]
    run_checks(CHECKS, made.double())


def starts(representation: Representation, count: int = 2) -> Tensor:
    """Return the initial parameters (count, p) of samples, in float64."""
    drawn = [representation.initial(torch.Generator().manual_seed(k)).double() for k in range(count)]
    return torch.stack(drawn)


def pool(representation: Representation, count: int = 3) -> Tensor:
    """Return views (count, d), in float64."""
    return representation.views(count, torch.Generator().manual_seed(1)).double()


def parameters_follow_their_generator(representation: Representation) -> None:
    """Initial parameters are a finite vector of the layout's size that depends on the generator alone."""
    one, again = starts(representation), starts(representation)
    require(one.shape == (2, representation.layout.size), f"Two samples have shape {tuple(one.shape)}.")
    require(one.isfinite().all(), "Some are not finite.")
    require(torch.equal(one, again), "Equal generators give different parameters.")
    require(not list(representation.parameters()), "It owns parameters; they belong to each sample.")


def images_have_the_shape_and_range(representation: Representation) -> None:
    """Every view renders to a finite image of the shape, within the range, the same each time."""
    theta = starts(representation)[0]
    for view in pool(representation):
        image = representation.render(theta, view)
        require(image.shape == representation.shape, f"A view has shape {tuple(image.shape)}.")
        require(image.isfinite().all(), "Some pixels are not finite.")
        require(torch.equal(image, representation.render(theta, view)), "The same view renders differently.")
        if representation.range is not None:
            far, (low, high) = representation.render(100 * theta + 3, view), representation.range
            inside = low <= float(far.min()) <= float(far.max()) <= high
            require(
                inside, f"It renders {float(far.min()):.3g} to {float(far.max()):.3g}, not {low} to {high}."
            )
    require(representation.picture(theta).ndim == 3, "picture() is no image (C, H, W).")


def samples_render_side_by_side(representation: Representation) -> None:
    """A batch of samples and views renders as each alone: ``render`` works under ``torch.func.vmap``."""
    theta, views = starts(representation), pool(representation)
    batch = representation.rendered(theta, views)
    for row, images in zip(theta, batch, strict=True):
        alone = torch.stack([representation.render(row, view) for view in views])
        error = float((images - alone).abs().max())
        require(error < 1e-9, f"Batched images differ by {error:.1e}.")


def derivatives_are_finite_differences(representation: Representation) -> None:
    """The derivative along a direction is the limit of differences, and it is not zero everywhere."""
    theta, rendering = starts(representation), Rendering(representation, pool(representation))
    generator = torch.Generator().manual_seed(2)
    total = 0.0
    for _ in range(3):
        direction = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
        slope = rendering.jvp(theta, direction)
        # (f(t + h d) - f(t - h d)) / 2 h has an error of order h^2: 1e-4 tells a wrong derivative from
        # rounding.
        ahead, behind = rendering(theta + STEP * direction), rendering(theta - STEP * direction)
        error = float((slope - (ahead - behind) / (2 * STEP)).abs().max())
        size = float(slope.abs().max())
        require(error < 1e-4 * (1 + size), f"Finite differences are {error:.1e} off, of {size:.1e}.")
        total += size
    require(total > 0, "The image does not depend on the parameters.")


def products_are_adjoint(representation: Representation) -> None:
    """Forward and backward products with the Jacobian are each other's adjoint, and the Jacobian's."""
    theta, rendering = starts(representation), Rendering(representation, pool(representation))
    generator = torch.Generator().manual_seed(3)
    directions = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    forward = rendering.jvp(theta, directions)
    weights = torch.randn(forward.shape, generator=generator, dtype=torch.float64)
    backward = rendering.vjp(theta, weights)
    # <J v, w> = <v, J^T w> for all v and w defines the adjoint.
    gap = float(((forward * weights).sum(1) - (directions * backward).sum(1)).abs().max())
    require(gap < 1e-8 * (1 + float(forward.norm())), f"<J v, w> and <v, J^T w> differ by {gap:.1e}.")
    product = torch.einsum("bnp,bp->bn", rendering.jacobian(theta), directions)
    error = float((product - forward).abs().max())
    require(error < 1e-8 * (1 + float(forward.abs().max())), f"jacobian() differs by {error:.1e}.")


CHECKS: tuple[Check, ...] = (
    parameters_follow_their_generator,
    images_have_the_shape_and_range,
    samples_render_side_by_side,
    derivatives_are_finite_differences,
    products_are_adjoint,
)
