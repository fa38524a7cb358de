"""The debiaser as a tool: groups and inputs of any kind, folding, files, audits, drift, probabilities."""

import dataclasses
import json
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sevenfold.environment import usable_device
from sevenfold.errors import InputError
from sevenfold.fairness import METHODS, Debiaser
from sevenfold.fairness.artefact import load_debiased
from sevenfold.fairness.calibration import Isotonic, calibration_error
from sevenfold.fairness.confusion import counts
from sevenfold.fairness.drift import drift, quantiles
from sevenfold.fairness.inference import noise_floor, verdict
from sevenfold.fairness.inputs import groups_from
from sevenfold.fairness.network import TabularNet
from sevenfold.fairness.objective import Constraint

SHORT: dict[str, dict[str, Any]] = {
    "random": {"trials": 10},
    "layerwise": {"calls": 30},
    "adversarial": {"schedule": {"epochs": 1, "critic": 3, "actor": 10, "check": 5}},
    "representation": {"schedule": {"epochs": 1, "critic": 3, "actor": 10, "check": 5}},
    "finetune": {"descent": {"steps": 20}},
}


def people(n: int = 600) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    a = torch.randint(2, (n,), generator=generator)
    x = torch.randn(n, 4, generator=generator)
    x[:, 1] += a
    x[:, 2] -= a
    return x, (x[:, 0] + x[:, 1] + torch.randn(n, generator=generator) > 0.5).long(), a


def network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(i)) / 2)
        module[0].weight[0] = torch.tensor([1.0, 1.0, 0.0, 0.0])
        module[0].weight[1] = torch.tensor([-1.0, -1.0, 0.0, 0.0])
        module[2].weight[0, :2] = torch.tensor([2.0, -2.0])
    return module.to(dtype)


Named = namedtuple("Named", ["logits"])


@dataclasses.dataclass
class Output:
    logits: torch.Tensor


