import re
from pathlib import Path

import pytest
import torch
from torchvision.models.optical_flow import raft_large, raft_small

from sevenfold.deq.base import Stop
from sevenfold.errors import InputError
from sevenfold.flow.checkpoints import load_weights, looks_like
from sevenfold.flow.deq_flow import DEQFlow
from sevenfold.flow.network import Design
from sevenfold.flow.raft import RAFT

DATA = Path(__file__).resolve().parents[2] / "../shared/data/flow"

# From our names to the official ones, written down independently of the table under test.
OFFICIAL = [
    ("feature_encoder.", "fnet."),
    ("context_encoder.", "cnet."),
    ("motion_encoder.convcorr1.0.", "encoder.convc1."),
    ("motion_encoder.convcorr2.0.", "encoder.convc2."),
    ("motion_encoder.convflow1.0.", "encoder.convf1."),
    ("motion_encoder.convflow2.0.", "encoder.convf2."),
    ("motion_encoder.conv.0.", "encoder.conv."),
    ("attention.", "attn."),
    (".parametrizations.weight.original0", ".weight_g"),
    (".parametrizations.weight.original1", ".weight_v"),
]


def official_names(weights, version=1):
    """Write weights under the names of the official code, prefix and duplicated shortcut norms included."""
    renamed = {}
    two_units = any("convgru2" in name for name in weights)
    for name, value in weights.items():
        for ours, theirs in OFFICIAL:
            name = name.replace(ours, theirs)
        name = re.sub(r"^([fc]net)\.conv\.", r"\1.conv2.", name)
        name = re.sub(r"^([fc]net)\.convnormrelu\.0\.", r"\1.conv1.", name)
        name = re.sub(r"^([fc]net)\.convnormrelu\.1\.", r"\1.norm1.", name)
        name = re.sub(r"convnormrelu(\d)\.0\.", r"conv\1.", name)
        name = re.sub(r"convnormrelu(\d)\.1\.", r"norm\1.", name)
        name = re.sub(
            r"recurrent_block\.convgru(\d)\.conv([zrq])\.",
            lambda found: f"gru.conv{found[2]}{found[1] if two_units else ''}.",
            name,
        )
        mask = "update_block.mask" if version == 1 else "mask"
        name = name.replace("mask_predictor.convrelu.0.", f"{mask}.0.").replace(
            "mask_predictor.conv.", f"{mask}.2."
        )
        renamed[f"module.{name}"] = value
        if "downsample.1." in name:
            renamed["module." + name.replace("downsample.1.", "norm3.")] = value
    return renamed


def save(weights, folder):
    path = folder / "weights.pth"
    torch.save(weights, path)
    return path


def shaken(network):
    """Give every parameter and buffer other values than at the start."""
    torch.manual_seed(1)
    weights = network.state_dict()
    for value in weights.values():
        if value.is_floating_point():
            value.add_(0.01 * torch.rand_like(value))
    return weights


@pytest.mark.parametrize(("variant", "build"), [("small", raft_small), ("large", raft_large)])
@pytest.mark.parametrize("style", ["official", "torchvision"])
def test_raft_loads_exactly(variant, build, style, tmp_path):
    weights = shaken(build(weights=None))
    path = save(official_names(weights) if style == "official" else weights, tmp_path)
    network = RAFT(variant=variant)
    report = load_weights(network, path)
    assert report.variant == f"RAFT {variant}"
    assert style in report.style
    assert report.notes == []
    for name, value in network.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_weights_inside_a_training_checkpoint_load(tmp_path):
    weights = shaken(RAFT(variant="demo"))
    path = save(
        {"state_dict": {f"network.{name}": value for name, value in weights.items()}, "epoch": 3}, tmp_path
    )
    network = RAFT(variant="demo")
    load_weights(network, path)
    assert torch.equal(
        network.state_dict()["feature_encoder.conv.weight"], weights["feature_encoder.conv.weight"]
    )


def test_weight_norm_is_split_and_fused_without_changing_the_flow(tmp_path):
    images = torch.rand(2, 1, 3, 32, 32, dtype=torch.float64)
    plain = RAFT(variant="demo").double().eval()
    shaken(plain)
    expected = plain(*images, iterations=2).flows[0]
    normalized = RAFT(variant="demo", design=Design(h_init="context")).double().eval()
    report = load_weights(normalized, save(plain.state_dict(), tmp_path))
    assert "put under weight norm" in report.notes[0]
    torch.testing.assert_close(normalized(*images, iterations=2).flows[0], expected, rtol=0, atol=1e-6)
    for value in normalized.state_dict().values():
        value.mul_(1.01)  # magnitudes that no longer equal the norms
    expected = normalized(*images, iterations=2).flows[0]
    report = load_weights(plain, save(official_names(normalized.state_dict()), tmp_path))
    assert "fused" in report.notes[0]
    torch.testing.assert_close(plain(*images, iterations=2).flows[0], expected, rtol=0, atol=1e-6)


