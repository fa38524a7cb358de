import pytest
import torch
import torch.nn.functional as F
from torchvision.models.optical_flow.raft import CorrBlock

from sevenfold.flow import correlation
from sevenfold.flow.correlation import AllPairs, Window, correlate

KINDS = ["all_pairs", "on_demand", "window"]


def scene(batch=2, channels=7, height=16, width=22, seed=0, dtype=torch.float32):
    """Feature maps, and coordinates that lie between cells, on cells, at the rim and far outside."""
    stream = torch.Generator().manual_seed(seed)
    first, second = torch.randn(2, batch, channels, height, width, generator=stream, dtype=dtype)
    coordinates = torch.rand(batch, 2, height, width, generator=stream, dtype=dtype) * 40 - 10
    coordinates[:, :, 0] = coordinates[:, :, 0].round()
    coordinates[:, :, 1, 0] = 1e6
    return first, second, coordinates


def naive(first, second, coordinates, levels, radius):
    """The definition, one value at a time."""
    batch, channels, height, width = first.shape
    found = torch.zeros(batch, levels * (2 * radius + 1) ** 2, height, width, dtype=first.dtype)
    offsets = [(dx, dy) for dx in range(-radius, radius + 1) for dy in range(-radius, radius + 1)]
    for level in range(levels):
        for b in range(batch):
            for y in range(height):
                for x in range(width):
                    for n, (dx, dy) in enumerate(offsets):
                        px, py = (coordinates[b, :, y, x] / 2**level + torch.tensor([dx, dy])).tolist()
                        value = 0.0
                        for cx in (int(px // 1), int(px // 1) + 1):
                            for cy in (int(py // 1), int(py // 1) + 1):
                                if 0 <= cx < second.shape[3] and 0 <= cy < second.shape[2]:
                                    share = (1 - abs(px - cx)) * (1 - abs(py - cy))
                                    value += share * float(first[b, :, y, x] @ second[b, :, cy, cx])
                        found[b, level * len(offsets) + n, y, x] = value / channels**0.5
        second = F.avg_pool2d(second, 2)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_definition(kind):
    first, second, _ = scene(1, 3, 4, 5, dtype=torch.float64)
    coordinates = torch.rand(1, 2, 4, 5, dtype=torch.float64) * 7 - 1
    lookup = correlate(kind, first, second, levels=2, radius=1)
    expected = naive(first, second, coordinates, 2, 1)
    torch.testing.assert_close(lookup(coordinates), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("levels", "radius"), [(4, 4), (4, 3), (1, 2)])
def test_check_10_equals_torchvision(kind, levels, radius, device):
    first, second, coordinates = (part.to(device) for part in scene())
    reference = CorrBlock(num_levels=levels, radius=radius)
    reference.build_pyramid(first, second)
    found = correlate(kind, first, second, levels=levels, radius=radius)(coordinates)
    # A GPU rounds sums of up to 5 in another order.
    bound = 1e-5 if device.type == "cpu" else 2e-5
    torch.testing.assert_close(found, reference.index_pyramid(coordinates), rtol=0, atol=bound)


def test_all_kinds_have_equal_gradients_whatever_the_chunk(monkeypatch):
    monkeypatch.setattr(correlation, "CHUNK", 2 * 16 * 22 * 50)  # 50 positions at a time
    weights = torch.randn(2, 3 * 49, 16, 22, dtype=torch.float64)
    gradients = []
    for kind in KINDS:
        inputs = [x.requires_grad_() for x in scene(dtype=torch.float64)]
        inputs[2] = (inputs[2].detach() + 0.3).requires_grad_()  # a value on a cell has no slope
        found = correlate(kind, inputs[0], inputs[1], levels=3, radius=3)(inputs[2])
        gradients.append(torch.autograd.grad((found * weights).sum(), inputs))
    for other in gradients[1:]:
        for ours, theirs in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_on_demand_saves_no_volume_for_backward():
    first, second, coordinates = scene(1, 4, 32, 32)
    sizes = {}
    for kind in KINDS:
        saved = {}

        def keep(tensor, saved=saved):
            saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            lookup = correlate(kind, first.requires_grad_(), second, levels=2, radius=2)
            lookup(coordinates).sum()
        sizes[kind] = sum(saved.values())
    assert sizes["on_demand"] < sizes["all_pairs"] / 10


@pytest.mark.parametrize("kind", KINDS)
def test_lookups_of_two_pairs_do_not_disturb_each_other(kind):
    pairs = [scene(seed=0), scene(seed=1)]
    lookups = [correlate(kind, a, b, levels=2, radius=2) for a, b, _ in pairs]
    alone = [lookup(c) for lookup, (_, _, c) in zip(lookups, pairs, strict=True)]
    again = [lookups[i](pairs[i][2]) for i in (1, 0)]
    assert torch.equal(again[0], alone[1])
    assert torch.equal(again[1], alone[0])


@pytest.mark.parametrize("kind", KINDS)
def test_selected_samples_answer_as_in_the_batch(kind):
    first, second, coordinates = scene(batch=4)
    lookup = correlate(kind, first, second, levels=3, radius=2)
    index = torch.tensor([3, 1])
    torch.testing.assert_close(lookup.select(index)(coordinates[index]), lookup(coordinates)[index])


@pytest.mark.parametrize("kind", KINDS)
def test_the_coarsest_level_may_be_one_cell(kind):
    first, second, coordinates = scene(1, 4, 2, 2)
    found = correlate(kind, first, second, levels=2, radius=1)(torch.zeros_like(coordinates))
    center = (first * second.mean(dim=(2, 3), keepdim=True)).sum(dim=1) / 2
    torch.testing.assert_close(found[:, 9 + 4], center)


def test_too_small_a_map_is_refused_with_its_size():
    with pytest.raises(ValueError, match="7x8 cells is too small for 4 correlation levels.*8 cells"):
        correlate("auto", torch.zeros(1, 2, 7, 8), torch.zeros(1, 2, 7, 8), levels=4, radius=4)


def test_auto_stores_small_volumes_only(monkeypatch):
    first, second, _ = scene(1, 2, 8, 8)
    assert isinstance(correlate("auto", first, second, levels=2, radius=1), AllPairs)
    monkeypatch.setattr(correlation, "free_bytes", lambda device: 8**4 * 4)
    assert isinstance(correlate("auto", first, second, levels=2, radius=1), Window)


def test_what_windows_save_for_backward_is_linear_in_the_picture():
    sizes = []
    for side in (16, 32, 64):
        first, second, _ = scene(1, 4, side, side)
        saved = {}

        def keep(tensor, saved=saved):
            saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            lookup = correlate("window", first.requires_grad_(), second, levels=2, radius=2)
            lookup(torch.rand(1, 2, side, side) * side).sum()
        sizes.append(sum(saved.values()))
    # Four times the cells: four times the bytes, less what the margins add to small maps.
    assert 2 < sizes[1] / sizes[0] < 4.2 and 2.5 < sizes[2] / sizes[1] < 4.2


def test_a_target_far_outside_gives_no_match():
    first, second, coordinates = scene(1, 4, 16, 16)
    found = correlate("window", first, second, levels=2, radius=2)(torch.full_like(coordinates, 1e30))
    assert (found == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_stays_in_float32_under_autocast(kind):
    first, second, coordinates = scene()
    expected = correlate(kind, first, second, levels=2, radius=2)(coordinates)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = correlate(kind, first, second, levels=2, radius=2)(coordinates)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)
