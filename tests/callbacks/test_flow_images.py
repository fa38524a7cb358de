import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.loggers.logger import DummyLogger
from torch.utils.data import DataLoader, Dataset

from callbacks.flow_images import FlowImages
from sevenfold.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")


class Items(Dataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        return {
            "image1": torch.full((3, 20, 30), 0.2 * index),
            "image2": torch.zeros(3, 20, 30),
            "flow": torch.ones(2, 20, 30),
            "valid": torch.full((20, 30), index != 2),
            "name": f"chairs/{index}",
            "dataset": "kitti" if index == 1 else "chairs",
            "padding": "sintel",
        }


class ZeroFlow(pl.LightningModule):
    def __init__(self, key="flow"):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.key = key

    def training_step(self, batch, _):
        return self.weight.square()

    def step(self, batch):
        return {self.key: torch.zeros_like(batch["flow"]).bfloat16() + self.weight}

    def validation_step(self, batch, _):
        return self.step(batch)

    def test_step(self, batch, _):
        return self.step(batch)

    def predict_step(self, batch, _):
        return self.step(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class PictureLogger(DummyLogger):
    def __init__(self):
        super().__init__()
        self.logged = []

    def log_image(self, key, images, step=None, caption=None):
        self.logged.append((key, [image.shape for image in images], caption))


def trainer(folder, callback, **options):
    return pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        default_root_dir=folder,
        callbacks=[callback],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **{"logger": False, **options},
    )


def files(folder):
    return sorted(path.name for path in (folder / "images").glob("*"))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_first_items_of_each_stage(tmp_path, batch_size):
    logger, loader = PictureLogger(), DataLoader(Items(), batch_size=batch_size)
    run = trainer(tmp_path, FlowImages(count=3), logger=logger)
    run.validate(ZeroFlow(), loader, verbose=False)
    run.test(ZeroFlow(), loader, verbose=False)
    run.predict(ZeroFlow(), loader)
    assert files(tmp_path) == [
        f"{stage}_chairs_{index}.png" for stage in ("predict", "test", "val") for index in range(3)
    ]
    assert [key for key, *_ in logger.logged] == ["val/panels", "test/panels", "predict/panels"]
    full, bare = (176, 5 * 240 + 16, 3), (176, 3 * 240 + 8, 3)
    assert logger.logged[0][1:] == ([full, full, bare], ["chairs/0", "chairs/1", "chairs/2"])
    with Image.open(tmp_path / "images/val_chairs_0.png") as picture:
        assert picture.size == (1216, 176)


def test_fit_overwrites_and_skips_the_sanity_check(tmp_path):
    logger, loader = PictureLogger(), DataLoader(Items())
    trainer(tmp_path, FlowImages(count=2), logger=logger, num_sanity_val_steps=1).fit(
        ZeroFlow(), loader, loader
    )
    assert files(tmp_path) == ["val_chairs_0.png", "val_chairs_1.png"]
    assert len(logger.logged) == 1


def test_fast_dev_run_and_logger_without_pictures(tmp_path):
    loader = DataLoader(Items())
    trainer(tmp_path, FlowImages(), fast_dev_run=True, logger=DummyLogger()).fit(ZeroFlow(), loader, loader)
    assert files(tmp_path) == ["val_chairs_0.png"]


def test_steps_that_return_no_flow(tmp_path):
    loader, callback = DataLoader(Items()), FlowImages()
    with pytest.raises(InputError, match="needs steps that return"):
        trainer(tmp_path, callback).test(ZeroFlow("something"), loader, verbose=False)
    trainer(tmp_path, callback).predict(ZeroFlow("something"), loader)
    assert files(tmp_path) == []


def test_none_is_none(tmp_path):
    trainer(tmp_path, FlowImages(count=0)).test(ZeroFlow(), DataLoader(Items()), verbose=False)
    assert files(tmp_path) == []
