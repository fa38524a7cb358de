"""Networks of other code by configuration: exported, scripted, from a file, a package or a folder."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sevenfold import allow
from sevenfold.config import ConfigError, build, prepare
from sevenfold.diffreps import PRIORS
from sevenfold.diffreps.guidance import Guidance
from sevenfold.diffreps.methods.reference import Reference
from sevenfold.diffreps.networks.called import Call
from sevenfold.diffreps.priors.base import Condition, Prior
from sevenfold.diffreps.representations.pixels import Pixels
from sevenfold.diffreps.run import run
from sevenfold.diffreps.sampling_task import make_task
from sevenfold.diffreps.view_noise import Pool
from sevenfold.errors import InputError

CODE = Path(__file__).parents[1] / "own_code/tiny_dit.py"
SHAPE = {"shape": [1, 8, 8], "data_range": [-1.0, 1.0], "classes": 3}
ORDER = {"named": {"sample": "x", "timestep": "time", "class_labels": "label"}}
allow("tiny_dit")


def transformer(**options: Any) -> nn.Module:
    spec = importlib.util.spec_from_file_location("tiny_dit", CODE)
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return module.TinyDiT(**options).eval()


def prior_of(network: dict[str, Any], **options: Any) -> Prior:
    return build(PRIORS, {"name": "network", "network": network, **SHAPE, "call": ORDER, **options}, "prior")


def samples(prior: Prior, weight: float = 1.0) -> Tensor:
    pixels = Pixels(size=8, channels=1)
    task = make_task(pixels, prior, Pool(), seeds=[0, 1], labels=[0, 2])
    method = Reference(
        schedule={"name": "table", "levels": 4}, guidance=Guidance(weight=weight), order="euler"
    )
    return run(method, task).images


def saved(folder: Path, **options: Any) -> tuple[nn.Module, str]:
    """A network and its weights, in a checkpoint as others save it: under a key, with a prefix."""
    network = transformer(**options)
    state = {f"net.{name}": value for name, value in network.state_dict().items()}
    torch.save({"ema": {"model": {**state, "step": torch.tensor(3)}}}, folder / "weights.pt")
    return network, str(folder / "weights.pt")


@pytest.mark.slow  # exporting imports a compiler
def test_an_exported_program_and_a_file_with_weights_give_the_same_samples(tmp_path: Path) -> None:
    network, weights = saved(tmp_path)
    example = torch.zeros(3, 1, 8, 8), torch.zeros(3).long(), torch.zeros(3)
    batch = torch.export.Dim("batch")
    program = torch.export.export(network, example, dynamic_shapes=({0: batch}, {0: batch}, {0: batch}))
    torch.export.save(program, tmp_path / "net.pt2")
    by_file = {"name": "file", "path": str(CODE), "class_name": "TinyDiT"}
    place = {"weights": weights, "key": "ema.model", "prefix": "net."}
    program_node = {"name": "exported", "path": str(tmp_path / "net.pt2")}
    # a program has the arguments of its example, by place
    by_place = {"order": ["x", "label", "time"]}
    place["prediction"] = "x0"  # images, not noise times sigma, so that the bound is one of rounding
    one = samples(prior_of(program_node, null_label=3, call=by_place, prediction="x0"), 3.0)
    two = samples(prior_of(by_file, null_label=3, **place), 3.0)
    assert float((one - two).abs().max() / one.abs().max()) < 1e-6
    assert not torch.allclose(one, samples(prior_of(by_file, null_label=2, **place), 3.0), atol=1e-3)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_scripted_program_is_called_by_place(tmp_path: Path) -> None:
    network = transformer()
    traced = torch.jit.trace(network, (torch.zeros(2, 1, 8, 8), torch.zeros(2).long(), torch.zeros(2)))
    torch.jit.save(traced, tmp_path / "net.pt")
    prior = prior_of(
        {"name": "scripted", "path": str(tmp_path / "net.pt")}, null_label=3,
        call={"order": ["x", "label", "time"]},
    )  # fmt: skip
    x, sigma = torch.ones(2, 1, 8, 8), torch.full((2,), float(prior.sigma_min))
    expected = x - sigma[0] * network(x / (1 + sigma[0] ** 2) ** 0.5, torch.tensor([0, 3]), torch.zeros(2))
    value = prior.denoise(x, sigma, Condition(torch.tensor([0, -1])))
    assert torch.allclose(value, expected, atol=1e-5)


@pytest.mark.parametrize("wrap", ["", "tuple", "dict", "object"])
def test_outputs_of_every_kind_are_read(wrap: str, tmp_path: Path) -> None:
    _, weights = saved(tmp_path, learned=True)
    node = {"name": "file", "path": str(CODE), "class_name": "TinyDiT"}
    prior = prior_of(
        {**node, "args": {"learned": True, "wrap": wrap}}, weights=weights, key="ema.model", prefix="net."
    )
    x, condition = torch.ones(2, 1, 8, 8), Condition(torch.tensor([1, 2]))
    network = transformer(learned=True)
    noise = network(x / 2**0.5, condition.labels, torch.tensor([259.0, 259.0]))[:, :1]
    sigma = prior.noise_table.sigmas()[259]  # type: ignore[union-attr]
    value = prior.at(x * 0, x, sigma.expand(2), condition)
    a = (1 + sigma**2).rsqrt()
    expected_output = network((sigma * a).float() * x, condition.labels, torch.tensor([259.0, 259.0]))[:, :1]
    assert torch.allclose(value, (sigma * (x - expected_output)).float(), atol=1e-5)
    assert not torch.allclose(noise, expected_output)


def test_without_a_null_class_guidance_and_free_samples_are_refused(tmp_path: Path) -> None:
    _, weights = saved(tmp_path)
    node = {"name": "file", "path": str(CODE), "class_name": "TinyDiT"}
    prior = prior_of(node, weights=weights, key="ema.model", prefix="net.")
    with pytest.raises(ConfigError, match="guidance.weight: 3 needs images without a class"):
        samples(prior, 3.0)
    task = make_task(Pixels(size=8, channels=1), prior, Pool(), seeds=[0])
    with pytest.raises(ConfigError, match="conditions: the prior knows no images without a class"):
        run(Reference(schedule={"name": "table", "levels": 4}), task)
    assert samples(prior).isfinite().all()


def test_wrong_weights_name_the_nearest(tmp_path: Path) -> None:
    network, weights = saved(tmp_path)
    node = {"name": "file", "path": str(CODE), "class_name": "TinyDiT"}
    place = {"weights": weights, "key": "ema.model"}
    for options, words in (
        ({}, "weights: are required"),
        ({"weights": "nowhere.pt"}, "weights 'nowhere.pt' do not exist"),
        ({**place, "key": "ema.mdel"}, "has no 'ema.mdel'; at 'mdel' it has model"),
        ({**place, "prefix": "nte."}, r"no tensors named 'nte\.+'; the first are net\.places"),
        (place, "missing, such as places; [0-9]+ are of no use, such as net.places"),
        ({**place, "prefix": "net.", "network": {**node, "args": {"width": 32}}}, r"places is \(1, 16, 16\)"),
        ({**place, "prefix": "net.", "shape": [1, 16, 16]}, "cannot be called with two images"),
        ({**place, "prefix": "net.", "shape": [3, 8, 8]}, "cannot be called with two images"),
        ({**place, "prefix": "net.", "call": {"output": "mean"}}, "cannot be called"),
        (
            {**place, "prefix": "net.", "call": {**ORDER, "output": "mean"}},
            "returned Tensor without a tensor",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            prior_of(options.pop("network", node), **options)


def test_code_needs_permission(tmp_path: Path) -> None:
    (path := tmp_path / "not_allowed.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ConfigError, match="say --allow not_allowed to trust it"):
        prior_of({"name": "file", "path": str(path), "class_name": "Net"}, weights="w.pt")
    with pytest.raises(ConfigError, match="'Tiny' is none of TinyDiT"):
        prior_of({"name": "file", "path": str(CODE), "class_name": "Tiny"}, weights="w.pt")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"order": ["x", "when"]}, "'when' is none of x, time and label"),
        ({"order": ["x"]}, "needs x and time"),
        ({"order": ["x", "time"], "named": {"t": "time"}}, "names a part twice"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(call: dict[str, Any], words: str) -> None:
    node = {"name": "network", "network": {"name": "mnist_unet"}, "call": call}
    with pytest.raises(ConfigError, match=f"prior.call.order: .*{words}"):
        prepare(PRIORS, node, "prior")


def test_whole_times_are_given_as_such() -> None:
    class Looks(nn.Module):
        def forward(self, x: Tensor, time: Tensor) -> Tensor:
            assert time.dtype == torch.long
            return x

    from sevenfold.diffreps.networks.called import Called

    called = Called(Looks(), Call(times="int"), channels=1, classes=0)
    x = torch.zeros(2, 1, 4, 4)
    assert torch.equal(called(x, torch.tensor([1.0, 2.0]), torch.tensor([-1, -1])), x)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_folder_of_diffusers_is_a_network(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers", reason="needs the extra diffrep")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = diffusers.UNet2DModel(
            sample_size=8, in_channels=1, out_channels=1, block_out_channels=(8, 8), layers_per_block=1,
            norm_num_groups=4, down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
        )  # fmt: skip
    unet.save_pretrained(tmp_path)
    node = {"name": "diffusers", "path": str(tmp_path)}
    prior = prior_of(node, classes=0, call={}, prediction="v")
    x, sigma = torch.ones(2, 1, 8, 8), prior.noise_table.sigmas()[500]  # type: ignore[union-attr]
    a = (1 + sigma**2).rsqrt()
    with torch.no_grad():
        output = unet((a * x).float(), torch.tensor([500, 500])).sample
    value = prior.denoise(x, sigma.expand(2), Condition(torch.tensor([-1, -1])))
    assert torch.allclose(value, (a * (a * x) - sigma * a * output).float(), atol=1e-5)
    (tmp_path / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    with pytest.raises(InputError, match="holds a AutoencoderKL"):
        prior_of(node, classes=0, call={})
