import numpy as np
import pytest
import torch

from sevenfold.flow.metrics import EndPointError, FlAll, WithinPixels, end_point_error

METRICS = {
    "epe": EndPointError,
    "epe by image": lambda: EndPointError(average="images"),
    "s10-40": lambda: EndPointError(speed=(10.0, 40.0)),
    "1px": lambda: WithinPixels(threshold=1.0),
    "5px": lambda: WithinPixels(threshold=5.0),
    "fl": FlAll,
}


def naive(name, pred, target, valid):
    """The same measures, pixel by pixel."""
    values, per_image = [], []
    for p, t, v in zip(pred.astype(float), target.astype(float), valid, strict=True):
        image = []
        for y, x in zip(*np.nonzero(v), strict=True):
            error = np.hypot(p[0, y, x] - t[0, y, x], p[1, y, x] - t[1, y, x])
            speed = np.hypot(t[0, y, x], t[1, y, x])
            if name == "s10-40" and not 10 <= speed < 40:
                continue
            if name in ("1px", "5px"):
                error = 100.0 if error < float(name[0]) else 0.0
            if name == "fl":
                error = 100.0 if error > 3 and error > 0.05 * speed else 0.0
            image.append(error)
        values += image
        per_image += [np.mean(image)] if image else []
    return np.mean(per_image if name == "epe by image" else values)


def batch(seed, count=3, height=6, width=9):
    generator = torch.Generator().manual_seed(seed)
    target = 30 * torch.randn(count, 2, height, width, generator=generator)
    error = (
        torch.randn(count, 2, height, width, generator=generator)
        * torch.tensor([0.5, 3, 8.0])[:, None, None, None]
    )
    valid = torch.rand(count, height, width, generator=generator) < 0.7
    return target + error, target, valid


@pytest.mark.parametrize("name", METRICS)
def test_check_11_agrees_with_naive_loops(name):
    metric = METRICS[name]()
    batches = [batch(seed) for seed in range(3)]
    batches[1][2][2] = False  # an image without a valid pixel
    for pred, target, valid in batches:
        metric.update(pred, target, valid)
    pred, target, valid = (torch.cat(parts).numpy() for parts in zip(*batches, strict=True))
    assert metric.compute().item() == pytest.approx(naive(name, pred, target, valid), rel=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_invalid_pixels_do_not_matter(name):
    pred, target, valid = batch(0)
    clean, dirty = METRICS[name](), METRICS[name]()
    clean.update(pred, target, valid)
    nan = torch.full_like(pred, float("nan"))
    dirty.update(torch.where(valid[:, None], pred, nan), torch.where(valid[:, None], target, nan), valid)
    assert clean.compute() == dirty.compute()


@pytest.mark.parametrize("name", METRICS)
def test_batches_and_processes_do_not_matter(name):
    pred, target, valid = batch(0)
    whole = METRICS[name]()
    whole.update(pred, target, valid)
    parts = [METRICS[name]() for _ in range(3)]
    for index, part in enumerate(
        parts
    ):  # as three processes would, then the sum that torchmetrics reduces by
        part.update(pred[index, None], target[index, None], valid[index, None])
    merged = METRICS[name]()
    merged.total, merged.count = sum(part.total for part in parts), sum(part.count for part in parts)
    merged._update_count = 1
    assert merged.compute().item() == pytest.approx(whole.compute().item(), rel=1e-14)


@pytest.mark.parametrize("name", METRICS)
def test_check_11_nothing_valid_is_nan_and_adds_nothing(name):
    pred, target, valid = batch(0)
    metric = METRICS[name]()
    metric.update(pred, target, torch.zeros_like(valid))
    assert metric.compute().isnan()
    metric.update(pred, target, valid)
    alone = METRICS[name]()
    alone.update(pred, target, valid)
    assert metric.compute() == alone.compute()


def one_pixel(metric, pred, target):
    metric.update(torch.tensor(pred).reshape(1, 2, 1, 1), torch.tensor(target).reshape(1, 2, 1, 1))
    return metric.compute().item()


@pytest.mark.parametrize(
    ("pred", "target", "outlier"),
    [
        ((3.0, 0.0), (0.0, 0.0), False),  # exactly 3 px
        ((3.001, 0.0), (0.0, 0.0), True),  # no motion, so any share is exceeded
        ((0.0, 0.0), (0.0, 0.0), False),
        ((104.0, 0.0), (100.0, 0.0), False),  # above 3 px but 4 %
        ((105.0, 0.0), (100.0, 0.0), False),  # exactly 5 %
        ((105.5, 0.0), (100.0, 0.0), True),
        ((11.0, 0.0), (10.0, 0.0), False),  # 10 % but 1 px
        ((float("nan"), 0.0), (10.0, 0.0), True),
    ],
)
def test_check_11_fl_all_by_hand(pred, target, outlier):
    assert one_pixel(FlAll(), pred, target) == 100.0 * outlier


@pytest.mark.parametrize(
    ("error", "inside"), [(0.0, True), (0.999, True), (1.0, False), (float("nan"), False)]
)
def test_check_11_threshold_is_strict(error, inside):
    assert one_pixel(WithinPixels(threshold=1.0), (error, 0.0), (0.0, 0.0)) == 100.0 * inside


def test_kitti_mean_of_means_differs_from_pooling():
    target = torch.zeros(2, 2, 1, 4)
    pred = torch.zeros(2, 2, 1, 4)
    pred[0, 0], pred[1, 0] = 1.0, 5.0
    valid = torch.tensor([[[True, True, True, True]], [[True, False, False, False]]])
    by_image, pooled = EndPointError(average="images"), EndPointError()
    by_image.update(pred, target, valid)
    pooled.update(pred, target, valid)
    assert by_image.compute() == 3.0
    assert pooled.compute() == pytest.approx(9 / 5)


def test_many_small_terms_are_summed_exactly():
    """A sum in float32 would be wrong in the seventh digit."""
    metric = EndPointError()
    target = torch.zeros(1, 2, 200, 200)
    pred = target.clone()
    pred[:, 0] = 0.1
    for _ in range(10):
        metric.update(pred, target)
    assert metric.compute().item() == pytest.approx(float(torch.tensor(0.1)), rel=1e-13)


def test_survives_a_cast_of_the_whole_module():
    module = torch.nn.Module()
    module.epe = EndPointError()
    module.to(torch.bfloat16)
    pred, target, valid = batch(0)
    module.epe.update(pred, target, valid)
    reference = EndPointError()
    reference.update(pred, target, valid)
    assert module.epe.compute() == reference.compute()


def test_shapes_are_checked():
    metric = EndPointError()
    with pytest.raises(ValueError, match=r"are \(B, 2, H, W\)"):
        metric.update(torch.zeros(2, 4, 4), torch.zeros(2, 4, 4))
    with pytest.raises(ValueError, match="validity must be"):
        metric.update(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4), torch.ones(1, 4, 5))
    with pytest.raises(ValueError, match="average must be"):
        EndPointError(average="mean")


def test_end_point_error_is_a_distance():
    pred, target, _ = batch(0)
    expected = np.hypot(*(pred - target).numpy().transpose(1, 0, 2, 3))
    np.testing.assert_allclose(end_point_error(pred, target), expected, rtol=1e-6)
