"""Sweep files in W&B's schema."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sevenfold.config import ConfigError
from sevenfold.sweep import read_sweep
from sevenfold.sweep.hyperband import read_hyperband
from sevenfold.sweep.space import _OPTIONS, read_parameter

ROOT = Path(__file__).resolve().parents[2]
STOP: dict[str, Any] = {"metric": {"name": "x"}}
BAND = {"type": "hyperband", "min_iter": 2}


def sweep_file(tmp_path: Path, content: dict[str, Any]) -> Path:
    (path := tmp_path / "sweep.yaml").write_text(yaml.safe_dump(content))
    return path


def test_grid_order_is_that_of_wandb(tmp_path: Path) -> None:
    """W&B's own package (sweeps 0.2.0) sorts parameters by name and varies the last one fastest."""
    parameters = {"b": {"values": [3, 1]}, "a": {"min": 1, "max": 2}, "c": {"value": "x"}}
    sweep = read_sweep(sweep_file(tmp_path, {"method": "grid", "parameters": parameters}))
    assert [tuple(trial.values()) for trial in sweep.grid()] == [
        (1, 3, "x"),
        (1, 1, "x"),
        (2, 3, "x"),
        (2, 1, "x"),
    ]


@pytest.mark.parametrize(
    ("node", "low", "high", "kind"),
    [
        ({"min": 1, "max": 3}, 1, 3, int),
        ({"min": 0.5, "max": 1.5}, 0.5, 1.5, float),
        ({"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.25}, 0, 1, float),
        ({"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-1}, 1e-4, 1e-1, float),
        ({"distribution": "log_uniform", "min": -2.0, "max": 0.0}, 0.13, 1.0, float),
        ({"distribution": "normal", "mu": 5.0, "sigma": 0.1}, 4, 6, float),
        ({"distribution": "log_normal", "sigma": 0.1}, 0.5, 2, float),
        ({"values": [1, 2], "probabilities": [0.0, 1.0]}, 2, 2, int),
        ({"distribution": "inv_log_uniform_values", "min": 1e-4, "max": 1e-1}, 1e-4, 1e-1, float),
        ({"distribution": "inv_log_uniform", "min": 0.0, "max": 2.0}, 0.13, 1.0, float),
        ({"distribution": "beta", "a": 2, "b": 3}, 0, 1, float),
        ({"distribution": "q_beta", "q": 0.25}, 0, 1, float),
        ({"distribution": "q_normal", "mu": 10, "sigma": 2, "q": 2}, 0, 20, int),
        ({"distribution": "q_log_uniform_values", "min": 1.0, "max": 64.0, "q": 4}, 0, 64, int),
        ({"distribution": "q_log_normal", "sigma": 0.5, "q": 0.25}, 0, 12, float),
    ],
)
def test_random_draws_are_plain_in_range_and_reproducible(
    tmp_path: Path, node: dict[str, Any], low: float, high: float, kind: type
) -> None:
    sweep = read_sweep(sweep_file(tmp_path, {"method": "random", "parameters": {"p": node}}))
    draws = [sweep.sample(trial)["p"] for trial in range(50)]
    assert all(type(draw) is kind and low <= draw <= high for draw in draws)
    assert draws == [sweep.sample(trial)["p"] for trial in range(50)]
    assert low == high or len(set(draws)) > 1
    assert {draw % node.get("q", draw) for draw in draws} <= {0.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methd": "grid"}, "methd: is not supported in a local sweep. Did you mean 'method'?"),
        ({"controller": {"type": "local"}}, "controller: is not supported"),
        ({"early_terminate": {"type": "hyperband"}}, "metric.name: is required by early_terminate"),
        ({**STOP, "early_terminate": 3}, "early_terminate: expected a mapping with a type, got 3"),
        ({**STOP, "early_terminate": {"type": "median"}}, "early_terminate.type: expected hyperband"),
        ({**STOP, "early_terminate": {"type": "hyperband"}}, "early_terminate.min_iter: is required"),
        (
            {**STOP, "early_terminate": {**BAND, "mini_iter": 1}},
            "early_terminate.mini_iter: is not",
        ),
        ({**STOP, "early_terminate": {**BAND, "eta": 1}}, "early_terminate.eta: expected a number above 1"),
        (
            {**STOP, "early_terminate": {**BAND, "min_iter": 0}},
            "early_terminate.min_iter: expected",
        ),
        ({**STOP, "early_terminate": {"type": "hyperband", "max_iter": 9}}, "early_terminate.s: is required"),
        ({"metric": 3}, "metric: expected a mapping"),
        ({"metric": {"name": 3}}, "metric.name: expected the name"),
        ({"run_cap": 0}, "run_cap: expected a positive"),
        ({"command": "python"}, "command: expected a list of words"),
        ({"parameters": {"a b": {"values": [1]}}}, "parameters.a b: is no name"),
        ({"parameters": {"a": {"values": []}}}, "parameters.a.values: expected a list"),
        ({"parameters": {"a": {"values": [1], "probabilities": [0.5]}}}, "parameters.a.probabilities: "),
        ({"parameters": {"a": {"min": "x", "max": 1.0}}}, "parameters.a.min: expected a finite number"),
        ({"parameters": {"a": {"min": 0.0, "max": float("inf")}}}, "parameters.a.max: expected a finite"),
        (
            {"parameters": {"a": {"distribution": "int_uniform", "min": 0.5, "max": 2}}},
            "parameters.a.min",
        ),
        (
            {"parameters": {"a": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}}},
            "parameters.a.q",
        ),
        (
            {"parameters": {"a": {"distribution": "log_uniform_values", "min": 0, "max": 1}}},
            "parameters.a.min",
        ),
        (
            {"parameters": {"a": {"distribution": "log_uniform", "min": 1, "max": 1e4}}},
            "parameters.a: ",
        ),
        (
            {"parameters": {"a": {"distribution": "beta", "alpha": 1}}},
            "parameters.a.alpha: unknown",
        ),
        (
            {"parameters": {"a.b": {"value": 1}, "a": {"parameters": {"b": {"value": 2}}}}},
            "parameters.a.b: ",
        ),
        ({"method": "best"}, "method: expected grid, random or bayes, got 'best'"),
        ({"method": "bayes"}, "metric.name: is required"),
        ({"metric": {"name": "x", "target": 1}}, "metric.target: is not supported"),
        ({"metric": {"name": "x", "goal": "up"}}, "metric.goal: expected"),
        ({"parameters": {}}, "parameters: expected"),
        ({"parameters": {"a": {"valus": [1]}}}, "parameters.a.values: is required"),
        ({"parameters": {"a": {"values": [1], "mim": 1}}}, "parameters.a.mim: unknown with categorical"),
        ({"parameters": {"a": {"distribution": "gamma", "a": 1}}}, "parameters.a.distribution: 'gamma'"),
        ({"parameters": {"a": {"parameters": {}}}}, "parameters.a: expected 'parameters: {name: ...}' alone"),
        ({"parameters": {"a": {"min": 2, "max": 1}}}, "parameters.a: min 2 is above max 1"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    content = {"method": "grid", "parameters": {"a": {"values": [1]}}, **change}
    with pytest.raises(ConfigError) as caught:
        read_sweep(sweep_file(tmp_path, content))
    assert str(caught.value).startswith(message)


def test_a_continuous_parameter_has_no_grid(tmp_path: Path) -> None:
    content = {"method": "grid", "parameters": {"a": {"min": 0.0, "max": 1.0}}}
    with pytest.raises(ConfigError, match="parameters.a: a grid needs listed values"):
        read_sweep(sweep_file(tmp_path, content)).grid()


@pytest.mark.parametrize("path", sorted((ROOT / "configs/sweeps").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_sweeps_are_valid(path: Path) -> None:
    sweep = read_sweep(path)
    assert sweep.parameters and "--config" in sweep.command and "${args_no_hyphens}" in sweep.command
    assert (ROOT / sweep.command[sweep.command.index("--config") + 1]).is_file()


def test_nested_parameters_have_dotted_names(tmp_path: Path) -> None:
    inner = {"lr": {"values": [1, 2]}, "betas": {"parameters": {"first": {"value": 0.9}}}}
    parameters = {"optim": {"parameters": inner}, "a": {"value": 0}}
    sweep = read_sweep(sweep_file(tmp_path, {"method": "grid", "parameters": parameters}))
    assert sweep.grid()[1] == {"a": 0, "optim.betas.first": 0.9, "optim.lr": 2}


def test_a_grid_too_long_to_run_is_refused(tmp_path: Path) -> None:
    content = {"method": "grid", "parameters": {"a": {"min": 0, "max": 10**9}}}
    with pytest.raises(ConfigError, match="its grid has more than"):
        read_sweep(sweep_file(tmp_path, content)).grid()


@pytest.mark.parametrize("name", sorted(_OPTIONS))
def test_inverse_and_plain_names_agree_about_values(name: str) -> None:
    """Draws of many trials stay in the interval that a distribution says it has."""
    if "log_uniform" not in name or name.startswith("q_"):
        options = {"min": 1, "max": 4} if "uniform" in name else {}
        options |= {"value": 1} if name == "constant" else {"values": [1, 2]} if name == "categorical" else {}
        assert read_parameter("p", {"distribution": name, **options}).distribution == name
        return
    parameter = read_parameter("p", {"distribution": name, "min": 1.0, "max": 3.0})
    low, high = parameter.interval()
    draws = [parameter.sample(np.random.default_rng(seed)) for seed in range(300)]
    assert low <= min(draws) < low * 1.1 and high * 0.9 < max(draws) <= high


def shipped_and_fresh() -> list[dict[str, Any]]:
    shipped = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "configs/sweeps").glob("*.yaml"))]
    parameters: dict[str, Any] = {"nested": {"parameters": {"x": {"value": 1}}}}
    for name, (needed, allowed) in _OPTIONS.items():
        options = {
            "min": 1,
            "max": 3,
            "value": 1,
            "values": [1, 2],
            "q": 1,
            "a": 1,
            "b": 1,
            "mu": 0,
            "sigma": 1,
        }
        options = {option: options[option] for option in (needed | allowed) - {"probabilities"}}
        parameters[name] = {"distribution": name, **options}
    stops = [BAND, {"type": "hyperband", "max_iter": 27, "s": 2, "eta": 2}]
    common = {"method": "random", "metric": {"name": "x"}, "parameters": parameters}
    return [*shipped, *({**common, "early_terminate": stop} for stop in stops)]


@pytest.mark.parametrize("content", shipped_and_fresh(), ids=lambda content: content["method"])
def test_what_is_read_here_passes_the_schema_of_wandb(tmp_path: Path, content: dict[str, Any]) -> None:
    config = pytest.importorskip("sweeps.config", reason="needs W&B's package sweeps")
    read_sweep(sweep_file(tmp_path, content))
    advice = "specify base-e exponents"  # to use other names; not a violation
    violations = config.schema_violations_from_proposed_config(content)
    assert not [violation for violation in violations if advice not in violation]


def test_hyperband_goes_by_the_rule_of_wandb() -> None:
    """The example of W&B's package sweeps 0.2.0: brackets 1 and 2 of five trials, one of which stops."""
    rule = read_hyperband({"type": "hyperband", "max_iter": 5, "eta": 2, "s": 2})
    assert rule.brackets == (1, 2)
    histories = [[10, 9], [10, 10], [10, 8, 8], [10, 7, 7], [10, 6, 6]]
    thresholds = rule.thresholds(histories)
    assert thresholds == {1: 8, 2: 7}
    assert [rule.stops(history, thresholds) for history in histories] == [True, True, True, False, False]
    assert not rule.stops([10.0], thresholds) and not rule.stops([], thresholds)
    assert read_hyperband({"type": "hyperband", "min_iter": 2}).brackets[:4] == (2, 6, 18, 54)
