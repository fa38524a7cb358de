"""What training the demo's update by each rule keeps between the passes."""

import torch
from torch import Tensor

from sevenfold.flow.deq_flow import DEQFlow


def kept(rule: dict[str, object]) -> int:
    """Return the bytes of tensors stored for the backward pass of 12 steps on a pair of 96 x 96."""
    torch.manual_seed(0)
    network = DEQFlow(variant="demo", backward=rule).train()
    f = network.recurrence(*torch.rand(2, 1, 3, 96, 96))
    # Encoders, context and weights are made before, and the same under every rule.
    before = {part.untyped_storage().data_ptr() for part in parameters_of(f)}
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage()
        if place.data_ptr() not in before:
            storages[place.data_ptr()] = place.nbytes()
        held.append(tensor)  # so that no address is used twice
        return tensor

    held: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        states, _ = network.run(f, f.start, 12)
    assert states[-1][1].requires_grad
    return sum(storages.values())


def parameters_of(f: object) -> list[Tensor]:
    """Return all tensors that a recurrence holds."""
    found: list[Tensor] = []
    todo, seen = [f], set()
    while todo:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Tensor):
            found.append(item)
        elif isinstance(item, dict):
            todo += item.values()
        elif isinstance(item, list | tuple):
            todo += item
        elif callable(item) and getattr(item, "__closure__", None):
            todo += [cell.cell_contents for cell in item.__closure__]
        elif hasattr(item, "__dict__"):
            todo += vars(item).values()
    return found


def test_check_17_recomputed_unrolling_keeps_less_than_one_phantom_step() -> None:
    recomputed = kept({"name": "unrolled", "steps": 12, "recompute": True})
    assert recomputed < kept({"name": "phantom", "steps": 1})
    assert 4 * recomputed < kept({"name": "unrolled", "steps": 12, "recompute": False})