def test_rafts_hidden_start_is_dropped_where_the_network_starts_at_zeros(tmp_path):
    weights = shaken(RAFT(variant="demo"))
    network = RAFT(variant="demo", design=Design(norm="none"))
    report = load_weights(network, save(weights, tmp_path))
    assert "dropped the first 32 context outputs" in report.notes[0]
    assert torch.equal(network.context_encoder.conv.weight, weights["context_encoder.conv.weight"][32:])
    with pytest.raises(InputError, match="context_encoder.conv.weight is \\(32.*where \\(64"):
        load_weights(RAFT(variant="demo"), save(network.state_dict(), tmp_path))


def outputs(network):
    """The flow of a fixed pair after two steps, in float64."""
    images = torch.rand(2, 1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return network.double().eval()(*images, iterations=2).flows[0]


@pytest.mark.parametrize("gma", [False, True])
def test_check_09_official_names_of_both_versions_and_torchvisions_give_one_flow(gma, tmp_path):
    def tiny():
        return DEQFlow(variant="tiny", design=Design(gma=gma), stop=Stop(mode="rel", tol=0.0)).double()

    network = tiny()
    weights = shaken(network)
    expected = outputs(network)
    fused = {name: value for name, value in weights.items() if "parametrizations" not in name}
    for name, value in weights.items():
        if name.endswith("original1"):
            g = weights[name.replace("original1", "original0")]
            norm = value.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            fused[name.replace("parametrizations.weight.original1", "weight")] = g * value / norm
    for names, style in (
        (official_names(weights, version=1), "v1"),
        (official_names(weights, version=2), "v2"),
        (fused, "torchvision"),
    ):
        found = tiny()
        report = load_weights(found, save(names, tmp_path))
        assert style in report.style
        assert report.variant.startswith("DEQ-Flow tiny, gma" if gma else "DEQ-Flow tiny")
        torch.testing.assert_close(outputs(found), expected, rtol=0, atol=1e-6)


def test_official_rafts_weights_start_an_equilibrium_network(tmp_path):
    weights = raft_large(weights=None).state_dict()
    network = DEQFlow(variant="B")
    report = load_weights(network, save(official_names(weights), tmp_path))
    assert report.variant == "RAFT large"
    assert len(report.notes) == 2
    gate = "update_block.recurrent_block.convgru2.convq"
    torch.testing.assert_close(network.get_submodule(gate).weight, weights[f"{gate}.weight"])
    torch.testing.assert_close(network.context_encoder.conv.bias, weights["context_encoder.conv.bias"][128:])


def test_check_09_version_1_heads_are_recognized(tmp_path):
    weights = official_names(DEQFlow(variant="L_v1").state_dict())
    with pytest.raises(InputError, match="look like DEQ-Flow L_v1.*this network .DEQ-Flow L, weight norm"):
        load_weights(DEQFlow(variant="L"), save(weights, tmp_path))


def test_check_09_the_wrong_variant_is_named_with_every_difference(tmp_path):
    path = save(official_names(raft_large(weights=None).state_dict()), tmp_path)
    with pytest.raises(InputError) as caught:
        load_weights(RAFT(variant="small"), path)
    message = str(caught.value)
    assert "look like RAFT large" in message
    assert "this network (RAFT small)" in message
    assert "unexpected" in message
    assert "mask_predictor.conv.weight" in message
    assert "missing" in message
    assert "feature_encoder.conv.weight is (256, 128, 1, 1) where (128, 96, 1, 1) is wanted" in message
    assert "\n" not in message


def test_one_missing_and_one_unknown_key_are_named(tmp_path):
    weights = official_names(raft_small(weights=None).state_dict())
    weights["module.update_block.surprise.bias"] = weights.pop("module.fnet.conv2.bias")
    with pytest.raises(
        ValueError, match="missing feature_encoder.conv.bias; unexpected update_block.surprise.bias$"
    ):
        load_weights(RAFT(variant="small"), save(weights, tmp_path))


def test_a_failed_load_leaves_the_network_alone(tmp_path):
    network = RAFT(variant="demo")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(InputError, match="do not fit"):
        load_weights(network, save(raft_small(weights=None).state_dict(), tmp_path))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_missing_file_and_a_file_without_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match="nowhere.pth. does not exist"):
        load_weights(RAFT(variant="demo"), tmp_path / "nowhere.pth")
    with pytest.raises(InputError, match="holds a list, not a checkpoint"):
        load_weights(RAFT(variant="demo"), save([1, 2], tmp_path))
    with pytest.raises(InputError, match="holds no state dict"):
        load_weights(RAFT(variant="demo"), save({"a": 1}, tmp_path))


def test_unknown_weights_are_described():
    assert looks_like({}).startswith("no published variant")


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared flow data are absent")
def test_the_official_small_file_loads():
    report = load_weights(RAFT(variant="small"), DATA / "checkpoints/raft-small.pth")
    assert report.variant == "RAFT small"
    assert report.notes == []
