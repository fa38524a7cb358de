import hashlib
import importlib.util
import json
import shutil
from collections import Counter
from pathlib import Path

import flow_trees
import pytest
import pytorch_lightning as pl
import real_pairs
import torch

from datamodules.flow.sets import FlowSets
from sevenfold.config import ConfigError, build, compose, locate, read_file, validate
from sevenfold.errors import InputError
from sevenfold.flow.data import FLOW_SETS
from sevenfold.flow.data.checks import examine
from sevenfold.flow.data.layouts import Pair
from sevenfold.flow.data.mix import Mix
from sevenfold.flow.data.pairs import PairDataset
from sevenfold.flow.formats import read_flow, write_flow
from train import main

ROOT = Path(__file__).resolve().parents[3]
REAL = ROOT / "../shared/data/flow"
STAGES = ("chairs", "things", "sintel", "kitti")
TABLE_OF = {"flow_mix": "datamodules.flow.sets:FlowSets"}
needs_real = pytest.mark.skipif(
    not REAL.is_dir(), reason="the small real flow data are not beside the project"
)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    return flow_trees.every_set(tmp_path_factory.mktemp("flow"))


def pairs(name, root, **split):
    layout, passes = of(name)
    return locate(FLOW_SETS[layout])(root=str(root), **passes, **split)


def of(name):
    """Return the layout of a set with the name of a benchmark, and its passes."""
    layout, _, render = name.partition("_")
    return (layout, {"passes": [render]}) if render else (name, {})


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


# What items 0 to 199 of each stage were before stages became declared sets, by (stage, seed): a hash of their
# names in order, and sums over items, weighted by their place, of the means of pictures, u, v and validity.
# Names are the same everywhere; the last digits of pixels depend on the processor.
BEFORE = {
    ("chairs", 0): ("c747592727ac4488", [9405.5188, 9539.22045, -156.482167, 20668.15, 20100.0]),
    ("chairs", 1): ("3dceada159680946", [9667.92305, 9757.63463, -2267.07145, 21112.3, 20100.0]),
    ("things", 0): ("be1356bc66a1eca8", [9776.47839, 9831.61223, -16827.1606, 17650.7249, 20100.0]),
    ("things", 1): ("329519abbfd94ea5", [9557.65588, 9592.7917, 5387.8218, 17746.25, 20100.0]),
    ("sintel", 0): ("7853c886813cd378", [9830.8032, 9839.20526, 32557.8476, 13293.0417, 15200.3307]),
    ("sintel", 1): ("86748d18a962f9d6", [9806.09549, 9926.11724, 20935.1122, 14049.0329, 15534.013]),
    ("kitti", 0): ("b9db60447e4c9fd9", [9680.24421, 9635.222, 18575.5951, 6490.44449, 6159.30208]),
    ("kitti", 1): ("d974480e3aa0ed2a", [9886.69722, 9837.08129, 18932.4215, 6581.29665, 6345.70833]),
}


def data(root, stage="sintel", **options):
    """Return the data module of a published stage, as its configuration declares it, with small crops."""
    node = compose([read_file(ROOT / f"configs/flow/raft_{stage}.yaml")])["data"]
    small = {"root": str(root), "crop": [24, 32], "workers": 0, "batch_size": 2, "check": False}
    return build(TABLE_OF, {**node, **small, **options}, "data")


@pytest.mark.parametrize(("stage", "seed"), BEFORE)
def test_the_first_items_are_those_of_the_published_stages(stage, seed, trees):
    mix = Mix(data(trees, stage).declared.pools((24, 32), seed), epoch_items=50)
    names, total = hashlib.sha256(), torch.zeros(5, dtype=torch.float64)
    for number in range(200):
        item = mix[divmod(number, 50)]
        names.update(item["name"].encode() + b"\n")
        parts = item["image1"], item["image2"], item["flow"][0], item["flow"][1], item["valid"]
        total += (number + 1) * torch.stack([part.double().mean() for part in parts])
    digest, sums = BEFORE[stage, seed]
    assert names.hexdigest()[:16] == digest
    assert total.tolist() == pytest.approx(sums, rel=1e-5, abs=1e-2)


