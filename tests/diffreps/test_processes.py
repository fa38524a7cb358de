"""Processes and predictions: an exact denoiser dressed as a network of each kind and read back."""

import math

import pytest
import torch
from diffreps_problems import mixture
from torch import Tensor, nn

from sevenfold.config import ConfigError, build
from sevenfold.diffreps import PROCESSES, SCHEDULES
from sevenfold.diffreps.denoising import denoising_loss
from sevenfold.diffreps.linear_gaussian import VARIANCES, gaussian
from sevenfold.diffreps.methods.plan import Rounds, plan
from sevenfold.diffreps.methods.reference import Reference
from sevenfold.diffreps.noise_table import NoiseTable, alpha, output_of
from sevenfold.diffreps.priors.base import Condition, Prior
from sevenfold.diffreps.priors.mixture import Mixture
from sevenfold.diffreps.priors.network import NetworkPrior
from sevenfold.diffreps.process import EDM, Process, ProcessName, Table, make_process
from sevenfold.diffreps.representations.pixels import Pixels
from sevenfold.diffreps.run import run
from sevenfold.diffreps.sampling_task import make_task
from sevenfold.diffreps.view_noise import Pool
from sevenfold.errors import InputError

SHAPE = (3, 1, 1)
LEVELS = [1e-3, 0.1, 1.0, 10.0, 1e3]
PREDICTIONS = ("eps", "x0", "v", "flow", "score", "edm")
NODES: dict[str, dict[str, object]] = {name: {"name": name} for name in PROCESSES}
NODES["zero_snr"] = {"name": "vp", "zero_snr": True}
NODES["sigma"] = {"name": "ve", "time": "sigma"}


def exact() -> Mixture:
    return gaussian(torch.tensor([0.5, -1.0, 2.0]), torch.tensor(VARIANCES).diag(), SHAPE)


def free(count: int) -> Condition:
    return Condition(torch.full((count,), -1))


class Dressed(nn.Module):
    """What a network of a prediction would return whose denoiser is exact.

    It is given the level by the test, and not read from its time: that time is compared apart.
    """

    def __init__(self, process: Process, prediction: str, sigma: Tensor) -> None:
        super().__init__()
        self.process, self.prediction, self.sigma, self.inner = process, prediction, sigma, exact()
        self.times: list[Tensor] = []

    def forward(self, x: Tensor, time: Tensor, labels: Tensor) -> Tensor:
        self.times.append(time)
        a, s = (level.view(-1, 1, 1, 1) for level in self.process.coordinates(self.sigma))
        std = getattr(self.process, "std", 1.0)
        x = x * (s**2 + std**2).sqrt() if self.prediction == "edm" else x
        clean = self.inner.denoise(x / a.clamp(min=1e-300), self.sigma, Condition(labels))
        mean = self.inner.expectation(Condition(labels)).expand_as(clean)
        clean = torch.where(self.sigma.isinf().view(-1, 1, 1, 1), mean, clean)
        return output_of(clean, x, a, s, self.prediction, std)  # type: ignore[arg-type]


def pairs() -> list[tuple[str, str]]:
    allowed = {name: PREDICTIONS if name == "edm" else PREDICTIONS[:-1] for name in NODES}
    allowed["zero_snr"] = ("x0", "v", "flow")
    return [(name, prediction) for name in NODES for prediction in allowed[name]]


