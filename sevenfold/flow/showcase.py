"""A short clip with known flow, by a trained network and by the shipped model: a picture, a video, errors."""

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sevenfold.flow.color import grid
from sevenfold.flow.drawing import colored
from sevenfold.flow.estimator import Estimator, load
from sevenfold.flow.formats import write_image
from sevenfold.flow.media.video import video_writer
from sevenfold.flow.metrics import end_point_error
from sevenfold.flow.network import FlowNetwork
from sevenfold.flow.synthetic.bank import scene_bank
from sevenfold.flow.synthetic.drift import Drift
from sevenfold.flow.synthetic.rendered import Scenes, draw_numbers

HEIGHT, WIDTH, FRAMES, TEXTURES = 192, 320, 12, 24
SCENE = "the showcase"
SLOW = Drift(speed=2.5, spread=0.0, cap=0.1)


class Clip(NamedTuple):
    """Frames (T, 3, H, W) in [0, 1], flow (T - 1, 2, H, W) in px, and where it ends inside (T - 1, H, W)."""

    frames: Tensor
    flow: Tensor
    valid: Tensor


def showcase_clip() -> Clip:
    """Render the clip: one scene of drawn textures and outlines, always the same.

    >>> clip = showcase_clip()
    >>> tuple(clip.frames.shape), tuple(clip.flow.shape)
    ((12, 3, 192, 320), (11, 2, 192, 320))
    """
    bank = scene_bank(0, SCENE, TEXTURES)
    numbers = draw_numbers(bank, HEIGHT, WIDTH, 0, SCENE, drift=SLOW, frames=FRAMES)
    scenes = Scenes({name: values[None] for name, values in numbers.items()}, bank)
    seen = [scenes.seen(time) for time in range(FRAMES)]
    frames = torch.cat([scenes.record(each, time) for time, each in enumerate(seen)])
    flow = torch.cat([scenes.flow(each, time) for time, each in enumerate(seen[:-1])])
    return Clip(frames, flow, torch.cat([scenes.inside(flow[i : i + 1]) for i in range(FRAMES - 1)]))


def draw_showcase(module: nn.Module, folder: Path) -> dict[str, float]:
    """Write ``images/first.png`` and the clip's video ``flow.mp4`` or ``flow.gif``; return errors by name.

    The picture shows the first frame, the flow of ``module.network`` after ``module.evaluation.iterations``
    steps, that of the shipped model and the truth in one scale; the video shows the shipped model's flow. The
    errors are mean end-point errors in px over all pairs of the clip: ``showcase/epe``,
    ``showcase/shipped_epe``, and ``showcase/zero_flow_epe`` of the estimate that nothing moves. Of a module
    whose ``network`` is no network of flow nothing is drawn, and no errors are returned.
    """
    network = getattr(module, "network", None)
    if not isinstance(network, FlowNetwork):
        return {}
    clip, shipped = showcase_clip(), load(device=str(next(network.parameters()).device))
    own = Estimator(network, steps=module.evaluation.iterations, both=False)  # type: ignore[union-attr, arg-type]
    pairs = list(zip(clip.frames, clip.frames[1:], strict=False))
    results = [shipped(first, second) for first, second in pairs]
    flows = {
        "epe": torch.stack([own(first, second).flow for first, second in pairs]),
        "shipped_epe": torch.stack([result.flow for result in results]),
        "zero_flow_epe": torch.zeros_like(clip.flow),
    }
    errors = {name: _error(each, clip) for name, each in flows.items()}
    scale = float(clip.flow[0].norm(dim=0)[clip.valid[0]].quantile(0.99))
    titles = {
        f"this network, EPE {errors['epe']:.2f} px": flows["epe"][0],
        f"shipped model, EPE {errors['shipped_epe']:.2f} px": flows["shipped_epe"][0],
        f"truth (nothing moves: EPE {errors['zero_flow_epe']:.2f} px)": clip.flow[0],
    }
    tiles = [("first frame of the clip", results[0].image)]
    tiles += [(text, colored(flow, scale)) for text, flow in titles.items()]
    write_image(folder / "images/first.png", grid(tiles, columns=4, width=396))
    with video_writer(folder / "flow", Fraction(8)) as video:
        for result, second in zip(results, clip.frames[1:], strict=True):
            video.add(result.picture("panel", scale, second))
    return {f"showcase/{name}": value for name, value in errors.items()}


def _error(flow: Tensor, clip: Clip) -> float:
    """Return the mean over pairs of the end-point error where the flow ends inside."""
    return float(
        (end_point_error(flow, clip.flow) * clip.valid).sum((1, 2)).div(clip.valid.sum((1, 2))).mean()
    )
