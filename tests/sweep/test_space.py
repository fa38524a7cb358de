"""Sweep files in W&B's schema."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sevenfold.config import ConfigError
from sevenfold.sweep import read_sweep

ROOT = Path(__file__).resolve().parents[2]


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
    if "q" in node:
        assert {draw % 0.25 for draw in draws} == {0.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methd": "grid"}, "methd: is not supported in a local sweep. Did you mean 'method'?"),
        ({"early_terminate": {"type": "hyperband"}}, "early_terminate: is not supported"),
        ({"method": "best"}, "method: expected grid, random or bayes, got 'best'"),
        ({"method": "bayes"}, "metric.name: is required"),
        ({"metric": {"name": "x", "target": 1}}, "metric.target: is not supported"),
        ({"metric": {"name": "x", "goal": "up"}}, "metric.goal: expected"),
        ({"parameters": {}}, "parameters: expected"),
        ({"parameters": {"a": {"valus": [1]}}}, "parameters.a.values: is required"),
        ({"parameters": {"a": {"values": [1], "mim": 1}}}, "parameters.a.mim: unknown with categorical"),
        ({"parameters": {"a": {"distribution": "beta", "a": 1}}}, "parameters.a.distribution: 'beta'"),
        ({"parameters": {"a": {"parameters": {}}}}, "parameters.a: nested"),
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