class Wrapped(nn.Module):
    """A network whose output has another form."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.inner, self.kind = network(), kind

    def forward(self, x: torch.Tensor) -> Any:
        logit = self.inner(x)
        return {
            "logit": logit[:, 0],
            "column": logit,
            "two_logits": torch.cat([-logit, logit], 1) / 2,
            "probability": torch.sigmoid(logit),
            "dataclass": Output(logit),
            "dict": {"loss": None, "logits": logit},
            "tuple": (logit, None),
        }[self.kind]


@pytest.mark.parametrize(
    "kind", ["logit", "column", "two_logits", "probability", "dataclass", "dict", "tuple"]
)
@pytest.mark.parametrize("method", ["bias_score", "rank_one", "threshold_only"])
def test_check_24_the_module_decides_as_predict_for_every_output(method: str, kind: str) -> None:
    x, y, a = people()
    module = Wrapped(kind)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    output = "probability" if kind == "probability" else "auto"
    debiaser = Debiaser(module, method=method, output=output, epsilon=0.1).fit(x, y, a)
    decided = debiaser.predict(x)
    with torch.no_grad():
        assert torch.equal((debiaser.module_(x) > 0).long(), torch.as_tensor(decided))
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert 0 < decided.mean() < 1 and debiaser.threshold_ == 0


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_check_24_30_every_method_folds_and_is_saved(method: str, dtype: torch.dtype, tmp_path: Path) -> None:
    x, y, a = people(300)
    options = SHORT.get(method)
    debiaser = Debiaser(network(dtype), method=method, method_options=options, epsilon=0.2)
    decided = debiaser.fit(x.double(), y, a).predict(x)
    again = load_debiased(debiaser.save(tmp_path / "fair.pt", allow_constant=True), module=network(dtype))
    assert (again.predict(x) == decided).all()
    rows = x.to(dtype)
    with torch.no_grad():
        assert torch.equal((debiaser.module_(rows) > 0).long(), torch.as_tensor(decided))
        assert torch.equal(again.module(rows), debiaser.module_(rows))


LOADING = """
import sys, numpy, torch
from sevenfold.fairness.artefact import load_debiased
fair = load_debiased(sys.argv[1])
numpy.save(sys.argv[3], fair.decision_function(numpy.load(sys.argv[2])))
"""


def test_check_23_25_a_file_decides_alike_in_a_fresh_process(tmp_path: Path) -> None:
    x, y, a = people()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = TabularNet(4, width=8, depth=1).eval()
    debiaser = Debiaser(module, epsilon=0.1).fit(x, y, a)
    path = debiaser.save(tmp_path / "debiased/fair.pt", allow_constant=True)
    content = torch.load(path, weights_only=True)
    assert set(content) == {"format", "card", "state"} and json.loads(content["card"])["rows"] == 600
    np.save(tmp_path / "x.npy", x.numpy())
    command = [sys.executable, "-c", LOADING, str(path), str(tmp_path / "x.npy"), str(tmp_path / "out.npy")]
    subprocess.run(command, check=True)
    assert (np.load(tmp_path / "out.npy") == debiaser.decision_function(x)).all()
    content["state"]["price" if "price" in content["state"] else "threshold"] += 1e-3
    torch.save(content, path)
    with pytest.raises(InputError, match="is damaged"):
        load_debiased(path)


def test_check_25_other_networks_and_other_files_are_refused(tmp_path: Path) -> None:
    x, y, a = people()
    path = Debiaser(network(), epsilon=0.1).fit(x, y, a).save(tmp_path / "fair.pt")
    (tmp_path / "text.pt").write_text("no")
    for call, message in (
        (lambda: load_debiased(path), "give module="),
        (lambda: load_debiased(path, module=nn.Linear(4, 1)), "another network"),
        (lambda: load_debiased(tmp_path / "text.pt"), "no file of a debiased network"),
        (lambda: load_debiased(tmp_path / "none.pt"), "does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            call()
    constant = Debiaser(network(), method="constant").fit(x, y, a)
    with pytest.raises(InputError, match="everybody gets the same decision"):
        constant.save(tmp_path / "constant.pt")


def test_check_12_inputs_and_groups_of_every_kind_decide_alike() -> None:
    pandas = pytest.importorskip("pandas")
    x, y, a = people()
    names = ["age", "income", "debt", "years"]
    frame = pandas.DataFrame(x.numpy(), columns=names)
    sex = np.where(a.numpy() == 1, "m", "f")
    spec = {"spec": {"sex": "m"}, "small": 0}
    plain = Debiaser(network(), epsilon=0.1).fit(x, y, a).predict(x)
    tables = [
        (frame, pandas.Series(y.numpy()), pandas.DataFrame({"sex": sex}), spec, frame[names[::-1]]),
        (x.double(), y.bool().numpy()[:, None], {"sex": pandas.Categorical(sex)}, spec, x.numpy()),
        (x.numpy(), y.double(), {"sex": a[:, None].double()}, {"small": 0}, x),
        (x.tolist(), y.tolist(), a.bool(), None, x.tolist()),
    ]
    for rows, labels, groups, options, unseen in tables:
        debiaser = Debiaser(network(), epsilon=0.1, groups=options).fit(rows, labels, groups)
        assert (debiaser.predict(unseen) == plain).all()
    words = np.where(y.numpy() == 1, "good", "bad")
    assert (Debiaser(network(), epsilon=0.1, favorable="good").fit(x, words, a).predict(x) == plain).all()
    fitted = Debiaser(network(), epsilon=0.1, groups=spec).fit(frame, y, pandas.DataFrame({"sex": sex}))
    with pytest.raises(InputError, match="X has no column 'debt'"):
        fitted.predict(frame.drop(columns="debt"))
    with pytest.raises(InputError, match="city"):
        Debiaser(network()).fit(frame.assign(city="x"), y, a)
    # audited in the groups of the fit
    report = fitted.audit(frame, y, pandas.DataFrame({"sex": sex}))
    assert [row["group"] for row in report.table] == ["sex=f", "sex=m"]
    with pytest.raises(InputError, match="values in no group: 'd'"):
        fitted.audit(frame, y, {"sex": ["d", *sex[1:]]})


def test_unknown_groups_and_weights_are_allowed() -> None:
    x, y, a = people()
    codes = [None if i % 10 == 0 else int(v) for i, v in enumerate(a)]
    weights = torch.rand(600, generator=torch.Generator().manual_seed(1)) + 0.5
    debiaser = Debiaser(network(), epsilon=0.1).fit(x, y, {"a": codes}, sample_weight=weights)
    assert "60 rows have an unknown attribute" in debiaser.flags_
    assert any("estimate of it is computed" in flag for flag in debiaser.flags_)
    doubled = Debiaser(network(), epsilon=0.1).fit(x, y, {"a": codes}, sample_weight=2 * weights)
    assert (debiaser.predict(x) == doubled.predict(x)).mean() > 0.98


def test_bad_rows_are_named() -> None:
    x, y, a = people()
    fit = Debiaser(network()).fit
    infinite = x.clone()
    infinite[[17, 30], 3] = torch.inf
    fitted = Debiaser(network(), epsilon=0.1).fit(x, y, a)
    cases = [
        (lambda: fit(infinite, y, a), "column 3 has infinite values in 2 places, first at row 17"),
        (lambda: fit(x, y * 0, a), "found"),
        (lambda: fit(x, [str(v) for v in y.tolist()], a), "favorable=..."),
        (lambda: fit(x, y, {"g": torch.arange(600) % 3}), "is of two groups, and there are 3"),
        (lambda: Debiaser(network(), favorable="x").fit(x, y, a), "must be one of two"),
        (lambda: Debiaser(network(), objective={"constraint": []}).fit(x, y, a), "'constraints'"),
        (lambda: Debiaser(network(), batch_size=0).fit(x, y, a), "batch_size"),
        (lambda: fit(x, y, a, sample_weight=-torch.ones(600)), "weights must be 600 finite numbers above 0"),
        (lambda: fitted.predict(x[:, :3]), r"rows of shape \(3,\); the fit's were \(4,\)"),
        (lambda: fitted.predict(infinite), "infinite"),
        (lambda: fit([(x, y)]), "a batch is"),
        (lambda: fit([]), "no batch"),
    ]
    for call, message in cases:
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.largest, self.calls = network(), 0, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.largest, self.calls = max(self.largest, len(x)), self.calls + 1
        return self.inner(x)


def test_check_29_no_forward_pass_has_more_rows_than_a_batch() -> None:
    x, y, a = people()
    module = Counting()
    small = Debiaser(module, batch_size=64, epsilon=0.1).fit(x, y, a)
    assert module.largest == 64
    large = Debiaser(network(), batch_size=10**6, epsilon=0.1).fit(x, y, a)
    assert np.abs(small.decision_function(x) - large.decision_function(x)).max() < 1e-5
    assert (small.predict(x) == large.predict(x)).all() and small.module_.network.module.largest == 64


def test_check_27_probabilities_are_calibrated_and_monotone() -> None:
    x, y, a = people(3000)
    debiaser = Debiaser(network(), epsilon=0.1).fit(x, y, a)
    p, scores = debiaser.predict_proba(x)[:, 1], debiaser.decision_function(x)
    assert (np.diff(p[np.argsort(scores)]) >= 0).all() and calibration_error(p, y.numpy()) < 0.02
    assert calibration_error(1 / (1 + np.exp(-scores)), y.numpy()) > 0.05
    assert Isotonic([0.0, 1.0], [0.2, 0.8])(np.array([-5.0, 0.5, 5.0])).tolist() == pytest.approx(
        [0.2, 0.5, 0.8]
    )


def test_check_28_drift_warns_where_people_differ_and_only_there() -> None:
    stream = np.random.default_rng(0)
    alike = [drift(quantiles(s[:1000]), 1000, s[1000:]).warns for s in stream.standard_normal((100, 2000))]
    moved = [
        drift(quantiles(s[:1000]), 1000, s[1000:] + 0.5 * (-1) ** i).warns
        for i, s in enumerate(stream.standard_normal((100, 1500)))
    ]
    assert sum(alike) <= 3 and sum(moved) >= 95
    same = np.repeat([0.0, 1.0], 500)
    assert drift(quantiles(same), 1000, same).distance == 0


def test_an_audit_says_who_and_what() -> None:
    x, y, a = people()
    debiaser = Debiaser(network(), epsilon=0.1).fit(x, y, a)
    report = debiaser.audit(x + 3, y, a)
    assert any("unlike those of the fit" in flag for flag in report.flags)
    for row in report.verdicts:
        inside = row["low"] > -0.1 and row["high"] < 0.1
        assert (row["verdict"] == "met") == inside and row["criterion"] in report.text
    assert debiaser.verdict_.table[0]["n"] == int((a == 0).sum())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda y, a: counts(y, y, torch.full_like(a, 5)), r"groups \(-1: unknown\) are 5 to 5"),
        (lambda y, a: counts(3 * y, y, a), "decisions are 0 to 3; expected 0 to 1"),
        (lambda y, a: counts(y, 2 * y, a), "labels are 0 to 2; expected 0 to 1"),
        (lambda y, a: counts(y[:5], y, a), "one of each a person"),
        (lambda y, a: verdict("spd", counts(y, y, a), 0.1, sense="=>"), "sense is '=>'"),
        (lambda y, a: verdict("spd", counts(y, y, a), float("inf")), "bound is inf"),
        (lambda y, a: noise_floor("spd", counts(y, y, a), draws=0), "draws is 0"),
        (lambda y, a: Constraint.of("gap(tpr) <= 1e999"), "right side must be a number that is finite"),
        (lambda y, a: groups_from(a, {"specs": {}}), "Did you mean 'spec'"),
        (lambda y, a: Isotonic.fit(np.array([np.nan, 1.0]), np.array([0.0, 1.0])), "1 of 2 scores"),
        (lambda y, a: usable_device("cud"), "device 'cud' cannot be used"),
    ],
)
def test_misuse_of_the_parts_ends_in_one_line(call, message) -> None:
    y, a = torch.arange(40) % 2, torch.arange(40) // 20
    with pytest.raises(InputError, match=message) as caught:
        call(y, a)
    assert "\n" not in str(caught.value)
