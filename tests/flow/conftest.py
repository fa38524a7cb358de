import pytest
import torch


@pytest.fixture
def saved_bytes():
    """A function: bytes that ``run()`` keeps for the backward pass, the parameters of ``network`` aside."""

    def measure(run, network):
        parameters = {p.untyped_storage().data_ptr() for p in network.parameters()}
        saved = {}  # the tensors too, so that no address is given to another one

        def keep(tensor):
            saved[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            result = run()
        assert result.requires_grad
        return sum(t.untyped_storage().nbytes() for at, t in saved.items() if at not in parameters)

    return measure