def test_one_pass_through_the_sintel_mix_meets_every_copy(trees):
    ((_, pool),) = data(trees).declared.pools((24, 32), 0)
    names = [[pair.name for pair in part.pairs] for part, _ in pool.parts]
    counts = Counter(names[part][index] for part, index in map(pool.place, range(pool.ends[-1])))
    expected = {"sintel_clean": 100, "sintel_final": 100, "kitti": 200, "hd1k": 5, "things_clean": 1}
    assert counts == {name: copies for dataset, copies in expected.items() for name in EXPECTED[dataset]}


@pytest.mark.parametrize("stage", STAGES)
def test_batches_of_every_stage(stage, trees):
    module = data(trees, stage, epoch_batches=3)
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
    with pytest.raises(ConfigError, match="evaluate_on: 'sintel_cleen' is none of the sets. Did you"):
        data(trees, evaluate_on=["sintel_cleen"])


@pytest.mark.parametrize(("key", "value"), [("batch_size", 0), ("epoch_batches", 0), ("crop", (0, 9))])
def test_impossible_options_are_refused(key, value):
    with pytest.raises(ConfigError, match=rf"{key}(\[0\])?: expected a number from 1 to .*, got 0"):
        validate(FlowSets, {key: value}, "data")


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
        module = data(tmp_path, stage, crop=list(crop), epoch_batches=1, evaluate_on=[])
        module.setup("fit")
        (batch,) = module.train_dataloader()
        assert batch["image2"].shape == (2, 3, *crop) and batch["valid"].any()
        assert not batch["flow"].permute(0, 2, 3, 1)[~batch["valid"]].any()


# Sets of one's own --------------------------------------------------------------------------------


def own_files(root, count=8, clips=4):
    """Pairs in folders of their clips: pictures a_N and b_N, flow u = N in files uv_N; a table names them."""
    lines = ["image1,image2,flow,sequence"]
    for i in range(count):
        place = f"shots/clip{i % clips}"
        for part in "ab":
            flow_trees.picture(root / f"{place}/{part}_{i}.png")
        flow_trees.flow(root / f"{place}/uv_{i}.flo", u=i)
        lines.append(f"{place}/a_{i}.png,{place}/b_{i}.png,{place}/uv_{i}.flo,clip{i % clips}")
    (root / "pairs.csv").write_text("\n".join(lines) + "\n")
    return root


def patterns(clip="*"):
    names = {"image1": "a_*.png", "image2": "b_*.png", "flow": "uv_*.flo"}
    return {"layout": "files", **{name: f"shots/{clip}/{stars}" for name, stars in names.items()}}


TABLE = {"layout": "csv", "file": "pairs.csv"}
BOTH = pytest.mark.parametrize("layout", [patterns(), TABLE], ids=["files", "csv"])


def own(root, sets, **options):
    node = {"name": "flow_mix", "root": str(root), "sets": sets, "crop": [24, 32], "workers": 0}
    return build(TABLE_OF, {**node, "batch_size": 2, **options}, "data")


@BOTH
def test_own_pairs_with_their_flow(layout, tmp_path):
    declared = own(own_files(tmp_path), {"mine": {**layout, "weight": 1, "scale": 2.0}}).declared
    items = list(PairDataset(declared.training("mine")))
    assert sorted(item["flow"][0].max().item() for item in items) == [2.0 * i for i in range(8)]
    assert {item["dataset"] for item in items} == {"mine"} and len({item["name"] for item in items}) == 8


def test_stars_that_disagree_are_refused_with_both_names(tmp_path):
    (own_files(tmp_path) / "shots/clip1/b_1.png").rename(tmp_path / "shots/clip1/b_9.png")
    with pytest.raises(ConfigError, match=r"sets\.mine: row .*a_1\.png, image2 is .*b_5\.png.*must agree"):
        own(tmp_path, {"mine": {**patterns(), "weight": 1}}).setup("fit")


