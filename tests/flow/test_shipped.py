import json

import pytest
import torch
from real_pairs import needs_data, pair

from sevenfold.errors import InputError
from sevenfold.files import file_hash
from sevenfold.flow import load
from sevenfold.flow.shipped import FOLDER, SHIPPED, default_calibration, load_shipped
from sevenfold.flow.shipping import install, pairs_seen
from sevenfold.flow.sparsification import ause, rank_correlation

PRESENT = [name for name in SHIPPED if (FOLDER / f"{name}.pt").is_file()]


@pytest.mark.parametrize("name", PRESENT)
def test_weights_are_those_of_their_card(name):
    file = FOLDER / f"{name}.pt"
    card = json.loads((FOLDER / f"{name}.json").read_text())
    assert file.stat().st_size <= 4_000_000 and file_hash(file) == card["sha256"]
    state = torch.load(file, weights_only=True)
    assert all(value.dtype == torch.float16 and value.isfinite().all() for value in state.values())
    assert "no photograph" in card["trained_on"] and "MIT" in card["licence"]
    network, known = load_shipped(name)
    assert known.steps == card["steps"] and next(network.parameters()).dtype == torch.float32


@pytest.mark.skipif(not PRESENT, reason="no weights in this copy")
def test_flat_pictures_and_equal_pictures():
    """Equal flat pictures show nothing, equal textured ones that nothing moves."""
    flat = torch.full((3, 64, 96), 0.5)
    texture = torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(0))
    estimator = load()
    assert estimator(texture, texture).speed.mean() < 1.0
    assert estimator(flat, flat).flow.isfinite().all()


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    if not PRESENT:
        pytest.skip("no weights in this copy")
    monkeypatch.setattr("sevenfold.flow.shipped.FOLDER", tmp_path)
    for suffix in ("pt", "json"):
        content = bytearray((FOLDER / f"scenes.{suffix}").read_bytes())
        if suffix == "pt":
            content[len(content) // 2] ^= 1
        (tmp_path / f"scenes.{suffix}").write_bytes(bytes(content))
    with pytest.raises(InputError, match="damaged: its hash"):
        load_shipped("scenes")
    (tmp_path / "scenes.pt").unlink()
    with pytest.raises(InputError, match="not in this copy.*configs/flow/ship.yaml"):
        load_shipped("scenes")


def test_only_a_finished_schedule_is_installed(tmp_path):
    (tmp_path / "results.json").write_text('{"status": "interrupted"}')
    with pytest.raises(InputError, match="has not ended"):
        install(tmp_path, "scenes", folder=tmp_path)
    assert not list(tmp_path.glob("*.pt"))


def test_pairs_of_a_schedule():
    phases = [{"share": 0.3, "batch_size": 4}, {"share": 0.7, "batch_size": 1}]
    assert pairs_seen({"data": {"phases": phases}, "trainer": {"max_steps": 100}}) == 30 * 4 + 70


def test_the_default_calibration_has_every_combination():
    rows = default_calibration().rows
    assert set(rows) == {"consistency+step+photo", "step+photo", "step"}


@needs_data
@pytest.mark.slow
@pytest.mark.skipif(not PRESENT, reason="no weights in this copy")
def test_confidence_of_the_shipped_model_on_real_pairs():
    areas, ranks, right = [], [], []
    for name in ("rubberwhale", "venus", "chairs0", "chairs1", "clean/alley_1", "clean/cave_2"):
        first, second, flow, valid = pair(name)
        result = load()(first, second)
        error = (result.flow - flow).norm(dim=0)[valid]
        expected = result.expected_error[valid]
        areas.append(ause(error, expected))
        ranks.append(rank_correlation(error, expected))
        right.append((error < 1)[expected < 0.5])
        print(name, float(error.mean()), areas[-1], ranks[-1])
    assert sum(areas) / 6 <= 0.25 and sum(ranks) / 6 >= 0.40
    assert torch.cat(right).double().mean() >= 0.90
