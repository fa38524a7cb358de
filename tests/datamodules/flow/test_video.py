import flow_trees
import pytest
import pytorch_lightning as pl

from datamodules.flow.video import FlowVideo
from datamodules.sampling import WholeGroups
from sevenfold.errors import InputError
from sevenfold.flow.data.sequences import find_sequences
from sevenfold.records import append_record


def names(root):
    return {frames.name: [path.name for path in frames.paths] for frames in find_sequences(root)}


def test_sintel_and_kitti_are_found_by_their_numbers(tmp_path):
    flow_trees.sintel(tmp_path, scenes=("alley_1",))
    flow_trees.kitti(tmp_path)
    expected = ["frame_0001.png", "frame_0002.png", "frame_0003.png"]
    assert names(tmp_path / "Sintel/test") == {"clean/alley_1": expected, "final/alley_1": expected}
    assert names(tmp_path / "KittiFlow/testing") == {
        "image_2/000000": ["000000_10.png", "000000_11.png"],
        "image_2/000001": ["000001_10.png", "000001_11.png"],
    }
    found = {frames.name: frames.dataset for frames in find_sequences(tmp_path)}
    assert found["Sintel/test/final/alley_1"] == "sintel_final"
    assert found["KittiFlow/testing/image_2/000001"] == "kitti"


def test_a_gap_is_a_cut_and_single_pictures_are_left_out(tmp_path):
    for name in (
        "7.jpg",
        "8.jpg",
        "10.jpg",
        "12.jpg",
        "13.jpg",
        "14.jpg",
        "cover.jpg",
        "notes1.txt",
        "notes2.txt",
    ):
        flow_trees.picture(tmp_path / "walk" / name)
    assert names(tmp_path) == {"walk": ["7.jpg", "8.jpg"], "walk@12": ["12.jpg", "13.jpg", "14.jpg"]}
    assert names(tmp_path / "walk").keys() == {"walk", "walk@12"}
    assert {frames.dataset for frames in find_sequences(tmp_path)} == {"video"}


def test_several_scenes_in_a_folder_have_names_of_their_own(tmp_path):
    for name in ("a_1.png", "a_2.png", "b1.png", "b2.png"):
        flow_trees.picture(tmp_path / "in" / name)
    assert names(tmp_path).keys() == {"in/a", "in/b"}
    for name in ("a1.png", "a2.png"):
        flow_trees.picture(tmp_path / "in" / name)
    assert names(tmp_path).keys() == {"in/a_.png", "in/a.png", "in/b.png"}


def test_folders_without_frames(tmp_path):
    with pytest.raises(InputError, match=r"no such folder; set data\.root"):
        find_sequences(tmp_path / "absent")
    with pytest.raises(InputError, match="no two pictures whose names differ in a running number"):
        find_sequences(tmp_path)


def test_pairs_come_in_order_with_their_place(tmp_path):
    flow_trees.sintel(tmp_path)
    module = FlowVideo(root=str(tmp_path / "Sintel/test"))
    module.setup("predict")
    batches = list(module.predict_dataloader())
    assert len(batches) == 8
    places = [(batch["sequence"][0], int(batch["index"][0]), bool(batch["last"][0])) for batch in batches]
    assert places[:4] == [
        ("clean/alley_1", 0, False), ("clean/alley_1", 1, True),
        ("clean/cave_2", 0, False), ("clean/cave_2", 1, True),
    ]  # fmt: skip
    first = batches[0]
    assert first["frame"] == ["frame_0001"] and first["name"] == ["clean/alley_1/frame_0001"]
    assert first["dataset"] == ["sintel_clean"] and not first["valid"].any()


def test_recorded_sequences_are_left_out(tmp_path):
    flow_trees.sintel(tmp_path)
    module = FlowVideo(root=str(tmp_path / "Sintel/test"))
    module.trainer = pl.Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path / "run")
    (tmp_path / "run/records").mkdir(parents=True)
    append_record(tmp_path / "run/records/rank_0.jsonl", {"key": "clean/alley_1"})
    module.setup("predict")
    assert [frames.name for frames in module.sequences] == ["clean/cave_2", "final/alley_1", "final/cave_2"]


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_ranks_get_whole_groups_in_order_and_none_is_idle(world_size):
    groups = ["a"] * 5 + ["b"] * 2 + ["c"] * 4 + ["d"]
    shares = [list(WholeGroups(groups, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert all(shares) and all(share == sorted(share) for share in shares)
    for share in shares:
        for group in {groups[index] for index in share}:
            assert [groups[index] for index in share].count(group) == groups.count(group)
    dealt = sorted(index for share in shares for index in share)
    assert set(dealt) == set(range(12)) and (len(dealt) == 12 or world_size == 5)
    if world_size == 2:
        assert sorted(map(len, shares)) == [6, 6]
    assert list(WholeGroups([], rank=0, world_size=2)) == []
