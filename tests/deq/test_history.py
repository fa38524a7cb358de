"""The two costly operations: exact formulas, and sums that stay accurate over millions of terms."""

import pytest
import torch

from sevenfold.deq.history import combine, inner
from sevenfold.deq.layout import CHUNK, Layout


@pytest.mark.parametrize("width", [1, 7, CHUNK, 3 * CHUNK])
def test_formulas(width):
    generator = torch.Generator().manual_seed(0)
    stack = torch.randn(4, 3, width, generator=generator, dtype=torch.float64)
    vectors = torch.randn(2, 3, width, generator=generator, dtype=torch.float64)
    weights = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(inner(stack, vectors), torch.einsum("nbd,kbd->bkn", stack, vectors))
    torch.testing.assert_close(
        inner(stack[1:3], vectors[::1]), torch.einsum("nbd,kbd->bkn", stack[1:3], vectors)
    )
    mixed = torch.einsum("nbd,bn->bd", stack, weights)
    torch.testing.assert_close(combine(stack, weights), mixed)
    torch.testing.assert_close(combine(stack, weights, vectors[0]), vectors[0] + mixed)
    out = vectors[0].clone()
    combine(stack, weights, out, out=out)
    torch.testing.assert_close(out, vectors[0] + mixed)


def test_long_float32_sums_are_accurate():
    """Regression: one float32 matrix product over three million terms is wrong in the fourth digit."""
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(1, 1, 1500 * CHUNK, generator=generator)
    exact = a.double().square().sum().item()
    assert abs(inner(a, a).item() / exact - 1) < 1e-7


@pytest.mark.parametrize("sizes", [(5, 3), (CHUNK, 0), (CHUNK, 1), (3 * CHUNK + 5, 2)])
def test_layout_goes_there_and_back_and_pads_with_zeros(sizes):
    generator = torch.Generator().manual_seed(0)
    state = tuple(torch.randn(2, size, generator=generator) for size in sizes if size)
    layout = Layout.of(state)
    flat = layout.flat(state)
    assert flat.shape[1] % CHUNK == 0 or flat.shape[1] == sum(sizes) <= CHUNK
    assert not flat[:, sum(sizes) :].any()
    torch.testing.assert_close(layout.unpack(flat), state)
    assert layout.unpack(flat)[0].data_ptr() == flat.data_ptr()  # views, not copies
