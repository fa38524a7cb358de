import pytest
import torch

from sevenfold.config import ConfigError, validate
from sevenfold.deq.base import Stop
from sevenfold.flow.deq_flow import DEQFlow
from sevenfold.flow.projection import forward_project
from sevenfold.flow.raft import RAFT
from sevenfold.flow.video import Carry, Video
from sevenfold.seeding import torch_generator


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return DEQFlow(variant="demo", stop=Stop(mode="rel", tol=0.0)).eval()


@pytest.fixture(scope="module")
def frames():
    return torch.rand(4, 1, 3, 32, 40, generator=torch_generator(0, "frames"))


def run(network, frames, carry, names=("a", "a", "a"), iterations=4):
    video = Video(network, carry)
    with torch.inference_mode():
        return [
            video.estimate(frames[i], frames[i + 1], sequence=name, index=i, iterations=iterations)
            for i, name in enumerate(names)
        ]


def alone(network, frames, i, iterations=4, start=None):
    with torch.inference_mode():
        f = network.recurrence(frames[i], frames[i + 1])
        return network.estimate(f, iterations=iterations, start=start)


def close(a, b):
    return torch.allclose(a, b, atol=1e-5, rtol=1e-4)


def test_without_carrying_each_pair_is_as_if_alone_but_frames_are_encoded_once(network, frames):
    calls = []
    hook = network.feature_encoder.register_forward_hook(lambda *_: calls.append(1))
    found = run(network, frames, Carry())
    hook.remove()
    assert len(calls) == 4
    for i, estimate in enumerate(found):
        assert close(estimate.flows[-1], alone(network, frames, i).flows[-1])


@pytest.mark.parametrize("project", [True, False])
@pytest.mark.parametrize("what", ["flow", "state"])
def test_check_15_what_is_carried(what, project, network, frames):
    first, second, _ = run(network, frames, Carry(what=what, project=project))
    assert close(first.flows[-1], alone(network, frames, 0).flows[-1])
    hidden, flow = first.state
    start = (
        hidden if what == "state" else torch.zeros_like(hidden),
        forward_project(flow) if project else flow,
    )
    assert close(second.flows[-1], alone(network, frames, 1, start=start).flows[-1])
    assert not close(second.flows[-1], alone(network, frames, 1).flows[-1])


def test_check_15_a_cut_resets_everything(network, frames):
    found = run(network, frames, Carry(what="state"), names=("a", "b", "b"))
    assert close(found[1].flows[-1], alone(network, frames, 1).flows[-1])
    video = Video(network, Carry(what="state"))
    with torch.inference_mode():
        video.estimate(frames[0], frames[1], sequence="a", index=0, iterations=4)
        skipped = video.estimate(frames[2], frames[3], sequence="a", index=2, iterations=4)
    assert close(skipped.flows[-1], alone(network, frames, 2).flows[-1])


def test_frames_of_another_size_start_afresh(network, frames):
    video = Video(network, Carry(what="state"))
    with torch.inference_mode():
        video.estimate(frames[0], frames[1], sequence="a", index=0, iterations=4)
        small = frames[..., :24, :32]
        found = video.estimate(small[1], small[2], sequence="a", index=1, iterations=4)
    assert close(found.flows[-1], alone(network, small, 1).flows[-1])


def test_warm_pairs_may_take_fewer_steps(network, frames):
    found = run(network, frames, Carry(what="state", iterations=2), names=("a", "a", "b"))
    assert [int(estimate.solution.steps) for estimate in found] == [4, 2, 4]
    with pytest.raises(ConfigError, match="iterations"):
        validate(Carry, {"iterations": 0}, "carry")


def test_unrolled_networks_can_be_warm_started_too(frames):
    torch.manual_seed(0)
    raft = RAFT(variant="demo").eval()
    first, second, _ = run(raft, frames, Carry(what="flow"))
    with torch.inference_mode():
        f = raft.recurrence(frames[1], frames[2])
        start = (f.start[0], forward_project(first.state[1]))
        expected = raft.estimate(f, iterations=4, start=start)
    assert close(second.flows[-1], expected.flows[-1])
