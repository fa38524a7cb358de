import shutil
from collections import Counter
from pathlib import Path

import flow_trees
import pytest
import pytorch_lightning as pl
import torch

from datamodules.flow.stage import FlowStage
from sevenfold.config import ConfigError, locate, validate
from sevenfold.errors import InputError
from sevenfold.flow.data import FLOW_SETS
from sevenfold.flow.data.mix import STAGES, Mix
from sevenfold.flow.data.pairs import PairDataset

REAL = Path(__file__).resolve().parents[3] / "../shared/data/flow"
needs_real = pytest.mark.skipif(
    not REAL.is_dir(), reason="the small real flow data are not beside the project"
)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    return flow_trees.every_set(tmp_path_factory.mktemp("flow"))


def pairs(name, root, **split):
    return locate(FLOW_SETS[name])(root=str(root), **split)


EXPECTED = {  # name of a set: names of its training pairs and the horizontal motion of each
    "chairs": {"chairs/00000": 0, "chairs/00001": 1},
    "things_clean": {
        "things_clean/A/0000/into_future/0006": 6,
        "things_clean/A/0000/into_past/0007": -7,
    },
    "things_final": {
        "things_final/A/0000/into_future/0006": 6,
        "things_final/A/0000/into_past/0007": -7,
    },
    "sintel_clean": {
        f"sintel_clean/{scene}/frame_{i:04d}": 10 * i for scene in ("alley_1", "cave_2") for i in (1, 2)
    },
    "sintel_final": {
        f"sintel_final/{scene}/frame_{i:04d}": 10 * i for scene in ("alley_1", "cave_2") for i in (1, 2)
    },
    "kitti": {"kitti/000000_10": 0, "kitti/000001_10": 4},
    "hd1k": {"hd1k/000000_0010": 10, "hd1k/000001_0010": 10},
}


def test_every_set_is_tried():
    assert EXPECTED.keys() == FLOW_SETS.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_each_set_gives_its_pairs_with_their_flow(name, trees):
    items = list(PairDataset(pairs(name, trees)))
    assert {item["name"]: item["flow"][0].max().item() or item["flow"][0].min().item() for item in items} == (
        pytest.approx(EXPECTED[name])
    )
    for item in items:
        assert item["dataset"] == name
        assert item["padding"] == ("kitti" if name == "kitti" else "sintel")
        assert item["valid"].all() == (name not in ("kitti", "hd1k")) and item["valid"].any()


def test_other_splits(trees):
    assert [pair.name for pair in pairs("chairs", trees, split="val")] == ["chairs/00002"]
    for name, count in (("sintel_final", 4), ("kitti", 2)):
        found = pairs(name, trees, split="test")
        assert len(found) == count and all(pair.truth is None for pair in found)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_missing_set_says_what_was_looked_for(name, tmp_path):
    folder = {"chairs": "FlyingChairs", "kitti": "KittiFlow", "hd1k": "hd1k"}.get(name)
    folder = folder or ("FlyingThings3D" if name.startswith("things") else "Sintel")
    with pytest.raises(InputError, match=rf"is expected as {folder}/.* below data\.root=") as caught:
        pairs(name, tmp_path)
    assert "\n" not in str(caught.value)


def test_files_that_do_not_go_together_are_found(tmp_path):
    flow_trees.kitti(tmp_path, 3)
    (tmp_path / "KittiFlow/training/flow_occ/000001_10.png").unlink()
    with pytest.raises(InputError, match="3 pairs of pictures but 2 flow files"):
        pairs("kitti", tmp_path)
    shutil.copy(
        tmp_path / "KittiFlow/training/flow_occ/000002_10.png",
        tmp_path / "KittiFlow/training/flow_occ/000003_10.png",
    )
    with pytest.raises(InputError, match=r"000001_10\.png would be paired with .*000002_10\.png"):
        pairs("kitti", tmp_path)


