"""The zoo: every card is whole, every file opens, what is damaged or unknown is one line."""

import dataclasses
import importlib.util
from pathlib import Path

import pytest
import torch

import sevenfold
from sevenfold import zoo
from sevenfold.errors import InputError
from sevenfold.main import main
from sevenfold.zoo import pack


def available(name: str) -> bool:
    return not zoo.card(name).extra or importlib.util.find_spec("diffusers") is not None


@pytest.mark.parametrize("name", zoo.names())
def test_a_card_says_everything_and_its_file_is_that_of_the_checksum(name: str) -> None:
    card = zoo.card(name)
    for field in ("line", "licence", "trained_on", "command", "seeds", "figures", "limits"):
        assert getattr(card, field), field
    assert card.kind in ("module", "benchmark", "extrapolator") and "python train.py" in card.command
    if card.file and not card.url:
        assert zoo.weights(card).stat().st_size < 8_000_000


@pytest.mark.parametrize("name", zoo.names())
def test_everything_published_loads_by_name(name: str) -> None:
    if not available(name):
        pytest.skip(f"needs the extra {zoo.card(name).extra}")
    loaded = sevenfold.load(name)
    if zoo.card(name).kind == "module":
        assert not loaded.training and loaded.config["model"]["name"]
        assert all(p.isfinite().all() for p in loaded.parameters())


def test_the_flow_estimator_of_the_demo_beats_zero_flow_on_unseen_pairs() -> None:
    from datamodules.flow.synthetic import SyntheticFlow

    data = SyntheticFlow(evaluation=dataclasses.replace(SyntheticFlow().evaluation, test_pairs=6, size=128))
    data.setup("test")
    (loader,) = (
        [data.test_dataloader()] if not isinstance(data.test_dataloader(), list) else data.test_dataloader()
    )
    flow, ours, zero = sevenfold.load("flow/demo"), 0.0, 0.0
    for batch in loader:
        mask, target = batch["valid"].bool(), batch["flow"]
        error = torch.linalg.vector_norm(flow.estimate(batch["image1"], batch["image2"]) - target, dim=1)
        ours += float(error[mask].mean())
        zero += float(torch.linalg.vector_norm(target, dim=1)[mask].mean())
    assert ours < 0.8 * zero  # recorded: 0.42 over 16 pairs


def test_a_checkpoint_is_the_same_after_packing(tmp_path: Path) -> None:
    content = {
        "model": "flow",
        "hyper_parameters": {"network": {"widths": [8, 16]}, "rate": 0.5, "none": None},
        "state_dict": {"a.weight": torch.randn(3, 2), "b": torch.tensor(4)},
        "nested": [{"table": torch.arange(3.0, dtype=torch.float64)}, "text", True],
        "optimizer_states": [torch.zeros(9)],
        "config": {"model": {"name": "flow"}, "output_dir": "/somewhere", "seed": 3},
    }
    pack.write(content, tmp_path / "packed.safetensors")
    back = pack.read(tmp_path / "packed.safetensors")
    assert set(back) == set(content) - {"optimizer_states"}
    assert back["config"] == {"model": {"name": "flow"}, "seed": 3}, "where a run wrote is nobody's business"
    assert back["hyper_parameters"] == content["hyper_parameters"] and back["nested"][1:] == ["text", True]
    torch.testing.assert_close(back["state_dict"], content["state_dict"], rtol=0, atol=0)
    assert back["nested"][0]["table"].equal(content["nested"][0]["table"])


def test_what_cannot_be_published_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a set in a checkpoint cannot be published"):
        pack.write({"state_dict": {}, "odd": {1, 2}}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="a dict in a checkpoint cannot be published"):
        pack.write({"state_dict": {}, "odd": {1: 2}}, tmp_path / "x.safetensors")
    assert pack.main([str(tmp_path / "absent.ckpt"), str(tmp_path / "x.safetensors")]) == 2


def test_damaged_missing_and_unknown_names_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = zoo.card("flow/demo")
    with pytest.raises(InputError, match="'flow/dem' is not in the zoo. Did you mean 'flow/demo'"):
        zoo.card("flow/dem")
    with pytest.raises(InputError, match="is damaged: its sha256"):
        zoo.weights(dataclasses.replace(card, sha256="0" * 64))
    with pytest.raises(InputError, match="install the package again"):
        zoo.weights(dataclasses.replace(card, file="absent.safetensors"))
    monkeypatch.setattr(zoo, "CACHE", tmp_path)
    with pytest.raises(InputError, match="download https://example.org/large to"):
        zoo.weights(dataclasses.replace(card, url="https://example.org/large"))
    (tmp_path / "demo.safetensors").write_bytes(zoo.weights(card).read_bytes())
    assert zoo.weights(dataclasses.replace(card, url="https://example.org/large")).parent == tmp_path
    with pytest.raises(InputError, match="flow/demo"):
        sevenfold.load("flow/dem")


def test_the_command_line_lists_and_describes_the_zoo(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "zoo"]) == 0 and "flow/demo" in capsys.readouterr().out
    assert main(["describe", "zoo=flow/demo"]) == 0 and "licence: MIT" in capsys.readouterr().out
    assert main(["describe", "zoo=flow/dem"]) == 2 and "Did you mean 'flow/demo'" in capsys.readouterr().err
