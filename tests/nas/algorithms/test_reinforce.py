"""The policy gradient is what automatic differentiation and the library's Adam make of it."""

import numpy as np
import pytest
import torch

from sevenfold.config import ConfigError, validate
from sevenfold.nas.algorithms.reinforce import Reinforce
from sevenfold.nas.algorithms.run import run_trials, start_trials
from sevenfold.nas.spaces.darts import DARTS
from sevenfold.nas.spaces.nb201 import NB201
from sevenfold.seeding import numpy_generator


def test_steps_are_adams_on_the_log_probability():
    space = NB201()
    search = Reinforce(space, numpy_generator(0), lr=0.05, decay=0.8, num_init=12)
    archs = search.ask(12)
    losses = numpy_generator(2).normal(size=12) + 5
    losses[4] = np.nan  # a failed training teaches nothing
    search.tell(archs, losses)
    search.ask(1)
    logits = torch.zeros(6, 5, dtype=torch.float64, requires_grad=True)
    optimizer, baseline = torch.optim.Adam([logits], lr=0.05), -losses[0]
    for row, loss in zip(archs, losses, strict=True):
        if np.isnan(loss):
            continue
        chosen = torch.log_softmax(logits, dim=1)[torch.arange(6), torch.as_tensor(row).long()].sum()
        optimizer.zero_grad()
        (-(-loss - baseline) * chosen).backward()
        optimizer.step()
        baseline = 0.8 * baseline + 0.2 * -loss
    np.testing.assert_allclose(search.logits, logits.detach().numpy(), rtol=1e-6, atol=1e-9)


def test_the_policy_settles_on_what_pays():
    """Each coordinate has one good code; its probability rises well above that of chance."""
    space, wanted = NB201(), np.array([3, 0, 4, 1, 2, 3])
    trials = start_trials({"name": "reinforce"}, space, [numpy_generator(0, "policy", i) for i in range(5)])
    run_trials(trials, lambda archs: (archs != wanted).sum(axis=1).astype(float), budget=150)
    for trial in trials:
        policy = np.exp(trial.logits) / np.exp(trial.logits).sum(axis=1, keepdims=True)
        assert (policy[np.arange(6), wanted] > 0.5).all()


def test_coordinates_never_take_a_code_they_do_not_have():
    space = DARTS()
    search = Reinforce(space, numpy_generator(0))
    archs = search.ask(200)
    assert space.is_valid(archs).all()
    assert (np.isneginf(search.logits).sum(axis=1) > 0).any()  # inputs of a node: two to five


@pytest.mark.parametrize(("option", "value"), [("lr", 0.0), ("decay", 1.0)])
def test_wrong_options_are_told(option, value):
    with pytest.raises(ConfigError, match=option):
        validate(Reinforce, {option: value}, "a", given=("space", "rng"))
