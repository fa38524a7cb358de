from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from datamodules.flow.pairs import FlowPairs
from sevenfold.errors import InputError
from sevenfold.flow.data.layouts import find_pairs
from sevenfold.flow.data.pairs import PairDataset
from sevenfold.flow.formats import write_flow, write_image
from sevenfold.flow.metrics import EndPointError

REAL = Path(__file__).resolve().parents[3] / "../shared/data/flow"
needs_real = pytest.mark.skipif(
    not REAL.is_dir(), reason="the small real flow data are not beside the project"
)

TREES = {  # the files of one pair, below a folder
    "middlebury/Wood": ("other-data/Wood", "frame10.png", "frame11.png", "flow10.flo"),
    "middlebury/Grove": (
        "other-data/Grove",
        "frame10.png",
        "frame11.png",
        "../../other-gt-flow/Grove/flow10.flo",
    ),
    "chairs/00001": ("data", "00001_img1.ppm", "00001_img2.ppm", "00001_flow.flo"),
    "chairs/0000002": ("", "0000002-img0.ppm", "0000002-img1.ppm", "0000002-gt.flo"),
    "kitti/000003_10": ("training/image_2", "000003_10.png", "000003_11.png", "../flow_occ/000003_10.png"),
    "kitti/000004_10": (
        "flat",
        "image_2_000004_10.png",
        "image_2_000004_11.png",
        "flow_occ_000004_10.png",
    ),
    "sintel_clean/alley_1/frame_0001": (
        "training/clean/alley_1",
        "frame_0001.png",
        "frame_0002.png",
        "../../flow/alley_1/frame_0001.flo",
    ),
    "video/walk/frame_07": ("walk", "frame_07.png", "frame_08.png", None),
}


def make_tree(root, names=TREES, size=(6, 8)):
    for name in names:
        folder, image1, image2, truth = TREES[name]
        for value, file in ((50, image1), (60, image2)):
            write_image(root / folder / file, torch.full((3, *size), value, dtype=torch.uint8))
        if truth:
            write_flow(root / folder / truth, torch.full((2, *size), 1.5))
    return root


@pytest.mark.parametrize("name", TREES)
def test_each_layout(tmp_path, name):
    make_tree(tmp_path, [name])
    (pair,) = find_pairs(tmp_path)
    (item,) = PairDataset([pair])
    assert item["name"] == name and item["dataset"] == name.split("/")[0]
    assert item["padding"] == ("kitti" if item["dataset"] == "kitti" else "sintel")
    assert torch.equal(item["image1"], torch.full((3, 6, 8), 50 / 255))
    assert torch.equal(item["image2"], torch.full((3, 6, 8), 60 / 255))
    has_truth = TREES[name][3] is not None
    assert torch.equal(item["flow"], torch.full((2, 6, 8), 1.5 * has_truth))
    assert torch.equal(item["valid"], torch.full((6, 8), has_truth))


def test_all_layouts_in_one_folder(tmp_path):
    make_tree(tmp_path)
    assert sorted(pair.name for pair in find_pairs(tmp_path)) == sorted(TREES)
    module = FlowPairs(root=str(tmp_path))
    for stage, count in (("validate", 7), ("test", 7), ("predict", 8)):
        module.setup(stage)
        loader = getattr(module, {"validate": "val"}.get(stage, stage) + "_dataloader")()
        batches = list(loader)
        assert len(batches) == count
        assert batches[0]["image1"].shape == (1, 3, 6, 8) and len(batches[0]["name"]) == 1


def test_names_stay_unique(tmp_path):
    make_tree(tmp_path / "training", ["kitti/000004_10"])
    make_tree(tmp_path / "testing", ["kitti/000004_10"])
    assert {pair.name for pair in find_pairs(tmp_path)} == {
        "kitti/training/flat/000004_10",
        "kitti/testing/flat/000004_10",
    }


def test_gaps_in_a_video_are_no_pairs(tmp_path):
    for number in (1, 2, 4, 5, 6):
        write_image(tmp_path / f"frame_{number:04d}.png", torch.zeros(3, 2, 2, dtype=torch.uint8))
    assert [pair.image1.name[6:10] for pair in find_pairs(tmp_path)] == ["0001", "0004", "0005"]


