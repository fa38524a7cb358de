"""Path encodings: worked examples, independent walks, truncation."""

import itertools

import numpy as np
import pytest

from sevenfold.config import locate
from sevenfold.errors import InputError
from sevenfold.nas.encodings import ENCODINGS
from sevenfold.nas.encodings.path import (
    from_path,
    path,
    path_cat,
    path_cont,
    trunc_path,
    trunc_path_cat,
    trunc_path_cont,
)
from sevenfold.nas.spaces import SPACES
from sevenfold.nas.spaces.nb101 import NB101
from sevenfold.nas.spaces.nb101_graph import PATH_LENGTHS
from sevenfold.nas.spaces.nb201 import NB201

WORKED = [1, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 1, 2, 0, 1, 0, 1]


def test_exact_nb101_worked_cell_in_every_path_form():
    space, arch = NB101(), np.array([WORKED], np.int8)
    numbers = [2, 7, 9, 24]
    assert np.flatnonzero(path(space, arch)[0]).tolist() == numbers
    assert path_cat(space, arch)[0].tolist() == numbers + [-1] * 16
    assert path_cont(space, arch).shape == (1, 365) and path_cont(space, arch)[0, -1] == 4
    assert trunc_path(space, arch).shape == (1, 40)
    assert np.flatnonzero(trunc_path(space, arch, cutoff=13)[0]).tolist() == [2, 7, 9]
    assert trunc_path_cat(space, arch, cutoff=13)[0].tolist() == [2, 7, 9] + [-1] * 17
    assert trunc_path_cont(space, arch, cutoff=8)[0].tolist() == [0, 0, 1, 0, 0, 0, 0, 1, 2]


def test_the_direct_path_is_no_padding():
    """Regression: padding with 0 made the path without operations appear in every cell."""
    space = NB101()
    direct = space.from_strings(["0100|input,output"])
    chain = space.from_strings(["010001000|input,conv3x3-bn-relu,output"])
    assert path_cat(space, direct)[0].tolist() == [0] + [-1] * 19
    assert path_cat(space, chain)[0].tolist() == [1] + [-1] * 19


def test_exact_nb201_worked_cell():
    space = NB201()
    text = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    arch = space.from_strings([text])
    assert np.flatnonzero(path(space, arch)[0]).tolist() == [1, 7, 19, 97]
    assert np.flatnonzero(trunc_path(space, arch)[0]).tolist() == [1, 7, 19]
    assert path(space, arch).shape == (1, 155) and trunc_path(space, arch).shape == (1, 30)


def test_nb201_paths_follow_the_edges_by_their_nodes():
    """Regression: path lists of one edge order were applied to another (edges 2 and 3 exchanged)."""
    space = NB201()
    archs = space.sample(np.random.default_rng(0), 300)
    names = ["avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3", "none", "skip_connect"]
    for text, bits in zip(space.to_strings(archs), path(space, archs), strict=True):
        ops = {}
        for target, node in enumerate(text.split("+"), start=1):
            for part in node.strip("|").split("|"):
                op, source = part.split("~")
                ops[int(source), target] = names.index(op)
        expected = set()
        for way in [(0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3)]:
            codes = [ops[step] for step in itertools.pairwise(way)]
            offset = [0, 5, 30][len(codes) - 1]
            expected.add(offset + sum(5**j * code for j, code in enumerate(codes)))
        assert set(np.flatnonzero(bits).tolist()) == expected


def test_nb201_trunc_path_collapses_as_measured():
    space = NB201()
    rows = trunc_path(space, space.archs(np.arange(15625)))
    assert len(np.unique(rows, axis=0)) == 1625


def test_paths_decode_to_a_cell_that_has_them():
    space = NB101()
    bits = path(space, space.sample(np.random.default_rng(3), 300))
    assert (path(space, from_path(space, bits)) == bits).all()
    with pytest.raises(InputError, match="row 1"):
        from_path(space, np.stack([bits[0], np.ones(364, np.uint8)]))
    with pytest.raises(InputError, match="architectures of NB201"):
        from_path(NB201(), np.ones((1, 155), np.uint8))


def test_truncation_theory_few_cells_hold_long_paths():
    space = NB101()
    bits = path(space, space.sample(np.random.default_rng(1), 6000))
    assert bits[:, PATH_LENGTHS > 3].any(1).mean() == pytest.approx(0.032, abs=0.01)
    assert bits[:, PATH_LENGTHS > 2].any(1).mean() == pytest.approx(0.255, abs=0.025)


@pytest.mark.parametrize("name", [name for name in SPACES if name not in ("nlp", "typed")])
def test_truncated_forms_are_cut_from_the_whole(name):
    space = locate(SPACES[name])()
    archs = space.sample(np.random.default_rng(2), 50)
    bits = path(space, archs)
    width = bits.shape[1] // space.path_blocks
    assert (trunc_path(space, archs, cutoff=width) == bits).all()
    short = trunc_path(space, archs, cutoff=5)
    blocks = [bits[:, block * width : block * width + 5] for block in range(space.path_blocks)]
    assert (short == np.concatenate(blocks, axis=1)).all()
    assert (path_cat(space, archs) >= 0).sum(1).tolist() == bits.sum(1).tolist()
    assert (path_cont(space, archs)[:, -1] == bits.sum(1)).all()
    for cutoff in (0, width + 1):
        with pytest.raises(InputError, match=f"1..{width}"):
            trunc_path(space, archs, cutoff=cutoff)


@pytest.mark.parametrize("name", [name for name in ENCODINGS if name not in ("adj_cat", "adj_cont")])
def test_all_of_nb201_at_once_is_what_its_parts_are(name):
    space = NB201()
    archs = space.archs(np.arange(15625))
    options = {"cutoff": 5} if name.startswith("trunc_adj") else {}
    encode = locate(ENCODINGS[name])
    whole = encode(space, archs, **options)
    assert len(whole) == 15625
    for rows in np.array_split(np.random.default_rng(0).permutation(15625)[:600], 3):
        assert (encode(space, archs[rows], **options) == whole[rows]).all()
