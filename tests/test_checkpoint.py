"""Checkpoints from elsewhere: foreign, stripped and damaged files are explained in one line."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sevenfold.checkpoint import RESUMABLE, read_checkpoint, state_of, stored_config
from sevenfold.errors import InputError

WHOLE = {**dict.fromkeys(RESUMABLE, {}), "pytorch-lightning_version": "2.6.0"}


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list, not a checkpoint"),
        (torch.zeros(3), "holds a Tensor, not a checkpoint"),
        (torch.nn.Linear(2, 2), "is no readable checkpoint"),
    ],
)
def test_a_file_of_something_else_is_no_checkpoint(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_checkpoint(saved(tmp_path / "x.ckpt", content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("config", [None, 3, ["model"], {1: 2}])
def test_a_configuration_in_a_checkpoint_is_a_mapping_of_names(tmp_path: Path, config: Any) -> None:
    with pytest.raises(InputError, match="holds no configuration"):
        stored_config(saved(tmp_path / "x.ckpt", {"state_dict": {}, "config": config}))


@pytest.mark.parametrize("state", [None, 3, [torch.zeros(1)], {0: torch.zeros(1)}])
def test_weights_are_a_mapping_of_names(state: Any) -> None:
    with pytest.raises(InputError, match="holds no weights by name"):
        state_of({"state_dict": state}, "x.ckpt")


@pytest.mark.parametrize("missing", [key for key in RESUMABLE if key != "state_dict"])
def test_a_stripped_checkpoint_serves_evaluation_but_not_resumption(missing: str) -> None:
    content = {key: value for key, value in WHOLE.items() if key != missing}
    assert state_of(content, "x.ckpt") == {}
    with pytest.raises(InputError, match=f"cannot be resumed: it lacks {missing} "):
        state_of(content, "x.ckpt", resume=True)


def test_any_damage_is_an_input_error(tmp_path: Path) -> None:
    """Seeded: flipped, cut and inserted bytes either load or say that the file is not readable."""
    path = saved(tmp_path / "x.ckpt", {"state_dict": {"w": torch.arange(8.0)}, "config": {"name": "a"}})
    whole, generator = path.read_bytes(), torch.Generator().manual_seed(0)
    for _ in range(150):
        damaged = bytearray(whole)
        places = torch.randint(len(whole), (3,), generator=generator).tolist()
        for place in places:
            damaged[place] = int(torch.randint(256, (), generator=generator))
        path.write_bytes(damaged[: places[0]] if places[0] % 3 == 0 else damaged)
        try:
            read_checkpoint(path)
        except InputError as error:
            assert "\n" not in str(error)