def test_implausible_flow_of_dense_sets_is_masked(tmp_path):
    make_tree(tmp_path, ["chairs/00001"])
    flow = torch.zeros(2, 6, 8)
    flow[0, 2, 3] = 1234.0
    write_flow(tmp_path / "data/00001_flow.flo", flow)
    (item,) = PairDataset(find_pairs(tmp_path))
    assert not item["valid"][2, 3] and item["valid"].sum() == 47 and not item["flow"].any()


def test_folder_without_pairs(tmp_path):
    with pytest.raises(InputError, match=r"no such folder; set data\.root"):
        FlowPairs(root=str(tmp_path / "absent")).setup("test")
    with pytest.raises(InputError, match="no image pairs here; looked for Middlebury"):
        FlowPairs(root=str(tmp_path)).setup("test")


def test_folder_without_truth(tmp_path):
    make_tree(tmp_path, ["video/walk/frame_07"])
    with pytest.raises(InputError, match="1 image pairs but no ground truth"):
        FlowPairs(root=str(tmp_path)).setup("test")
    FlowPairs(root=str(tmp_path)).setup("predict")


def test_second_picture_missing(tmp_path):
    make_tree(tmp_path, ["chairs/00001"])
    (tmp_path / "data/00001_img2.ppm").unlink()
    with pytest.raises(InputError, match=r"00001_img1\.ppm: its second picture 00001_img2\.ppm is missing"):
        find_pairs(tmp_path)


@pytest.mark.parametrize("file", ["frame11.png", "flow10.flo"])
def test_sizes_that_differ(tmp_path, file):
    make_tree(tmp_path, ["middlebury/Wood"])
    path = tmp_path / "other-data/Wood" / file
    if file == "flow10.flo":
        write_flow(path, torch.zeros(2, 6, 7))
    else:
        write_image(path, torch.zeros(3, 6, 7, dtype=torch.uint8))
    with pytest.raises(InputError, match=r"middlebury/Wood: .*7x6.*") as caught:
        PairDataset(find_pairs(tmp_path))[0]
    assert file in str(caught.value)


def test_truncated_file_is_named(tmp_path):
    make_tree(tmp_path, ["middlebury/Wood"])
    path = tmp_path / "other-data/Wood/flow10.flo"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"flow10\.flo: has 391 bytes, a 8x6 flow has 396"):
        PairDataset(find_pairs(tmp_path))[0]


@needs_real
def test_zero_flow_on_the_real_pairs():
    """The figures that the specification gives for a prediction of no motion."""
    expected = {
        "middlebury/RubberWhale": 1.256,
        "middlebury/Venus": 3.802,
        "chairs/0000000": 6.053,
        "chairs/0000001": 4.506,
        "kitti/000000_10": 51.0,
    }
    module = FlowPairs(root=str(REAL))
    module.setup("test")
    found = {}
    for batch in module.test_dataloader():
        metric = EndPointError(average="images")
        metric.update(torch.zeros_like(batch["flow"]), batch["flow"], batch["valid"])
        found[batch["name"][0]] = metric.compute().item()
    known = {name: found[name] for name in expected}  # there may be more pairs beside them
    assert known == pytest.approx(expected, abs=5e-4, rel=1e-3)


class Recorder(pl.LightningModule):
    """Counts what arrives and measures zero flow."""

    def __init__(self):
        super().__init__()
        self.epe = EndPointError()

    def test_step(self, batch, _):
        self.epe.update(torch.zeros_like(batch["flow"]), batch["flow"], batch["valid"])
        self.log("epe", self.epe, batch_size=1)

    def predict_step(self, batch, _):
        return batch["name"][0]


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_in_a_trainer(tmp_path):
    make_tree(tmp_path)
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        barebones=False,
    )
    data = FlowPairs(root=str(tmp_path))
    (result,) = trainer.test(Recorder(), data, verbose=False)
    assert result["epe"] == pytest.approx(1.5 * 2**0.5)
    assert sorted(trainer.predict(Recorder(), data)) == sorted(TREES)