@pytest.mark.parametrize(("name", "prediction"), pairs())
def test_every_process_and_prediction_reads_back_the_denoiser(name: str, prediction: str) -> None:
    process = build(PROCESSES, NODES[name], "process")
    levels = LEVELS + ([math.inf] if math.isinf(process.bounds[1]) or name == "cosine" else [])
    levels = [x for x in levels if not (math.isinf(x) and prediction in ("eps", "score"))]
    sigma = torch.tensor(levels, dtype=torch.float64)
    network = Dressed(process, prediction, sigma)
    prior = NetworkPrior(
        network, process, prediction=prediction, shape=SHAPE, data_range=(-9, 9), whole_times=False  # type: ignore[arg-type]
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    y, e = (torch.randn(len(sigma), *SHAPE, generator=generator, dtype=torch.float64) for _ in range(2))
    value, expected = (p.at(y, e, sigma, free(len(sigma))) for p in (prior, network.inner))
    assert float((value - expected).abs().max()) < 1e-11
    assert bool(network.times[0].isfinite().all())
    if prior.sigma_max == math.inf:
        return
    with pytest.raises(InputError, match="infinite noise") if prior.needs_signal else _nothing():
        prior.at(y[:1], e[:1], torch.tensor([math.inf]), free(1))


class _nothing:  # noqa: N801 (a context, as pytest.raises is)
    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...


def test_outputs_agree_with_their_definitions() -> None:
    """x = a x0 + s e, the output of each kind written out, for one clean image and one noise."""
    generator = torch.Generator().manual_seed(1)
    x0, e = (torch.randn(1, *SHAPE, generator=generator, dtype=torch.float64) for _ in range(2))
    sigma = torch.tensor([0.7], dtype=torch.float64)
    a, s = alpha(sigma), sigma * alpha(sigma)
    assert float(a**2 + s**2) == pytest.approx(1, abs=1e-14)
    x = a * x0 + s * e
    outputs = {"eps": e, "x0": x0, "v": a * e - s * x0, "flow": e - x0, "score": -e / s}
    for kind, output in outputs.items():
        assert float((output_of(x0, x, a, s, kind) - output).abs().max()) < 1e-12  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NODES)
def test_times_belong_to_levels(name: str) -> None:
    """Each time against its own definition, and a and s against sigma."""
    process, sigma = build(PROCESSES, NODES[name], "process"), torch.tensor([0.05, 1.0, 30.0]).double()
    a, s = process.coordinates(sigma)
    assert torch.allclose(s / a, sigma, rtol=1e-12)
    time = process.time_of(sigma)
    if name == "vp_linear":
        abar = torch.exp(-0.1 * time - 19.9 * time**2 / 2)
        assert torch.allclose(abar, a**2, atol=1e-12)
    elif name in ("vp", "zero_snr"):
        whole = process.sigmas[[10, 500, 990]]
        assert torch.allclose(process.time_of(whole), torch.tensor([10.0, 500.0, 990.0]).double(), atol=1e-9)
    else:
        expected = {
            "cosine": torch.atan(sigma) * 2 / math.pi, "flow": sigma / (1 + sigma), "ve": sigma.log() / 4,
            "edm": sigma.log() / 4, "sigma": sigma,
        }[name]  # fmt: skip
        assert torch.allclose(time, expected, atol=1e-12)


@pytest.mark.parametrize("name", ["table", "cosine", "flow"])
def test_a_training_draws_times_and_levels_that_belong_together(name: ProcessName) -> None:
    process = make_process(name, NoiseTable())
    a, s = process.levels(process.draw(1000, torch.Generator().manual_seed(0)))
    assert bool((s > 0).all()) and bool((a >= 0).all())
    inner = (s / a).double()
    again = process.time_of(inner)
    level_a, level_s = process.levels(again.round().long() if name == "table" else again)
    assert torch.allclose(level_s / level_a, inner, rtol=1e-9)
    assert torch.allclose(level_a, process.coordinates(level_s / level_a)[0], atol=1e-9)


class Wrong(nn.Module):
    """The exact output of a Gaussian with given variances, for the loss of a training."""

    def __init__(self, name: ProcessName, prediction: str, variances: tuple[float, ...]) -> None:
        super().__init__()
        self.process, self.prediction = make_process(name, NoiseTable()), prediction
        self.inner = gaussian(torch.zeros(3), torch.tensor(variances).diag(), SHAPE)

    def forward(self, x: Tensor, time: Tensor, labels: Tensor) -> Tensor:
        a, s = (level.view(-1, 1, 1, 1) for level in self.process.levels(time))
        clean = self.inner.denoise(x / a, (s / a).flatten(), Condition(labels))
        return output_of(clean, x, a, s, self.prediction)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "prediction"), [("cosine", "v"), ("flow", "flow")])
