import pytest
import torch

from datamodules.sampling import EpochLoader, EpochSampler, every_item_once
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


class Places(torch.utils.data.Dataset):
    """Items that are their own epoch and index."""

    def __len__(self):
        return 12

    def __getitem__(self, place):
        return torch.tensor(place)


def loader(batch_size=4, **options):
    placement = {key: options.pop(key) for key in ("rank", "world_size") if key in options}
    data = Places()
    return EpochLoader(
        data, batch_size=batch_size, sampler=EpochSampler(data, seed=0, **placement), **options
    )


def batches(loader, epoch, count=None):
    """Return the first ``count`` batches of an epoch as lists."""
    loader.sampler.set_epoch(epoch)
    return [batch.tolist() for batch, _ in zip(loader, range(99 if count is None else count), strict=False)]


LOADERS = [{}, {"batch_size": None}, {"batch_size": 5}, {"batch_size": 5, "drop_last": True},
           {"num_workers": 2}, {"rank": 1, "world_size": 2}]  # fmt: skip


@pytest.mark.parametrize("options", LOADERS, ids=str)
def test_a_loader_goes_on_with_the_very_next_batch(options):
    whole = [batches(loader(**options), epoch) for epoch in range(2)]
    for cut in range(1 if "num_workers" in options else len(whole[1]) + 1):
        first = loader(**options)
        batches(first, 0)
        iterator = iter(first)
        first.sampler.set_epoch(1)
        taken = [next(iterator).tolist() for _ in range(cut + 1 if "num_workers" in options else cut)]
        state = first.state_dict()
        assert state == {"epoch": 1, "position": len(taken)}
        second = loader(**options)
        second.load_state_dict(state)
        assert second.state_dict() == state, "saved again before it has begun"
        assert taken + batches(second, 1) == whole[1]
        assert batches(second, 0) == whole[0], "only that epoch is cut short"


def test_a_place_in_another_epoch_is_not_used():
    other = loader()
    other.load_state_dict({"epoch": 0, "position": 2})
    assert batches(other, 1) == batches(loader(), 1) and other.state_dict() == {"epoch": 1, "position": 3}


def test_between_two_epochs_the_place_is_the_beginning():
    between = loader()
    batches(between, 0)
    assert between.state_dict() == {"epoch": 0, "position": 3}
    between.sampler.set_epoch(1)
    assert between.state_dict() == {"epoch": 1, "position": 0}


def test_going_on_in_an_epoch_draws_no_global_random_number():
    """PyTorch draws one for each iterator; in a resumed epoch it has been drawn before the checkpoint."""
    for position in (0, 2):
        torch.manual_seed(0)
        before, resumed = torch.get_rng_state(), loader()
        resumed.load_state_dict({"epoch": 0, "position": position})
        batches(resumed, 0)
        assert torch.equal(torch.get_rng_state(), before) == (position > 0)
