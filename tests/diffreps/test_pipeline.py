"""Text-to-image pipelines as priors: a tiny random one, saved by diffusers and loaded from disk."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sevenfold.config import ConfigError, build
from sevenfold.diffreps import PRIORS, REPRESENTATIONS, SOLVERS, VIEW_NOISES
from sevenfold.diffreps.guidance import Guidance
from sevenfold.diffreps.methods.pullback import Pullback
from sevenfold.diffreps.methods.reference import Reference
from sevenfold.diffreps.priors.base import Condition
from sevenfold.diffreps.priors.pipeline import PipelinePrior, load
from sevenfold.diffreps.representations.autoencoded import Autoencoded
from sevenfold.diffreps.representations.pixels import Pixels
from sevenfold.diffreps.run import run
from sevenfold.diffreps.sampling_task import Task, make_task
from sevenfold.diffreps.view_noise import Pool
from sevenfold.errors import InputError

pytest.importorskip("diffusers", reason="needs the extra sd (diffusers)")
pytest.importorskip("transformers", reason="needs the extra sd (transformers)")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
TRAILING = {"name": "trailing", "levels": 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    from sevenfold.diffreps.tiny_pipeline import write

    path = tmp_path_factory.mktemp("tiny")
    write(path)
    return str(path)


def prior_of(folder: str, **options: Any) -> PipelinePrior:
    node = {"name": "diffusers_pipeline", "path": folder, "prompts": ["a red cube"], "negative": "gray"}
    return build(PRIORS, {**node, **options}, "prior")


def autoencoded(folder: str, mode: str, size: int, channels: int) -> Autoencoded:
    inner = {"name": "siren", "size": size, "channels": channels, "width": 8}
    return build(REPRESENTATIONS, {"name": "autoencoded", "path": folder, "mode": mode, "inner": inner}, "r")


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("weight", [1.0, 7.5])
def test_the_adapter_equals_the_pipelines_ddim(tmp_path: Path, prediction: str, weight: float) -> None:
    from sevenfold.diffreps.tiny_pipeline import write

    write(tmp_path, prediction=prediction)
    prior = prior_of(str(tmp_path))
    task = make_task(Pixels(size=8, channels=4), prior, Pool(), seeds=[3], labels=[0])
    method = Reference(schedule=TRAILING, guidance=Guidance(weight=weight), order="euler")
    images = run(method, task).images[:, 0]

    sigma = method.plan(prior)[0].sigma
    e = task.noise.start(task.streams("noise"))["views"][:, 0]
    pipeline = load(str(tmp_path), torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        "a red cube", negative_prompt="gray", num_inference_steps=5, guidance_scale=weight, eta=0.0,
        latents=e * sigma / (1 + sigma**2) ** 0.5, output_type="latent",
    ).images  # fmt: skip
    torch.testing.assert_close(images, theirs, atol=1e-4, rtol=1e-4)


def test_rescaled_tables_are_honoured_and_need_a_prediction_that_can_be_read(tmp_path: Path) -> None:
    import diffusers

    from sevenfold.diffreps.priors.pipeline import training_of
    from sevenfold.diffreps.tiny_pipeline import write

    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", rescale_betas_zero_snr=True,
        prediction_type="v_prediction",
    )  # fmt: skip
    table, prediction = training_of(scheduler)
    assert prediction == "v"
    assert torch.allclose(table.alphas_bar().float(), scheduler.alphas_cumprod, atol=1e-5)
    write(tmp_path)
    config = tmp_path / "scheduler/scheduler_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "rescale_betas_zero_snr": True}))
    with pytest.raises(InputError, match="eps cannot be read at zero signal"):
        prior_of(str(tmp_path))


def test_text_encoders_are_released_after_embedding_the_prompts(folder: str) -> None:
    prior = prior_of(folder, by_view=True)
    assert prior.tokens.shape[:2] == (2, 4)  # prompt and negative one, four ways of looking
    names = [name for name, _ in prior.named_modules()]
    assert not any("text" in name.split(".")[0] for name in names)


def test_prompts_depend_on_the_view(folder: str) -> None:
    prior = prior_of(folder, by_view=True)
    azimuths = torch.tensor([0.0, 0.7, 1.6, 3.1, -3.0, -1.6, -0.7, 0.0])
    elevations = torch.tensor([0.0, 0, 0, 0, 0, 0, 0, 1.3])
    condition = Condition(torch.zeros(8).long(), torch.stack([azimuths, elevations], 1))
    assert prior._ways(condition, 8).tolist() == [0, 0, 1, 2, 2, 1, 0, 3]
    z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).expand(8, -1, -1, -1)
    images = prior.denoise(z, torch.full((8,), 2.0), condition)
    assert not torch.allclose(images[0], images[3], atol=1e-4) and torch.allclose(
        images[0], images[1], atol=1e-5
    )


def test_a_batch_is_evaluated_in_parts(folder: str) -> None:
    z = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    condition = Condition(torch.tensor([0, -1, 0, -1, 0]))
    whole, parts = (prior_of(folder, batch=n).denoise(z, torch.full((5,), 1.0), condition) for n in (8, 2))
    torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-5)


def test_latents_are_scaled_once(folder: str) -> None:
    rep = autoencoded(folder, "encode", 16, 3)
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    vae = load(folder, torch.float32).vae
    expected = vae.encode(2 * images - 1).latent_dist.mean * vae.config.scaling_factor
    torch.testing.assert_close(rep.encode(images), expected)
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    decoded = vae.decode(latents / vae.config.scaling_factor).sample
    torch.testing.assert_close(rep.decode(latents), (decoded / 2 + 0.5).clamp(0, 1))


SOLVER = {"name": "inner", "steps": 40, "lr": 1e-2}


def sampled(folder: str, mode: str, solver: dict[str, Any]) -> tuple[Task, torch.Tensor, torch.Tensor]:
    size, channels = (8, 4) if mode == "latent" else (16, 3)
    task = make_task(
        autoencoded(folder, mode, size, channels), prior_of(folder), Pool(), seeds=[0, 1], labels=[0, 0]
    )
    method = Pullback(schedule=TRAILING, solver=solver, guidance=Guidance(weight=3.0), start="drawn")
    method.check(task)
    with torch.no_grad():
        outcome = run(method, task)
        first = outcome.trace[0]["residual"]
    assert first < 1 and int(outcome.refused.sum()) == 0
    return task, outcome.images, outcome.theta


@pytest.mark.parametrize(
    ("mode", "solver"),
    [("latent", SOLVER), ("encode", SOLVER), ("decode", {"name": "decoded", "solver": SOLVER})],
)
def test_all_three_modes_run_end_to_end(folder: str, mode: str, solver: dict[str, Any]) -> None:
    task, images, theta = sampled(folder, mode, solver)
    assert images.shape == (2, 1, 4, 8, 8) and images.isfinite().all()
    with torch.no_grad():
        picture = task.representation.picture(theta[0])
    assert picture.shape == (3, 16, 16) and -1 <= float(picture.min()) <= float(picture.max()) <= 1


def test_object_noise_reaches_volumes_of_latents(folder: str) -> None:
    inner = {"name": "voxel_nerf", "size": 8, "channels": 4, "colours": "linear", "background": "texture"}
    node = {"name": "autoencoded", "path": folder, "inner": inner}
    noise = build(VIEW_NOISES, {"name": "object"}, "noise")
    task = make_task(
        build(REPRESENTATIONS, node, "r"), prior_of(folder, by_view=True), noise,
        seeds=[0], labels=[0], views=4,
    )  # fmt: skip
    solver = {"name": "inner", "steps": 3, "lr": 1e-2}
    with torch.no_grad():
        outcome = run(Pullback(schedule=TRAILING, solver=solver, views_per_step=2, start="drawn"), task)
    assert outcome.images.shape == (1, 4, 4, 8, 8) and outcome.images.isfinite().all()


def test_bad_input_is_refused_before_anything_starts(folder: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="model_index.json"):
        prior_of(str(tmp_path))
    with pytest.raises(ConfigError, match="multiple of 2"):
        prior_of(folder, pixels=17)
    with pytest.raises(ConfigError, match="at least one"):
        prior_of(folder, prompts=[])
    with pytest.raises(ConfigError, match="3 channels"):
        autoencoded(folder, "encode", 16, 4)
    decoded = build(SOLVERS, {"name": "decoded"}, "solver")
    with pytest.raises(ConfigError, match="mode decode"):
        decoded.check(autoencoded(folder, "latent", 8, 4))
