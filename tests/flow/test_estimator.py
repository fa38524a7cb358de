import copy

import numpy as np
import pytest
import torch
from PIL import Image
from real_pairs import WEIGHTS, needs_data, pair, paths

from sevenfold.errors import InputError
from sevenfold.flow import RAFT, DEQFlow, Estimator, load
from sevenfold.flow.deq_flow import Stop
from sevenfold.flow.media.inputs import Frame
from sevenfold.flow.tiles import Blend, cell_means, enlarged, plan, reduced


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return DEQFlow(variant="demo", stop=Stop(mode="rel", tol=0.0))


def images(count=2, height=48, width=64, seed=0):
    base = torch.rand(3, height + 8, width + 8 + count, generator=torch.Generator().manual_seed(seed))
    base = torch.nn.functional.avg_pool2d(base[None], 5, 1, 2)[0]
    return [base[:, 4 : 4 + height, 4 + i : 4 + i + width].contiguous() for i in range(count)]


def test_a_call_is_the_network_by_hand(network, device):
    first, second = images()
    result = Estimator(copy.deepcopy(network).to(device), steps=5, both=False)(first, second)
    with torch.no_grad():
        estimate = network.eval()(first[None], second[None], iterations=5)
    bound = 1e-5 if device.type == "cpu" else 1e-4
    torch.testing.assert_close(result.flow.cpu(), estimate.flows[-1][0], rtol=0, atol=bound)
    assert result.backward is None and result.occluded is None and result.steps == 5
    assert result.confidence.shape == result.expected_error.shape == (48, 64)


def test_both_directions_are_one_batch(network):
    first, second = images()
    there = Estimator(network, steps=5)(first, second)
    back = Estimator(network, steps=5)(second, first)
    torch.testing.assert_close(there.backward, back.flow, rtol=0, atol=1e-4)
    assert there.occluded.dtype == torch.bool and there.occluded.shape == (48, 64)
    assert there.confidence.min() >= 0 and there.confidence.max() <= 1


def test_all_forms_of_input_give_one_flow(network, tmp_path):
    bytes_ = [(x * 255).round().byte().permute(1, 2, 0).numpy() for x in images()]
    for name, array in zip("ab", bytes_, strict=True):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
    estimator = Estimator(network, steps=3, both=False)
    forms = [
        [tmp_path / "a.png", tmp_path / "b.png"],
        [Image.fromarray(array) for array in bytes_],
        bytes_,
        [array.astype(np.float32) / 255 for array in bytes_],
    ]
    flows = [estimator(*form).flow for form in forms]
    assert all(torch.equal(flow, flows[0]) for flow in flows)
    assert estimator(*forms[0]).name == "a"
    with pytest.raises(InputError, match="got \\d+ to \\d+; divide by 255"):
        estimator(*(array.astype(np.float32) for array in bytes_))
    with pytest.raises(InputError, match="image1 is 64x48 and image2 is 64x47"):
        estimator(bytes_[0], bytes_[1][:47])


@pytest.mark.parametrize("size", [(31, 47), (9, 9), (48, 48)])
def test_small_and_odd_sizes(network, size):
    first, second = images(height=size[0], width=size[1])
    result = Estimator(network, steps=2)(first, second)
    assert result.flow.shape == (2, *size) and result.flow.isfinite().all()
    small = Estimator(RAFT(variant="small"), steps=2)(first, second)
    assert small.flow.shape == (2, *size)


def test_a_stream_without_carry_is_separate_pairs(network):
    frames = images(5)
    estimator = Estimator(network, steps=4, carry="off")
    streamed = list(estimator.stream(frames))
    assert len(streamed) == 4
    for result, first, second in zip(streamed, frames, frames[1:], strict=False):
        assert torch.equal(result.flow, estimator(first, second).flow)
    assert [result.time for result in streamed] == [0.0, 0.1, 0.2, 0.3]
    assert len(list(estimator.stream(frames, every=2))) == 2


@pytest.mark.parametrize("carry", ["flow", "state"])
def test_a_pair_after_a_cut_starts_afresh(network, carry):
    frames = images(6)
    dark = [image * 0.05 for image in images(2, seed=9)]
    estimator = Estimator(network, steps=4, carry=carry)
    results = list(estimator.stream([*frames, *dark]))
    cold = estimator(*dark).flow
    cut = estimator(frames[-1], dark[0]).flow
    assert torch.equal(results[5].flow, cut)  # the pair over the cut: the change is far above the usual
    assert torch.equal(results[6].flow, cold) or results[5].confidence.mean() >= 0.2


def test_carried_flow_is_where_the_next_pair_starts(network, monkeypatch):
    starts = []
    estimate = DEQFlow.estimate

    def spy(self, f, *, iterations, start=None, **options):
        starts.append(start)
        return estimate(self, f, iterations=iterations, start=start, **options)

    monkeypatch.setattr(DEQFlow, "estimate", spy)
    estimator = Estimator(network, steps=2, carry="flow")
    monkeypatch.setattr("sevenfold.flow.estimator.CUT_CONFIDENCE", 0.0)
    list(estimator.stream(images(3)))
    assert starts[0] is None and starts[1] is not None
    assert starts[1][1].shape[0] == 2 and starts[1][1].abs().sum() > 0