def test_the_best_network_has_the_least_loss(name: ProcessName, prediction: str) -> None:
    right, wrong = (Wrong(name, prediction, v) for v in (VARIANCES, (0.5, 0.5, 0.5)))
    clean = right.inner.sample(4000, torch.Generator().manual_seed(0))
    losses = [
        float(denoising_loss(network, network.process, prediction, clean, torch.full((4000,), -1),  # type: ignore[arg-type]
                             torch.Generator().manual_seed(1)))
        for network in (right, wrong)
    ]  # fmt: skip
    assert losses[0] < losses[1]


def test_a_level_moves_to_the_nearest_step_with_that_steps_numbers() -> None:
    process = build(PROCESSES, {"name": "vp", "betas": "cosine", "steps": 50}, "process")
    assert isinstance(process, Table)
    moved = process.sigmas[[20, 30]]
    network = Dressed(process, "eps", moved)
    prior = NetworkPrior(
        network, process, prediction="eps", shape=SHAPE, data_range=(-1, 1), time_base=1.0, time_scale=0.5
    )
    y, e = torch.ones(2, *SHAPE).double(), torch.ones(2, *SHAPE).double()
    value = prior.at(y, e, moved * 1.001, free(2))
    assert float((value - exact().at(y, e, moved, free(2))).abs().max()) < 1e-11
    assert network.times[0].tolist() == [11.0, 16.0]


def test_what_cannot_be_read_is_refused_by_name() -> None:
    zero, network = build(PROCESSES, NODES["zero_snr"], "process"), nn.Identity()
    for prediction in ("eps", "score"):
        with pytest.raises(ConfigError, match="prediction: .* cannot be read at zero signal"):
            NetworkPrior(network, zero, prediction=prediction, shape=SHAPE, data_range=(-1, 1))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="prediction: edm needs the process edm"):
        NetworkPrior(network, zero, prediction="edm", shape=SHAPE, data_range=(-1, 1))
    for node, words in (
        ({"name": "vp", "abar": [0.5, 0.6]}, "abar: needs two or more numbers that fall"),
        ({"name": "vp_linear", "first": 3.0, "last": 2.0}, "needs first < last"),
        ({"name": "edm", "low": 3.0, "high": 2.0}, "needs low < high"),
    ):
        with pytest.raises(ConfigError, match=words):
            build(PROCESSES, node, "process")
    with pytest.raises(InputError, match="no table of numbers"):
        build(PROCESSES, {"name": "vp", "file": "nowhere.txt"}, "process")


def test_a_given_table_is_that_table(tmp_path: object) -> None:
    levels = NoiseTable(steps=5).alphas_bar()
    (path := tmp_path / "abar.txt").write_text("\n".join(map(repr, levels.tolist())))  # type: ignore[operator]
    for node in ({"name": "vp", "abar": levels.tolist()}, {"name": "vp", "file": str(path)}):
        assert torch.equal(build(PROCESSES, node, "process").alphas_bar, levels)
    # (Lin et al. 2024, algorithm 1): the first entry stays, the last has no signal
    rescaled = NoiseTable(zero_snr=True).alphas_bar()
    assert float(rescaled[0]) == pytest.approx(float(NoiseTable().alphas_bar()[0]), abs=1e-15)
    assert float(rescaled[-1]) == 0 and EDM().bounds == (0.002, 80.0)