def test_the_mixes_are_the_published_ones():
    copies = {stage: [(part.dataset, part.copies) for part in parts] for stage, parts in STAGES.items()}
    assert copies == {
        "chairs": [("chairs", 1)],
        "things": [("things_clean", 1), ("things_final", 1)],
        "sintel": [
            ("sintel_clean", 100),
            ("sintel_final", 100),
            ("kitti", 200),
            ("hd1k", 5),
            ("things_clean", 1),
        ],
        "kitti": [("kitti", 1)],
    }
    scales = {(stage, p.dataset): (p.log_scale, p.sparse, p.flip) for stage, q in STAGES.items() for p in q}
    assert scales["chairs", "chairs"] == ((-0.1, 1.0), False, True)
    assert scales["things", "things_final"] == ((-0.4, 0.8), False, True)
    assert scales["sintel", "sintel_clean"] == scales["sintel", "things_clean"] == ((-0.2, 0.6), False, True)
    assert scales["sintel", "kitti"] == ((-0.3, 0.5), True, True)
    assert scales["sintel", "hd1k"] == ((-0.5, 0.2), True, True)
    assert scales["kitti", "kitti"] == ((-0.2, 0.4), True, False)


def data(root, stage="sintel", **options):
    return FlowStage(
        **{"root": str(root), "stage": stage, "crop": (24, 32), "workers": 0, "batch_size": 2, **options}
    )


def test_one_pass_through_the_sintel_mix_meets_every_copy(trees):
    module = data(trees)
    module.setup("fit")
    mix = Mix(module.parts, seed=0, epoch_items=1)
    names = [[pair.name for pair in part.pairs] for part, _ in mix.parts]
    counts = Counter(names[part][index] for part, index in map(mix.place, range(mix.ends[-1])))
    expected = {"sintel_clean": 100, "sintel_final": 100, "kitti": 200, "hd1k": 5, "things_clean": 1}
    assert counts == {name: copies for dataset, copies in expected.items() for name in EXPECTED[dataset]}


@pytest.mark.parametrize("stage", STAGES)
def test_batches_of_every_stage(stage, trees):
    module = data(trees, stage, epoch_batches=3, add_noise=True)
    module.setup("fit")
    batches = list(module.train_dataloader())
    assert len(batches) == 3
    for batch in batches:
        assert batch["image1"].shape == batch["image2"].shape == (2, 3, 24, 32)
        assert batch["flow"].shape == (2, 2, 24, 32) and batch["valid"].shape == (2, 24, 32)
        assert batch["flow"].isfinite().all() and batch["valid"].any()
        assert set(batch) == {"image1", "image2", "flow", "valid", "name", "dataset", "padding"}


def test_check_13_items_depend_on_seed_and_epoch_and_index_alone(trees):
    def loader(**options):
        module = data(trees, "chairs", epoch_batches=2, **options)
        module.setup("fit")
        return module.train_dataloader()

    alone, helped = loader(), loader(workers=2)
    for epoch in (0, 1):
        for each in (alone, helped):
            each.sampler.set_epoch(epoch)
        for a, b in zip(alone, helped, strict=True):
            # A worker has one thread, this process may have more: sums are cut elsewhere and round otherwise.
            # Another item would differ by tenths; a gray level is 4e-3.
            assert a["name"] == b["name"]
            torch.testing.assert_close(a["image1"], b["image1"], rtol=0, atol=1e-4)
    again, other = loader().dataset, loader(seed=1).dataset
    frames = {}
    for mix, seed in ((alone.dataset, 0), (other, 1)):
        for key in ((1, 0), (0, 0), (0, 1), (1, 1)):
            frames[seed, key] = mix[key]["image1"]
    for key in ((0, 0), (1, 1)):
        assert torch.equal(again[key]["image1"], frames[0, key])
    assert len({tuple(frame.flatten().tolist()) for frame in frames.values()}) == len(frames)