def test_frames_keep_their_names_and_times(network):
    frames = [Frame(image, f"f{i}", 0.04 * i) for i, image in enumerate(images(3))]
    results = list(Estimator(network, steps=1).stream(frames))
    assert [(r.name, r.time) for r in results] == [("f0", 0.0), ("f1", 0.04)]


def test_tiles_cover_and_blend_to_the_whole():
    whole = torch.rand(3, 200, 1000, generator=torch.Generator().manual_seed(0))
    tiles = plan(200, 1000, 400, 8)
    assert all(t.left % 8 == 0 and t.top == 0 and t.height == 200 for t in tiles)
    assert all(a.left + a.width - b.left >= 112 for a, b in zip(tiles, tiles[1:], strict=False))
    blend = Blend(200, 1000)
    for tile in tiles:
        blend.add(tile, tile.cut(whole))
    torch.testing.assert_close(blend.mean(), whole, rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="expected more than 112 px"):
        plan(200, 1000, 96, 8)


def test_coarse_flow_is_scaled_to_cells():
    constant = torch.tensor([3.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 16, 24)
    cells = cell_means(enlarged(constant, (48, 72)), 8)
    torch.testing.assert_close(cells[0, :, 3, 3], torch.tensor([3.0, -1.0]) * 3 / 8)
    assert reduced(torch.rand(1, 3, 48, 72), 3).shape == (1, 3, 16, 24)


def test_tiled_estimates_have_the_whole_size(network):
    first, second = images(height=48, width=400)
    result = Estimator(network, steps=2, tile=200)(first, second)
    assert result.tiles == 4 and result.flow.shape == (2, 48, 400) and result.backward.shape == (2, 48, 400)


@needs_data
@pytest.mark.slow
def test_tiles_of_official_weights_on_sintel():
    if not WEIGHTS.is_file():
        pytest.skip("the official RAFT-small weights are not here")
    first, second, truth, valid = pair("clean/cave_2")
    flows = [
        load("raft_small", weights=WEIGHTS, both=False, tile=tile)(first, second) for tile in ("off", 576)
    ]
    errors = [float((result.flow - truth).norm(dim=0)[valid].mean()) for result in flows]
    assert flows[1].tiles == 2 and errors[0] == pytest.approx(1.170, abs=0.003)
    assert errors[1] <= errors[0] + 0.02
    assert (flows[0].flow - flows[1].flow).norm(dim=0).mean() <= 0.45


def test_pictures_of_a_result(network, tmp_path):
    first, second = images(height=120, width=160)
    result = Estimator(network, steps=2)(first, second)
    for kind in ("colors", "warped", "confidence", "arrows"):
        picture = result.picture(kind, 3.0, second)
        assert picture.shape == (3, 120, 160) and picture.dtype == torch.uint8
    assert result.picture("panel", 3.0, second).shape == (3, 120, 640)
    for suffix in ("flo", "png", "npz"):
        result.save(tmp_path / f"a.{suffix}")
    with np.load(tmp_path / "a.npz") as stored:
        assert set(stored) == {"flow", "confidence", "expected_error", "backward", "occluded"}
        np.testing.assert_array_equal(stored["flow"], result.flow.numpy())


def test_one_vector_has_one_color_at_one_scale():
    from sevenfold.flow.color import flow_colors

    colors = []
    for largest in (7.5, 4.8, 3.3):
        flow = torch.zeros(2, 4, 4)
        flow[0, 0, 0], flow[0, 1, 1] = largest, 2.0
        colors.append(flow_colors(flow, radius=6.0)[:, 1, 1])
    assert torch.equal(colors[0], colors[1]) and torch.equal(colors[0], colors[2])


def test_unknown_models_are_refused(tmp_path):
    for model, message in (
        ("scense", "no model, folder or file. Did you mean 'scenes'"),
        ("raft_small", "needs weights"),
    ):
        with pytest.raises(InputError, match=message):
            load(model)
    with pytest.raises(InputError, match="brings its own"):
        load("scenes", weights=tmp_path)


@needs_data
def test_official_weights_have_the_published_error():
    if not WEIGHTS.is_file():
        pytest.skip("the official RAFT-small weights are not here")
    _, _, truth, valid = pair("venus")
    result = load("raft_small", weights=WEIGHTS)(*paths("venus")[:2])
    error = float((result.flow - truth).norm(dim=0)[valid].mean())
    assert error == pytest.approx(0.3808, abs=2e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps.*at least 1, got 0"),
        ({"tile": 0}, "tile.*a side above 0, got 0"),
        ({"tile": "of"}, "tile.*'auto', 'off' or a side"),
        ({"carry": "stat"}, "carry.*known are auto, state, flow"),
        ({"precision": "fp16"}, "precision.*expected 'bf16'"),
    ],
)
def test_options_that_nothing_follows_are_refused(network, options, message):
    with pytest.raises(InputError, match=message):
        Estimator(network, **options)


def test_every_zeroth_frame_is_refused(network):
    with pytest.raises(InputError, match="every: expected a number of at least 1, got 0"):
        list(Estimator(network, steps=1).stream([torch.rand(3, 32, 32)] * 3, every=0))
