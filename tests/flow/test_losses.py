import pytest
import torch

from sevenfold.flow.losses import sequence_loss


def test_weights_and_mean_by_hand():
    target = torch.zeros(1, 2, 2, 2)
    valid = torch.tensor([[[True, True], [True, False]]])
    flows = [torch.full_like(target, value) for value in (4.0, 2.0, 1.0)]
    # Three of four pixels count, in a mean over all of them.
    expected = 0.75 * (0.25 * 4 + 0.5 * 2 + 1)
    assert sequence_loss(flows, target, valid, gamma=0.5).item() == pytest.approx(expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 400.0])
def test_invalid_and_far_pixels_add_nothing_and_give_finite_gradients(value):
    target = torch.zeros(1, 2, 1, 2)
    target[..., 1] = value
    valid = torch.tensor([[[True, value == 400.0]]])
    flow = torch.ones_like(target).requires_grad_()
    loss = sequence_loss([flow], target, valid)
    loss.backward()
    assert loss.item() == pytest.approx(0.5)
    assert flow.grad[..., 1].abs().max() == 0
    assert flow.grad[..., 0].min() > 0