def heun_error(**bounds: float) -> float:
    """Largest difference of Heun's end from mu + S^(1/2) e, the exact flow of a Gaussian.

    It starts from 0, as a sampler of a network does, which does not know the mean.
    """
    prior = exact()
    prior.mean = lambda: torch.zeros(SHAPE)  # type: ignore[method-assign]
    task = make_task(Pixels(size=1, channels=3), prior, Pool(), seeds=range(8), dtype=torch.float64)
    schedule = {"name": "karras", "levels": 160, "sigma_min": 1e-3, **bounds}
    method = Reference(schedule=schedule, order="heun")
    e = task.noise.at(task.noise.start(task.streams("noise")), task.all_views(), task.start())[:, 0]
    expected = prior.means[0].view(SHAPE) + torch.tensor(VARIANCES).double().sqrt().view(SHAPE) * e
    return float((run(method, task).images[:, 0] - expected).abs().max())


def test_starting_at_infinite_noise_removes_the_error_of_the_start() -> None:
    assert heun_error(sigma_max=math.inf, sigma_high=80.0) <= 0.001
    assert heun_error(sigma_max=200.0) >= 0.005


@pytest.mark.parametrize("name", ["karras", "log", "uniform_t", "flow"])
def test_schedules_from_infinity_put_it_in_front(name: str) -> None:
    prior = mixture(SHAPE)
    prior.range = (-2.0, 2.0)
    options = {} if name == "flow" else {"sigma_max": math.inf}
    sigmas = build(SCHEDULES, {"name": name, "levels": 6, **options}, "schedule", prior=prior)
    assert sigmas.shape == (7,) and math.isinf(float(sigmas[0])) and float(sigmas[-1]) == 0
    assert bool((sigmas[1:] < sigmas[:-1]).all())
    if name in ("karras", "log"):
        assert float(sigmas[1]) == pytest.approx(80.0)  # 80 times a quarter of the range's width
    with pytest.raises(ConfigError, match="sigma_max <= 1000000"):
        build(SCHEDULES, {"name": "karras", "sigma_max": 1e7}, "schedule", prior=prior)


def test_flow_times_are_shifted() -> None:
    plain, shifted = (
        build(SCHEDULES, {"name": "flow", "levels": 5, "shift": k}, "schedule", prior=None)
        for k in (1.0, 3.0)
    )
    time = torch.tensor([0.8, 0.6, 0.4, 0.2]).double()
    assert torch.allclose(plain[1:-1], time / (1 - time))
    moved = 3 * time / (1 + 2 * time)
    assert torch.allclose(shifted[1:-1], moved / (1 - moved))


def test_noise_is_never_raised_to_infinity_again() -> None:
    steps = plan(torch.tensor([math.inf, 4.0, 2.0, 1.0, 0.0]), Rounds(rounds=1, jump=2))
    assert [step.sigma for step in steps] == [math.inf, 4.0, 2.0, 4.0, 2.0, 1.0]
    assert [step.back for step in steps] == [None, None, None, 1.0, None, None]


def test_infinite_and_finite_levels_may_stand_in_one_batch() -> None:
    prior = mixture(SHAPE)
    y, e = torch.ones(2, *SHAPE).double(), torch.ones(2, *SHAPE).double()
    labels = Condition(torch.tensor([1, -1]))
    both = prior.at(y, e, torch.tensor([math.inf, 2.0]).double(), labels)
    assert torch.equal(both[0].flatten(), prior.means[1])
    assert torch.allclose(
        both[1], prior.denoise(3 * y[1:], torch.tensor([2.0]), Condition(labels.labels[1:]))[0]
    )
    # far away the denoised image is near the mean of the class
    far = prior.at(y, e, torch.tensor([1e7, 1e7]).double(), labels)
    assert torch.allclose(far, prior.expectation(labels), atol=1e-5)


class OnlyDenoises(Prior):
    shape = SHAPE

    def denoise(self, z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        return z


def test_a_prior_without_a_mean_refuses_infinite_levels() -> None:
    y = torch.zeros(1, *SHAPE)
    with pytest.raises(InputError, match="OnlyDenoises does not know its mean image"):
        OnlyDenoises().at(y, y, torch.tensor([math.inf]), free(1))
