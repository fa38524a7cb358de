import pytest

from datamodules.sampling import EpochSampler, every_item_once
from sevenfold.errors import InputError


def order(epoch, seed=0, rank=0, world_size=1, count=12):
    sampler = EpochSampler(range(count), seed=seed, rank=rank, world_size=world_size)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_pairs_of_epoch_and_index():
    for epoch in range(3):
        assert sorted(order(epoch)) == [(epoch, index) for index in range(12)]


def test_order_depends_on_seed_and_epoch_alone():
    orders = {
        (seed, epoch): [index for _, index in order(epoch, seed)] for seed in (0, 1) for epoch in (0, 1, 2)
    }
    assert len({tuple(indices) for indices in orders.values()}) == 6
    assert order(2) == order(2)


def test_without_shuffling_in_order():
    assert list(EpochSampler(range(3), seed=0, shuffle=False)) == [(0, 0), (0, 1), (0, 2)]


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_the_one_device_order(world_size):
    """Batch k over all ranks holds the items of the one-device batch k."""
    whole = order(1)
    ranks = [order(1, rank=rank, world_size=world_size) for rank in range(world_size)]
    assert [item for items in zip(*ranks, strict=True) for item in items] == whole


@pytest.mark.parametrize(("count", "world_size"), [(5, 2), (6, 2), (7, 3), (3, 3), (1, 1)])
def test_evaluation_repeats_nothing(count, world_size):
    shares = [
        list(every_item_once(range(count), rank=rank, world_size=world_size)) for rank in range(world_size)
    ]
    assert sorted(index for share in shares for index in share) == list(range(count))
    assert all(shares)


def test_more_devices_than_items():
    with pytest.raises(InputError, match="2 items cannot be shared by 3 devices"):
        every_item_once(range(2), rank=0, world_size=3)
