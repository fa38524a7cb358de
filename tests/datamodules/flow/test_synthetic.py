import pytest
import pytorch_lightning as pl
import torch

from datamodules.flow.synthetic import HELD_OUT, SyntheticFlow
from sevenfold.config import ConfigError, build
from sevenfold.flow.data.scenes import Evaluation
from sevenfold.flow.synthetic import texture_bank

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
SMALL = Evaluation(size=40, val_pairs=2, test_pairs=4)


def data(**options):
    return SyntheticFlow(**{"crop": 32, "train_pairs": 6, "evaluation": SMALL, **options})


@pytest.mark.parametrize(
    ("split", "count", "batch", "size"), [("train", 3, 2, 32), ("val", 2, 1, 40), ("test", 4, 1, 40)]
)
def test_batches(split, count, batch, size):
    batches = list(getattr(data(), f"{split}_dataloader")())
    assert len(batches) == count
    names = [name for one in batches for name in one["name"]]
    assert len(set(names)) == count * batch and all(name.startswith(f"synthetic/{split}/") for name in names)
    one = batches[0]
    assert one["image1"].shape == one["image2"].shape == (batch, 3, size, size)
    assert one["flow"].shape == (batch, 2, size, size) and one["valid"].shape == (batch, size, size)
    assert one["valid"].dtype == torch.bool and one["image1"].dtype == one["flow"].dtype == torch.float32
    assert one["dataset"] == ["synthetic"] * batch and one["padding"] == ["sintel"] * batch


def test_items_depend_on_epoch_and_index_alone():
    first, second = (data().train_dataloader().dataset for _ in range(2))
    backward = [second[epoch, index]["image1"] for epoch in (1, 0) for index in (5, 0)][::-1]
    forward = [first[epoch, index]["image1"] for epoch in (0, 1) for index in (0, 5)]
    assert all(torch.equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert not torch.equal(forward[0], forward[1]) and not torch.equal(forward[0], forward[2])
    assert torch.equal(first[3]["image1"], first[0, 3]["image1"])


def test_workers_do_not_matter():
    alone, helped = data().train_dataloader(), data(workers=2).train_dataloader()
    for a, b in zip(alone, helped, strict=True):
        assert a["name"] == b["name"] and torch.equal(a["image2"], b["image2"])


def test_evaluation_sees_other_textures():
    module = data()
    train, test = module.train_dataloader().dataset.bank, module.test_dataloader().dataset.bank
    assert len(test) == HELD_OUT and len(train) + len(test) == len(texture_bank(0))
    assert train.data_ptr() != test.data_ptr()
    assert not any(torch.equal(texture, other) for texture in test[:8] for other in train)


def test_a_scene_as_video():
    module = data(evaluation=Evaluation(size=40, test_pairs=4, pairs_per_scene=2))
    first, second, third, _ = module.test_dataloader()
    assert [one["name"][0] for one in (first, second, third)] == [
        "synthetic/test/0/0/0",
        "synthetic/test/0/0/1",
        "synthetic/test/0/1/0",
    ]
    assert torch.equal(first["image2"], second["image1"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 8}, "crop: expected a number from 16 to .*, got 8"),
        ({"train_pairs": 3, "batch_size": 4}, r"train_pairs: must be at least batch_size \(4\), got 3"),
        ({"evaluation": {"test_pairs": 0}}, r"evaluation\.test_pairs: expected a number from 1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ConfigError, match=message):
        build(
            {"synthetic": "datamodules.flow.synthetic:SyntheticFlow"}, {"name": "synthetic", **options}, "d"
        )


class Averager(pl.LightningModule):
    """Learns the mean gray, so that its weight depends on every item and on their order."""

    def __init__(self):
        super().__init__()
        self.gray = torch.nn.Parameter(torch.zeros(()))
        self.names = []

    def training_step(self, batch, _):
        self.names += batch["name"]
        return (batch["image1"].mean() - self.gray).square()

    def validation_step(self, batch, _):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.3)


def train(folder, epochs, ckpt=None):
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=1,
        default_root_dir=folder,
    )
    module = Averager()
    trainer.fit(module, data(), ckpt_path=ckpt, weights_only=True)
    return trainer, module


def test_resuming_is_going_on(tmp_path):
    _, whole = train(tmp_path, 4)
    trainer, half = train(tmp_path, 2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    _, rest = train(tmp_path, 4, tmp_path / "half.ckpt")
    assert half.names + rest.names == whole.names and len(set(whole.names)) == 24
    assert torch.equal(rest.gray, whole.gray)