def test_weights_are_shares_and_no_pair_repeats_before_the_others_came(tmp_path):
    sets = {"most": {**TABLE, "weight": 3}, "few": {**patterns("clip0"), "weight": 1}}
    mix = Mix(own(own_files(tmp_path), sets).declared.pools((24, 32), 0), epoch_items=40)
    items = [mix[divmod(number, 40)] for number in range(400)]
    counts = Counter(item["dataset"] for item in items)
    assert counts["most"] / 400 == pytest.approx(0.75, abs=0.03)
    for dataset, size in (("most", 8), ("few", 2)):
        names = [item["name"] for item in items if item["dataset"] == dataset]
        for start in range(0, len(names) - size, size):
            assert len(set(names[start : start + size])) == size
    orders = {tuple(names[start : start + 2]) for start in range(0, len(names) - 2, 2)}
    assert len(orders) == 2  # not always in the same order


@BOTH
def test_clips_stay_whole_in_splits(layout, tmp_path):
    declared = own(own_files(tmp_path, 40, clips=20), {"mine": {**layout, "weight": 1, "val": 0.3}}).declared
    trained, held = declared.training("mine"), declared.evaluated()
    assert len(trained) + len(held) == 40 and 0 < len(held) < 25
    assert not {pair.image1.parent for pair in trained} & {pair.image1.parent for pair in held}
    moved = own_files(tmp_path / "moved", 40, clips=20)
    again = own(moved, {"mine": {**layout, "weight": 1, "val": 0.3}}).declared.evaluated()
    assert [pair.name for pair in again] == [pair.name for pair in held]  # wherever the folder lies


def test_a_pattern_or_a_table_can_name_what_is_held_out(tmp_path):
    own_files(tmp_path)
    (tmp_path / "val.csv").write_text("image1,image2\nshots/clip1/a_1.png,shots/clip1/b_1.png\n")
    for val, count in (("shots/clip3/a_*.png", 2), ("val.csv", 1)):
        declared = own(tmp_path, {"mine": {**TABLE, "weight": 1, "val": val}}).declared
        assert len(declared.evaluated()) == count and len(declared.training("mine")) == 8 - count


def test_scenes_and_copies_mix_with_weights(tmp_path):
    sets = {"mine": {**TABLE, "copies": 2}, "scenes": {"layout": "synthetic", "weight": 1}}
    mix = Mix(own(own_files(tmp_path), sets).declared.pools((24, 32), 0), epoch_items=8)
    items = [mix[0, index] for index in range(8)]
    assert Counter(item["dataset"] for item in items) == {"mine": 4, "synthetic": 4}
    for item in items:
        assert item["image1"].shape == (3, 24, 32) and item["valid"].shape == (24, 32)
    place = next(index for index, item in enumerate(items) if item["dataset"] == "synthetic")
    assert torch.equal(mix[0, place]["image1"], items[place]["image1"])


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({}, "sets: needs at least one set"),
        ({"a": {**TABLE}}, "sets.a: needs exactly one of weight and copies"),
        ({"a": {**TABLE, "weight": 1, "copies": 1}}, "sets.a: needs exactly one"),
        ({"a": {**TABLE, "weight": 1, "val": 1.5}}, "sets.a.val: expected a share below 1"),
        ({"a": {**TABLE, "weight": 1, "layuot": 1}}, "sets.a.*layuot"),
        (
            {"a": {"layout": "synthetic", "copies": 2}},
            "sets.a.copies: scenes and sets without truth need a weight",
        ),
    ],
)
def test_sets_that_say_too_little_or_too_much(sets, message, tmp_path):
    with pytest.raises(ConfigError, match=message) as caught:
        own(tmp_path, sets)
    assert "\n" not in str(caught.value)