def test_epochs_go_through_the_set_without_regard_to_their_length(trees):
    module = data(trees, "chairs", batch_size=1, epoch_batches=3)
    module.setup("fit")
    mix = module.train_dataloader().dataset
    names = [mix[epoch, index]["name"] for epoch in range(4) for index in range(3)]
    for start in range(0, 12, 2):
        assert sorted(names[start : start + 2]) == ["chairs/00000", "chairs/00001"]


@pytest.mark.parametrize(
    ("stage", "sets"),
    [
        ("chairs", {"chairs": 1}),
        ("things", {"sintel_clean": 4, "sintel_final": 4, "kitti": 2}),
        ("sintel", {"sintel_clean": 4, "sintel_final": 4, "kitti": 2}),
        ("kitti", {"kitti": 2}),
    ],
)
def test_evaluation_sets(stage, sets, trees):
    module = data(trees, stage)
    module.setup("test")
    batches = list(module.test_dataloader())
    assert Counter(batch["dataset"][0] for batch in batches) == sets
    assert all(batch["image1"].shape == (1, 3, *flow_trees.SIZE) for batch in batches)


def test_evaluation_sets_can_be_chosen(trees):
    module = data(trees, "things", evaluate_on=["sintel_final"])
    module.setup("validate")
    assert {batch["dataset"][0] for batch in module.val_dataloader()} == {"sintel_final"}
    with pytest.raises(ConfigError, match="evaluate_on.*: 'sintel' is not known. Did you mean 'sintel_"):
        data(trees, evaluate_on=["sintel"])


@pytest.mark.parametrize(("key", "value"), [("batch_size", 0), ("epoch_batches", 0), ("crop", (0, 9))])
def test_impossible_options_are_refused(key, value):
    with pytest.raises(ConfigError, match=rf"{key}(\[0\])?: expected a number from 1 to .*, got 0"):
        validate(FlowStage, {key: value}, "data")


def test_only_a_dry_run_does_without_the_files(tmp_path, caplog):
    module = data(tmp_path)
    module.trainer = pl.Trainer(accelerator="cpu", logger=False, fast_dev_run=True, barebones=False)
    module.setup("fit")
    assert "Sintel is expected as" in caplog.text and "synthetic pairs instead" in caplog.text
    (batch,) = module.train_dataloader()
    assert batch["dataset"] == ["synthetic"] and len(list(module.val_dataloader())) == 1
    module.trainer = None
    with pytest.raises(InputError, match="Sintel is expected as"):
        module.setup("fit")


@needs_real
def test_real_samples_in_their_places(tmp_path):
    folder = tmp_path / "KittiFlow/training"
    for source, target in (
        ("image_2_000000_10.png", "image_2/000000_10.png"),
        ("image_2_000000_11.png", "image_2/000000_11.png"),
        ("flow_occ_000000_10.png", "flow_occ/000000_10.png"),
    ):
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REAL / "kitti2015" / source, folder / target)
    (tmp_path / "FlyingChairs/data").mkdir(parents=True)
    for i in (0, 1):
        for source, target in (("img0.ppm", "img1.ppm"), ("img1.ppm", "img2.ppm"), ("gt.flo", "flow.flo")):
            shutil.copy(
                REAL / f"flyingchairs/000000{i}-{source}", tmp_path / f"FlyingChairs/data/0000{i}_{target}"
            )
    (tmp_path / "FlyingChairs/FlyingChairs_train_val.txt").write_text("1\n1\n")
    (item,) = PairDataset(pairs("kitti", tmp_path))
    assert item["valid"].float().mean().item() == pytest.approx(0.162, abs=5e-4)
    assert item["flow"].abs().max().item() == pytest.approx(184.25)
    for stage, crop in (("chairs", (368, 496)), ("kitti", (288, 960))):
        module = data(tmp_path, stage, crop=crop, epoch_batches=1, evaluate_on=[])
        module.setup("fit")
        (batch,) = module.train_dataloader()
        assert batch["image2"].shape == (2, 3, *crop) and batch["valid"].any()
        assert not batch["flow"].permute(0, 2, 3, 1)[~batch["valid"]].any()
