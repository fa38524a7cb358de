"""Pictures of samples: contact sheets, animations of the sampling, residuals, density against histogram."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from sevenfold.diffreps.priors.base import Condition, ExactPrior
from sevenfold.diffreps.representations.base import Representation


def as_bytes(images: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Return images (N, C, H, W) as colors (N, H, W, 3) of 0 to 255; channels beyond three are left out."""
    low, high = bounds
    scaled = ((images - low) / (high - low)).clamp(0, 1)[:, :3]
    if scaled.shape[1] < 3:
        scaled = scaled[:, :1].expand(-1, 3, -1, -1)
    return (scaled * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def strip(images: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Return images side by side (H, W', 3), white between them."""
    colors = as_bytes(images, bounds)
    # one white column between images
    gap = torch.full((colors.shape[1], 1, 3), 255, dtype=torch.uint8)
    return torch.cat([part for image in colors for part in (image, gap)][:-1], 1)


def contact_sheet(rows: Mapping[str, Tensor], bounds: tuple[float, float], path: Path) -> None:
    """Draw a sheet with one row of images for each label."""
    from matplotlib.figure import Figure

    strips = {label: strip(images, bounds) for label, images in rows.items()}
    width = max(s.shape[1] / s.shape[0] for s in strips.values())
    figure = Figure(figsize=(2.2 + min(16, 0.75 * width), 0.25 + 0.8 * len(strips)), layout="constrained")
    for axes, (label, picture) in zip(
        figure.subplots(len(strips), 1, squeeze=False)[:, 0], strips.items(), strict=True
    ):
        axes.imshow(picture.numpy(), interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
    figure.savefig(path, dpi=110)


def animation(frames: Tensor, bounds: tuple[float, float], path: Path, zoom: int = 4) -> None:
    """Write frames (steps, N, C, H, W) as a gif of strips, at most a hundred of them."""
    from PIL import Image

    places = torch.linspace(0, len(frames) - 1, min(100, len(frames))).round().long()
    pictures = []
    for frame in frames[places]:
        picture = Image.fromarray(strip(frame, bounds).numpy())
        pictures.append(
            picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST)
        )
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=80, loop=0)


def curves(traces: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Draw relative residuals against noise, and inner iterations against calls of the prior.

    Nothing is drawn where no group has a residual.
    """
    from matplotlib.figure import Figure

    residuals = {
        label: [r for r in trace if r["residual"] > 0 < r["sigma"]] for label, trace in traces.items()
    }
    residuals = {label: rows for label, rows in residuals.items() if rows}
    if not residuals:
        return
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for label, rows in residuals.items():
        sigma, residual, calls, inner = (
            [r[k] for r in rows] for k in ("sigma", "residual", "calls", "inner")
        )
        left.plot(sigma, residual, ".", label=label, ms=3)
        right.plot(calls, inner, label=label)
    left.set(xscale="log", yscale="log", xlabel="noise", ylabel="residual left by a step, relative")
    left.invert_xaxis()
    right.set(xlabel="calls of the prior", ylabel="inner iterations")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    left.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def plane_of(rep: Representation, prior: ExactPrior, reach: float = 4.0) -> dict[str, Tensor]:
    """Return the values that :func:`plane` draws.

    They are points of the curve at parameters ``t``, the ``law`` of the prior along it, and the prior's
    ``density`` on a grid of ``side`` points. ``rep`` renders points of the plane from one parameter; ``rep``
    and ``prior`` are in float64.
    """
    t = torch.linspace(-reach, reach, 801, dtype=torch.float64)
    side = torch.linspace(-3, 3, 121, dtype=torch.float64)
    x, y = torch.meshgrid(side, side, indexing="xy")
    density = _density(prior, torch.stack([x, y], -1).view(-1, 2, 1, 1)).view(x.shape)
    return {"t": t, "curve": _points(rep, t), "law": along(rep, prior, t), "side": side, "density": density}


def plane(
    facts: Mapping[str, Tensor], parameters: Mapping[str, Tensor], points: Mapping[str, Tensor], path: Path
) -> None:
    """Draw a curve in the plane over a prior's density, and beside it densities along the curve.

    The second plot compares the law of the prior with histograms of samples. ``parameters`` (N, 1) and
    ``points`` (N, 2) of samples are by label.
    """
    from matplotlib.figure import Figure

    t, reach = facts["t"], float(facts["t"][-1])
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    side = facts["side"].numpy()
    left.contourf(side, side, facts["density"].numpy(), levels=12, cmap="Blues")
    left.plot(*facts["curve"].T.numpy(), color="black", lw=1)
    right.plot(t.numpy(), facts["law"].numpy(), color="black", label="prior restricted to the curve")
    for i, (label, values) in enumerate(parameters.items()):
        left.plot(*points[label][:40].T.numpy(), ".", color=f"C{i}", ms=4)
        right.hist(values[:, 0].numpy(), bins=60, range=(-reach, reach), density=True, histtype="step",
                   color=f"C{i}", label=label)  # fmt: skip
    left.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
    right.set(xlabel="place on the curve", ylabel="density")
    right.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def along(rep: Representation, prior: ExactPrior, t: Tensor) -> Tensor:
    """Return the density in ``t`` (N,) of the prior restricted to the curve by arc length."""
    density = _density(prior, _points(rep, t).view(-1, 2, 1, 1))
    speed = rep.jacobian(t[:, None], torch.zeros(1, 0, dtype=t.dtype)).norm(dim=(1, 2))
    # p(t) ~ p(f(t)) |f'(t)|, in general p(f(theta)) sqrt(det J^T J): the area formula
    law = density * speed
    return law / torch.trapezoid(law, t)


def _density(prior: ExactPrior, points: Tensor) -> Tensor:
    like = next(prior.buffers())
    clean = torch.zeros(len(points), dtype=like.dtype)
    free = Condition(torch.full((len(points),), -1))
    return prior.log_prob(points.to(like), clean, free).exp().double()


def _points(rep: Representation, t: Tensor) -> Tensor:
    """Return the points (N, 2) of parameters ``t`` (N,)."""
    view = torch.zeros(0, dtype=t.dtype)
    return torch.stack([rep.render(place[None], view).flatten() for place in t])
