"""Learning from frames without a true flow: photometric loss of both directions, and adaptation to a clip."""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from sevenfold.errors import InputError
from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.confidence import occlusion
from sevenfold.flow.data.declared import Scenes
from sevenfold.flow.losses import sequence_loss
from sevenfold.flow.media.inputs import same_size
from sevenfold.flow.media.reading import frames
from sevenfold.flow.metrics import end_point_error
from sevenfold.flow.network import FlowNetwork
from sevenfold.flow.tiles import Tile
from sevenfold.flow.warp import warp
from sevenfold.ranges import Count, NonNegative, Positive, Seed, Share, Size, check_arguments
from sevenfold.seeding import torch_generator

if TYPE_CHECKING:
    from sevenfold.flow.estimator import Estimator

GRAY = (0.299, 0.587, 0.114)
WINDOW, BORDER, EDGE, GAMMA, STATES = 7, 3, 150.0, 0.8, 2
LONGEST = 200  # frames that an adaptation learns from
DISPLACED, EVIDENCE = 12, 0.95  # px; what an estimate must explain better than one that is displaced


def census(image: Tensor) -> Tensor:
    """Return the soft census transform of pictures (B, 3, H, W) in [0, 1], (B, 49, H, W).

    Of each neighbor in a window of 7x7 how much brighter it is: t = d / sqrt(.81 + d^2) for a difference d in
    gray levels (Meister et al. 2018).
    """
    weights = image.new_tensor(GRAY).view(1, 3, 1, 1)
    gray = 255 * (image * weights).sum(dim=1, keepdim=True)
    patches = nn.functional.unfold(gray, WINDOW, padding=WINDOW // 2).unflatten(2, gray.shape[2:])
    difference = patches - gray
    return difference / torch.sqrt(0.81 + difference.square())


def census_distance(image1: Tensor, image2: Tensor) -> Tensor:
    """Return the soft Hamming distance of the census transforms of two pictures, (B, H, W).

    >>> image = torch.rand(1, 3, 8, 8)
    >>> float(census_distance(image, image).max())
    0.0
    """
    square = (census(image1) - census(image2)).square()
    # sum_k (t1 - t2)^2 / (.1 + (t1 - t2)^2) (Jonschkowski et al. 2020).
    return (square / (0.1 + square)).sum(dim=1)


def smoothness(flow: Tensor, image: Tensor) -> Tensor:
    """Return the mean length of second differences of a flow (B, 2, H, W), weighted less at edges."""
    total = flow.new_zeros(())
    for axis in (2, 3):
        size = flow.shape[axis] - 2
        before, here, after = (flow.narrow(axis, start, size) for start in range(3))
        edge = (image.narrow(axis, 2, size) - image.narrow(axis, 0, size)) / 2
        weight = torch.exp(-EDGE * edge.square().mean(dim=1, keepdim=True))
        # exp(-150 mean_c (d_x I)^2) sqrt((d_xx F)^2 + 1e-6), mean over axes (Jonschkowski et al. 2020).
        total = total + (weight * torch.sqrt((before - 2 * here + after).square() + 1e-6)).mean() / 2
    return total


def photometric_loss(flow: Tensor, image1: Tensor, image2: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of rho(census distance) over ``mask`` (B, H, W), with image 2 pulled by the flow."""
    distance = census_distance(image1, warp(image2, flow)[0])
    # rho(x) = (|x| + .01)^.4 (Meister et al. 2018).
    penalty = (distance.abs() + 0.01) ** 0.4
    return (penalty * mask).sum() / mask.sum().clamp(min=1)


@torch.no_grad()
def seen(flow: Tensor, backward: Tensor) -> Tensor:
    """Tell which pixels are inside the frame, not hidden, and not at its border, bool (B, H, W)."""
    mask = ~occlusion(flow, backward)
    inner = torch.zeros_like(mask)
    inner[:, BORDER:-BORDER, BORDER:-BORDER] = True
    return mask & inner


def unlabeled_loss(
    network: FlowNetwork, image1: Tensor, image2: Tensor, *, steps: int, smooth: float, still: float
) -> Tensor:
    """Return the loss of pairs without truth, both directions averaged, on the last two supervised states.

    ``smooth`` and ``still`` are the weights of :func:`smoothness` and of the length of the last step.
    """
    one, two = torch.cat([image1, image2]), torch.cat([image2, image1])
    estimate = network.estimate(network.recurrence(one, two), iterations=steps, scale=False)
    back = torch.cat([half.detach() for half in reversed(estimate.flows[-1].chunk(2))])
    mask = seen(estimate.flows[-1].detach(), back)
    loss = still * estimate.last_step
    for age, flow in enumerate(reversed(estimate.flows[-STATES:])):
        each = photometric_loss(flow, one, two, mask) + smooth * smoothness(flow, one)
        loss = loss + GAMMA**age * each
    return loss


def unlabeled_part(network: FlowNetwork, batch: FlowBatch, steps: int) -> Tensor:
    """Return the loss of those pairs of a batch that are not ``supervised``, times their share."""
    flags = batch.get("supervised")
    if flags is None or bool(flags.all()):
        return batch["image1"].new_zeros(())
    first, second = batch["image1"][~flags], batch["image2"][~flags]
    rules = Adaptation()
    loss = unlabeled_loss(network, first, second, steps=steps, smooth=rules.smooth, still=rules.still)
    return loss * len(first) / len(flags)


@dataclass(frozen=True)
class Adaptation:
    """How a network is adapted to a clip.

    Args:
        steps: of the training.
        lr: largest learning rate; 3e-4 for the shipped model, 1e-3 for a network of few minutes.
        crop: height and width of the crops in px.
        iterations: of f in a step.
        smooth: weight of smoothness.
        still: weight of the last step's length.
        anchor: weight of one supervised scene a step, against wandering.
        decay: of the average of the weights, which is what remains.
        seed: of crops, pairs and scenes.
    """

    steps: Count = 300
    lr: Positive = 3e-4
    crop: tuple[Size, Size] = (192, 256)
    iterations: Count = 8
    smooth: NonNegative = 1.0
    still: NonNegative = 0.1
    anchor: NonNegative = 0.5
    decay: Share = 0.99
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_arguments(type(self).__init__, (None,), vars(self))


class Frames(NamedTuple):
    """A pair of pictures (3, H, W), and its true flow with where that is known, if there is one."""

    image1: Tensor
    image2: Tensor
    flow: Tensor | None = None
    valid: Tensor | None = None


def frame_pairs(source: Any) -> list[Frames]:
    """Return the pairs of successive frames of a source, of the first 200; frames have one size.

    >>> len(frame_pairs(torch.rand(3, 3, 32, 32)))
    2
    """
    pictures = [frame.image for frame in islice(frames(source), LONGEST)]
    for number, picture in enumerate(pictures):
        same_size(pictures[0], picture, "frame 0", f"frame {number}")
    return [Frames(first, second) for first, second in pairwise(pictures)]


@dataclass(frozen=True)
class Fit:
    """How well an estimate explains pairs, means over them.

    ``photometric``: difference of warped pictures in gray levels, where nothing is hidden; ``displaced``: the
    same for an estimate that is displaced by 12 px; ``consistency``: median distance of forward and backward
    flow in px; ``confidence``: as stated by the model; ``epe``: where there is a truth.
    """

    photometric: float
    displaced: float
    consistency: float
    confidence: float
    epe: float | None

    def __str__(self) -> str:
        truth = "" if self.epe is None else f", EPE {self.epe:.3f} px"
        return (
            f"photometric error {self.photometric:.2f} gray levels, forward/backward "
            f"{self.consistency:.2f} px, confidence {self.confidence:.2f}{truth}"
        )


@dataclass(frozen=True)
class Adapted:
    """An adapted estimator, or the old one where the new weights were not ``accepted``, and why."""

    estimator: "Estimator"
    accepted: bool
    reason: str
    before: Fit
    after: Fit
    steps: int
    losses: list[float] = field(repr=False)

    def __str__(self) -> str:
        verdict = "new weights" if self.accepted else "old weights"
        return f"before: {self.before}\nafter {self.steps} steps: {self.after}\n{verdict}: {self.reason}"


def adapt(
    estimator: "Estimator",
    pairs: Sequence[Frames],
    options: Adaptation = Adaptation(),
    *,
    minutes: float | None = None,
) -> Adapted:
    """Adapt a copy of an estimator to pairs of frames; return it if it explains held-out pairs no worse.

    Every fifth pair is held out (all of them serve both ends where there are fewer than five). New weights
    are accepted unless photometric error and inconsistency both rise, or the pictures hold nothing to learn
    from: a displaced estimate would explain them as well.

    Args:
        estimator: its network stays as it is.
        pairs: at least one.
        options: of the training.
        minutes: about how long it may take; the number of steps follows from the time of the first three.
    """
    if minutes is not None and not 0 < minutes < 10_000:
        raise InputError(f"minutes: expected a number above 0, got {minutes}")
    if not pairs:
        raise InputError("adaptation needs at least two frames")
    held = list(pairs[::5]) if len(pairs) >= 5 else list(pairs)
    training = [pair for i, pair in enumerate(pairs) if i % 5] if len(pairs) >= 5 else held
    before = judge(estimator, held)
    network, losses = _trained(estimator.network, training, options, minutes)
    other = estimator.with_network(network)
    after = judge(other, held)
    accepted, reason = verdict(before, after)
    return Adapted(other if accepted else estimator, accepted, reason, before, after, len(losses), losses)


def verdict(before: Fit, after: Fit) -> tuple[bool, str]:
    """Return whether the fit after an adaptation is accepted, and why.

    >>> fit = Fit(5.0, 10.0, 1.0, 0.5, None)
    >>> verdict(fit, Fit(4.0, 10.0, 0.8, 0.5, None))
    (True, 'the held-out pairs are explained better or as well')
    >>> verdict(fit, Fit(5.1, 10.0, 1.1, 0.5, None))[0], verdict(fit, Fit(4.0, 4.0, 0.5, 0.5, None))[0]
    (False, False)
    """
    if not after.photometric < EVIDENCE * after.displaced:
        return False, "the frames hold nothing to learn from: a displaced estimate explains them as well"
    if after.photometric > before.photometric and after.consistency > before.consistency:
        return False, "photometric error and inconsistency have both risen"
    return True, "the held-out pairs are explained better or as well"


def judge(estimator: "Estimator", pairs: Sequence[Frames]) -> Fit:
    """Return how well an estimator explains pairs."""
    rows, errors = [], []
    for pair in pairs:
        result = estimator(pair.image1, pair.image2)
        if result.backward is None or result.occluded is None:
            raise InputError("adaptation needs an estimator of both directions: both=True")
        flow, mask = result.flow[None], ~result.occluded
        other, inside = warp(result.backward[None], flow)
        apart = (flow + other).norm(dim=1)[inside]
        shifts = [(0, DISPLACED), (DISPLACED, 0), (0, -DISPLACED), (-DISPLACED, 0)]
        wrong = [_difference(pair, flow + flow.new_tensor(shift).view(1, 2, 1, 1), mask) for shift in shifts]
        median = float(apart.median()) if apart.numel() else float("inf")
        numbers = [_difference(pair, flow, mask), sum(wrong) / len(wrong), median]
        rows.append([*numbers, float(result.confidence.mean())])
        if pair.flow is not None and pair.valid is not None:
            errors.append(float(end_point_error(result.flow, pair.flow)[pair.valid].mean()))
    photo, displaced, apart_px, trust = (sum(column) / len(rows) for column in zip(*rows, strict=True))
    return Fit(photo, displaced, apart_px, trust, sum(errors) / len(errors) if errors else None)


def _difference(pair: Frames, flow: Tensor, mask: Tensor) -> float:
    """Return the mean difference in gray levels over what is not hidden; infinite where all is."""
    pulled, inside = warp(pair.image2[None], flow)
    place = mask & inside[0]
    difference = (pulled[0] - pair.image1).abs().mean(dim=0)[place]
    return 255 * float(difference.mean()) if difference.numel() else float("inf")


def _trained(
    network: FlowNetwork, pairs: Sequence[Frames], options: Adaptation, minutes: float | None
) -> tuple[FlowNetwork, list[float]]:
    """Return the average of the weights of a training on crops of pairs, and its losses."""
    device = next(network.parameters()).device
    network = copy.deepcopy(network).train().requires_grad_(True)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
    average = copy.deepcopy(network)
    size = _crop_size(network, pairs[0], options.crop)
    scenes = Scenes(size, options.seed, "adapt")
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.lr, weight_decay=0.0)
    losses: list[float] = []
    step, total, began = 0, options.steps, time.monotonic()
    while step < total:
        if step == 3 and minutes is not None:
            # The schedule counts steps: how many fit into the time is decided once.
            total = min(total, max(3, int(180 * minutes / (time.monotonic() - began))))
        for group in optimizer.param_groups:
            group["lr"] = options.lr * min((step + 1) / 10, 1 - step / total)
        loss = _loss(network, pairs, scenes, size, options, step, device)
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        if bool(norm.isfinite()):
            optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
                # Early steps count more, or the average would stay at the start.
                slow.lerp_(fast, max(1 - options.decay, 1 / (step + 2)))
        losses.append(float(loss.detach()))
        step += 1
    return average.eval(), losses


def _loss(
    network: FlowNetwork,
    pairs: Sequence[Frames],
    scenes: Scenes,
    size: tuple[int, int],
    options: Adaptation,
    step: int,
    device: torch.device,
) -> Tensor:
    stream = torch_generator(options.seed, "adapt", step)
    pair = pairs[int(torch.randint(len(pairs), (), generator=stream))]
    room = [whole - part + 1 for whole, part in zip(pair.image1.shape[1:], size, strict=True)]
    top, left = (int(torch.randint(each, (), generator=stream)) for each in room)
    tile = Tile(top, left, *size)
    first, second = (tile.cut(image)[None].to(device) for image in (pair.image1, pair.image2))
    loss = unlabeled_loss(
        network, first, second, steps=options.iterations, smooth=options.smooth, still=options.still
    )
    if options.anchor:
        item = scenes.item(step)
        parts = item["image1"], item["image2"], item["flow"], item["valid"]
        a, b, flow, valid = (part[None].to(device) for part in parts)
        estimate = network.estimate(network.recurrence(a, b), iterations=options.iterations, scale=False)
        anchor = sequence_loss(estimate.flows, flow, valid, gamma=network.gamma)
        loss = loss + options.anchor * (anchor + options.still * estimate.last_step)
    return loss


def _crop_size(network: FlowNetwork, pair: Frames, crop: tuple[int, int]) -> tuple[int, int]:
    """Return the largest crop of whole cells that fits into the pictures."""
    whole = pair.image1.shape[1:]
    height, width = (min(a, b) // network.stride * network.stride for a, b in zip(crop, whole, strict=True))
    least = network.stride * 2 ** (network.widths.levels - 1)
    if min(height, width) < least:
        raise InputError(f"frames of {whole[1]}x{whole[0]} are too small to learn from")
    return height, width
