"""One small configuration of every study, taken from a shipped recipe."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sevenfold.config import compose, locate, read_file
from sevenfold.studies import STUDIES

ROOT = Path(__file__).resolve().parents[1]
RECIPES = {
    "arena": "diffreps/arena",
    "audit": "fairness/audit",
    "benchmark_description": "nas/describe_benchmark",
    "check_prior": "diffreps/check_prior",
    "curve_pfn": "nas/train_curve_pfn",
    "debias": "fairness/demo",
    "decisions": "fairness/decisions",
    "digits_build": "nas/build_digits_nb201",
    "flow_table": "flow/table",
    "encoding_study": "nas/encodings_predictor",
    "initial_conditions": "fairness/initial_conditions",
    "lce_search": "nas/lce_search_digits",
    "lce_study": "nas/lce_study",
    "nas_fronts": "nas/fronts_nb201",
    "nas_landscape": "nas/landscape_nb201",
    "nas_search": "nas/search_nb201",
    "noise_landscape": "nas/noise_landscape",
    "objective_search": "nas/own_digits",
    "samples": "diffreps/demo",
    "view_noise_law": "diffreps/view_noise_law",
    "volumes": "diffreps/nerf_toy",
}
FEWER = {
    "nas_search": [f"study.algorithms.{label}=null" for label in ("bananas_paper", "bananas_fast", "dngo")],
    "debias": ["study.methods.layerwise_head=null", "study.methods.adversarial=null"],
    "lce_study": [
        "study.extrapolators.wpm=null",
        "study.extrapolators.svr=null",
        "study.extrapolators.svr_losses=null",
    ],
}
"""What makes the tests of a study shorter still."""


def settings(name: str) -> list[str]:
    """Return the arguments of the command line that run a study small."""
    recipe = ROOT / f"configs/{RECIPES[name]}.yaml"
    return [
        "--config",
        str(recipe),
        "trainer.fast_dev_run=true",
        "callbacks.progress=null",
        *FEWER.get(name, []),
    ]


def kind(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what recipes of one kind share: the study, or model, network and data."""
    if "study" in config:
        return (str(config["study"]["name"]),)
    network = config["model"].get("network", {}).get("name", "")
    return config["model"]["name"], network, config["data"]["name"]


def node(name: str) -> dict[str, Any]:
    """Return the configuration of a small study."""
    config = compose([read_file(ROOT / f"configs/{RECIPES[name]}.yaml")], FEWER.get(name, []))
    small: dict[str, Any] = locate(STUDIES[name]).tiny(config["study"])
    return small


def seed(name: str) -> int:
    """Return the seed that the recipe of a study has."""
    return int(compose([read_file(ROOT / f"configs/{RECIPES[name]}.yaml")])["seed"])


def command(*arguments: str) -> list[str]:
    """Return a command line of ``train.py``."""
    return [sys.executable, str(ROOT / "train.py"), *arguments]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a run that is started as a process of its own."""
    rest = {key: value for key, value in os.environ.items() if key != "SEVENFOLD_RUN_FOLDER"}
    return {**rest, "OMP_NUM_THREADS": "1", **more}