def test_a_table_with_mistakes_names_the_line(tmp_path):
    own_files(tmp_path)
    for text, message in (
        ("image1,image2,flwo\na,b,c", "first line must be image1,image2"),
        ("image1,image2\nshots/clip0/a_0.png,nowhere.png", "line 2: image2: no such file"),
        ("image1,image2\nshots/clip0/a_0.png", "line 2: 1 cells, the first line has 2"),
        ("image1,image2\n", "holds no pair"),
    ):
        (tmp_path / "pairs.csv").write_text(text)
        with pytest.raises(InputError, match=message):
            own(tmp_path, {"mine": {**TABLE, "weight": 1}}).setup("fit")


@needs_real
@pytest.mark.parametrize("scene", ["venus", "clean/cave_2"])
def test_the_check_of_the_data_notices_a_wrong_truth(scene, tmp_path, monkeypatch):
    monkeypatch.setattr("sevenfold.flow.data.checks.user_cache", lambda: tmp_path / "cache")
    first, second, truth = real_pairs.paths(scene)
    flow, valid = read_flow(truth)
    for name, field in {"right": flow, "exchanged": flow.flip(0), "sign": -flow, "units": flow / 20}.items():
        write_flow(tmp_path / f"{name}.flo", field, valid)
        pair = Pair(first, second, tmp_path / f"{name}.flo", "own", name)
        seen = examine("own", [pair])
        assert bool(seen.warnings) == (name != "right"), (name, seen)
        assert seen == examine("own", [pair])  # as stored


def test_pairs_of_public_trees(tmp_path):
    for name in ("frame_left_0001", "frame_left_0002"):
        flow_trees.picture(tmp_path / f"spring/train/0001/frame_left/{name}.png")
    for number in range(3):
        flow_trees.picture(tmp_path / f"tartanair/sea/Easy/P001/image_left/{number:06d}_left.png")
        flow_trees.picture(tmp_path / f"viper/train/img/001/001_{number:05d}.jpg")
    for number in (10, 11):
        flow_trees.picture(tmp_path / f"KittiFlow2012/training/colored_0/000000_{number}.png")
    flow_trees.flow(tmp_path / "KittiFlow2012/training/flow_occ/000000_10.png", u=2)
    flow_trees.flow(tmp_path / "tartanair/sea/Easy/P001/flow/000000_000001_flow.npy", u=3)
    flow_trees.flow(tmp_path / "viper/train/flow/001/001_00001.npz", u=4)
    cases = [("kitti2012", 1, 2), ("tartanair", 2, 3), ("viper", 1, 4)]
    if importlib.util.find_spec("h5py"):
        double = tmp_path / "spring/train/0001/flow_FW_left/flow_FW_left_0001.flo5"
        flow_trees.flow(double, u=5, size=(80, 112))
        cases.append(("spring", 1, 5))
    for layout, count, speed in cases:
        items = list(PairDataset(locate(FLOW_SETS[layout])(root=str(tmp_path))))
        assert len(items) == count and items[0]["flow"][0].max() == speed
        assert items[0]["flow"].shape[1:] == flow_trees.SIZE


def test_a_former_stage_says_what_to_write_instead(capsys):
    recipe = str(ROOT / "configs/flow/raft_things.yaml")
    assert main(["check", "--config", recipe, "data.stage=things"]) == 2
    assert "stages are mixes of declared sets now: write base: base/things.yaml" in capsys.readouterr().err


def test_a_table_trains_and_evaluates(tmp_path, monkeypatch):
    monkeypatch.chdir(own_files(tmp_path, 20, clips=10))
    monkeypatch.setattr("sevenfold.flow.data.checks.user_cache", lambda: tmp_path / "cache")
    options = [
        "data.root=.",
        "data.crop=[32,40]",
        "data.batch_size=1",
        "data.epoch_batches=20",
        "data.workers=0",
    ]
    options += ["trainer.max_epochs=1", "trainer.accelerator=cpu", "callbacks.progress=null"]
    options += ["model.training.iterations=[3]", "model.evaluation.iterations=3"]
    assert main(["--config", str(ROOT / "configs/flow/own.yaml"), *options]) == 0
    results = json.loads((tmp_path / "runs/flow_own/version_0/results.json").read_text())
    assert results["metrics"]["test/own/epe"] > 0 and results["metrics"]["val/own/epe"] > 0
