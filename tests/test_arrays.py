"""Conversions of inputs: NumPy, pandas, lists and torch give the same tensors; mistakes are one line."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from sevenfold.arrays import groups, images, labels, rows, tensor
from sevenfold.errors import InputError
from sevenfold.nas.spaces.cells import as_cells, cells_of
from sevenfold.nas.spaces.darts import DARTS
from sevenfold.nas.spaces.nb101 import NB101
from sevenfold.nas.spaces.nb201 import NB201

GRID = np.arange(12).reshape(4, 3)


@pytest.mark.parametrize(
    "values",
    [
        GRID, GRID.astype(np.float64), GRID.astype(np.float16), GRID.astype(">i4"), GRID.astype(np.uint16),
        GRID.astype(np.longdouble), GRID.tolist(), [tuple(row) for row in GRID], pd.DataFrame(GRID),
        pd.DataFrame(GRID, columns=list("abc")).astype({"a": float, "b": "int8"}), torch.from_numpy(GRID),
        [torch.tensor(row) for row in GRID], torch.from_numpy(GRID).double(), GRID[::-1][::-1],
        np.asfortranarray(GRID), [pd.Series(row) for row in GRID],
    ],
)  # fmt: skip
def test_rows_of_any_kind_are_float32(values: Any) -> None:
    found = rows(values)
    assert found.dtype == torch.float32 and torch.equal(found, torch.from_numpy(GRID).float())


def test_a_read_only_array_is_copied() -> None:
    array = GRID.astype(np.float64)
    array.flags.writeable = False
    found = tensor(array, "x")
    found += 1
    assert array[0, 0] == 0 and found.dtype == torch.float64


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[1, 2], [3]], "rows: expected numbers in a regular array"),
        ([["a", "b"]], "rows: expected numbers, got values of type"),
        (pd.DataFrame({"age": [1, 2], "sex": ["f", "m"]}), r"\(columns sex\)"),
        ([[1, None]], "rows: expected numbers, got values of type object"),
        ([[1.0, np.nan], [np.inf, 0]], r"2 values are not finite .*, the first at \(0, 1\)"),
        (np.zeros((2, 2, 2)), r"expected rows of shape \(n, features\), got shape \(2, 2, 2\)"),
        (torch.zeros(2, 2, dtype=torch.complex64), "expected a dense tensor of real numbers"),
        ([torch.zeros(2), torch.zeros(3)], "a list of tensors of different shapes"),
        (3, r"got shape \(\)"),
        (None, "expected numbers, got values of type object"),
        (np.array(["2024-01-01"], "datetime64[D]"), "expected numbers, got values of type datetime64"),
    ],
)
def test_what_are_no_rows_is_one_line(values: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        rows(values)
    assert "\n" not in str(caught.value)


def test_one_row_or_one_column_may_be_flat() -> None:
    assert rows([1, 2, 3], features=3).shape == (1, 3)
    assert rows([1, 2, 3], features=1).shape == (3, 1)
    with pytest.raises(InputError, match=r"expected rows of shape \(n, 4\), got shape \(3,\)"):
        rows([1, 2, 3], features=4)


BYTES = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)
WANTED = torch.from_numpy(BYTES).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize(
    "values",
    [
        BYTES, BYTES.astype(np.int64), BYTES / 255, torch.from_numpy(BYTES), list(BYTES), WANTED,
        WANTED.double(),
        BYTES.transpose(0, 3, 1, 2), (BYTES / 255).transpose(0, 3, 1, 2).astype(np.float32),
        [Image.fromarray(picture) for picture in BYTES],
    ],
)  # fmt: skip
def test_pictures_of_any_kind_are_channels_first_in_zero_to_one(values: Any) -> None:
    torch.testing.assert_close(images(values), WANTED)


def test_one_picture_is_a_batch_of_one() -> None:
    assert images(BYTES[0]).shape == images(WANTED[0]).shape == (1, 3, 5, 7)
    assert images(Image.fromarray(BYTES[0])).shape == (1, 3, 5, 7)
    assert images(np.zeros((8, 8, 1), np.uint8), channels=1).shape == (1, 1, 8, 8)


def test_channels_on_both_ends_are_first_for_floats_and_last_for_bytes() -> None:
    floats = torch.rand(3, 9, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(images(floats)[0], floats)
    assert images(np.zeros((3, 9, 3), np.uint8)).shape == (1, 3, 3, 9)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (BYTES.astype(float), "floats must lie in .0, 1., got .* divide by 255, or give bytes"),
        (2 * WANTED - 1, "floats must lie in .0, 1., got .* bring them to .0, 1."),
        (BYTES.astype(int) + 1, "integers must lie in 0..255"),
        ((WANTED > 0.5).int(), "integers that are only 0 and 1"),
        (BYTES[..., :2], "expected 3 channels, .* got shape .2, 5, 7, 2."),
        (BYTES[0, :, :, 0], r"expected 3 channels, .* got shape \(5, 7\)"),
        (BYTES[None], "expected 3 channels"),
    ],
)
def test_what_are_no_pictures_is_one_line(values: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        images(values, "image1")
    assert str(caught.value).startswith("image1: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [[0, 1, 1], [0.0, 1.0, 1.0], [False, True, True], pd.Series([0, 1, 1])])
def test_labels_and_groups_are_zero_and_one(values: Any) -> None:
    assert labels(values, "y").tolist() == groups(values).tolist() == [0, 1, 1]


def test_groups_have_names_where_one_is_privileged() -> None:
    for values in (
        ["f", "m"],
        pd.Series(["f", "m"]),
        pd.Series(["f", "m"]).astype("category"),
        np.array(["f", "m"]),
    ):
        assert groups(values, privileged="m").tolist() == [0, 1]
    for wrong in (None, "x"):
        with pytest.raises(InputError, match="groups by name need privileged=... , one of: f, m; got"):
            groups(["f", "m"], privileged=wrong)
    with pytest.raises(InputError, match="y: expected 0 and 1, got .-1.0, 1.0"):
        labels([-1.0, 1.0], "y")


@pytest.mark.parametrize("space", [NB201(), NB101(), DARTS()], ids=lambda space: type(space).__name__)
def test_cells_are_rows_or_strings(space: Any) -> None:
    archs = space.sample(np.random.default_rng(0), 5)
    texts = space.to_strings(archs)
    kinds = [archs, archs.tolist(), torch.from_numpy(archs), pd.DataFrame(archs), archs.astype(float)]
    for values in kinds:
        assert np.array_equal(as_cells(space, values), archs)
    for values in (texts, tuple(texts), pd.Series(texts), np.array(texts)):
        assert space.to_strings(as_cells(space, values)) == texts
    assert as_cells(space, texts[0]).shape == as_cells(space, archs[0]).shape == (1, space.width)


def test_cells_are_found_in_batches() -> None:
    for batch in ("abc", ["a", "b"], GRID):
        assert cells_of(batch) is batch
    assert cells_of((GRID, 3)) is cells_of([GRID]) is cells_of({"archs": GRID, "targets": 3}) is GRID
    with pytest.raises(InputError, match="a batch of cells needs 'archs', got .'cells'."):
        cells_of({"cells": GRID})
