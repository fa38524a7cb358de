import numpy as np
import pytest
import torch

from datamodules.flow.scenes import RenderedScenes
from sevenfold.errors import ConfigError
from sevenfold.flow.data.phases import Held, Phase, SceneBatches, render_batch
from sevenfold.flow.synthetic import FIRST_EDITION, Bank, Drift
from sevenfold.flow.synthetic.leaves import colored_noise
from sevenfold.flow.synthetic.outlines import outline_bank

FAST = Drift(speed=20.0, spread=0.0, background=0.0, cap=1.0)
PHASES = [
    Phase(share=0.25, crop=(32, 32), batch_size=4),
    Phase(share=0.75, crop=(32, 48), batch_size=1, first=0.25, motion=FAST),
]


@pytest.fixture(scope="module")
def bank():
    random = np.random.default_rng(0)
    return Bank(colored_noise(4, 32, random), outline_bank(4, random))


def batches(bank, **options):
    return SceneBatches(
        bank, PHASES, **{"split": "train", "steps": 80, "epoch_batches": 40, "seed": 0, **options}
    )


def test_phases_divide_the_steps(bank):
    data = batches(bank)
    assert [data.phase_of(step).batch_size for step in (0, 19, 20, 79, 200)] == [4, 4, 1, 1, 1]
    assert data[0, 19]["numbers"]["noise"].shape == (4, 2, 3, 32, 32)
    assert data[0, 20]["numbers"]["noise"].shape == (1, 2, 3, 32, 48)
    assert data[1, 0]["numbers"]["noise"].shape == (1, 2, 3, 32, 48)  # step 40
    two = batches(bank, world=2)  # a step has two batches then
    assert len(two) == 80 and two[0, 38]["numbers"]["noise"].shape[0] == 4
    assert two[0, 40]["numbers"]["noise"].shape[0] == 1


def test_a_share_of_the_scenes_moves_as_in_the_first_phase(bank):
    speeds = [
        float(batches(bank)[1, index]["numbers"]["translation"][0, 0].norm()) for index in range(40)
    ]  # of backgrounds: 20 px exactly, or the first edition's median of 1.5 px
    assert sum(abs(speed - 20) > 1e-3 for speed in speeds) == 10
    assert FIRST_EDITION.speed == 1.5


def test_a_batch_is_its_place_alone(bank):
    one, other = batches(bank)[1, 3], batches(bank)[1, 3]
    assert one["name"] == other["name"]
    assert all(torch.equal(one["numbers"][name], other["numbers"][name]) for name in one["numbers"])
    assert batches(bank)[1, 4]["name"] != one["name"]


def test_held_out_pairs_have_their_occlusion(bank):
    batch = render_batch(batches(bank)[0, 0], bank)
    assert batch["occluded"].shape == batch["valid"].shape == (4, 32, 32)
    assert (batch["occluded"] | batch["valid"]).all()
    assert "occluded" not in render_batch(batches(bank)[0, 0], bank, occlusion=False)


def test_the_module_gives_batches_of_flow(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    module = RenderedScenes(phases=PHASES, epoch_batches=4, evaluation=Held(size=32, val_pairs=2))
    module.setup("fit")
    batch = module.on_after_batch_transfer(next(iter(module.train_dataloader())), 0)
    assert batch["image1"].shape == (4, 3, 32, 32) and batch["flow"].shape == (4, 2, 32, 32)
    held = list(module.val_dataloader())
    assert len(held) == 2 and held[0]["name"] != held[1]["name"]


def test_no_phase_is_refused(bank):
    with pytest.raises(ConfigError, match="phases: needs at least one"):
        SceneBatches(bank, [], split="train", steps=1, epoch_batches=1, seed=0)
