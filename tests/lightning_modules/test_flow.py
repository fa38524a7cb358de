import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from lightning_modules import MODELS
from sevenfold.config import ConfigError, build
from sevenfold.flow.metrics import EndPointError
from sevenfold.flow.network import Estimate
from sevenfold.flow.options import Training
from sevenfold.flow.training import flow_loss, is_late

DEMO = {
    "name": "flow",
    "network": {
        "name": "deq_flow",
        "variant": "demo",
        "solver": {"name": "fixed_point"},
        "stop": {"mode": "rel", "tol": 0.0},
        "correction": {"n": 3},
    },
    "training": {"iterations": [6, 9], "stale_start": 0.5, "step_penalty": 0.1, "jacobian_penalty": 0.1},
    "evaluation": {"iterations": 4, "by_dataset": {"kitti": 2}, "budgets": [1, 4]},
    "optim": {"lr": 1e-3},
}
RAFT = {
    "name": "flow",
    "network": {"name": "raft", "variant": "demo", "design": {"h_init": "zeros", "norm": "weight"}},
    "training": {"iterations": [2, 3], "stale_start": 0.5, "step_penalty": 0.1},
}


def module(options=DEMO, **more):
    torch.manual_seed(0)
    return build(MODELS, {**options, **more}, "model")


def items(count, size=(24, 32), dataset="synthetic"):
    stream = torch.Generator().manual_seed(5)
    height, width = size
    return [
        {
            "image1": torch.rand(3, height, width, generator=stream),
            "image2": torch.rand(3, height, width, generator=stream),
            "flow": torch.randn(2, height, width, generator=stream),
            "valid": torch.rand(height, width, generator=stream) > 0.1,
            "name": f"{dataset}/{i}",
            "dataset": dataset,
            "padding": "kitti" if dataset == "kitti" else "sintel",
        }
        for i in range(count)
    ]


def trainer(tmp_path, **options):
    return pl.Trainer(
        accelerator="cpu",
        default_root_dir=tmp_path,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        **options,
    )


def loader(data, batch_size=2):
    return DataLoader(data, batch_size=batch_size)


pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*",
    "ignore:.*tensorboardX.*",
    "ignore:.*number of training batches.*",
)


@pytest.mark.parametrize("options", [DEMO, RAFT], ids=["deq_flow", "raft"])
def test_training_logs_and_changes_every_parameter(options, tmp_path):
    model = module(options)
    before = [p.detach().clone() for p in model.parameters()]
    run = trainer(tmp_path, max_epochs=1, enable_checkpointing=False)
    run.fit(model, loader(items(4)), loader(items(2)))
    assert all(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    logged = run.callback_metrics
    assert {"train/loss", "train/epe", "train/last_step", "train/grad_norm"} <= set(logged)
    assert "val/synthetic/epe" in logged and logged["train/1px"] <= logged["train/3px"] <= logged["train/5px"]
    assert all(torch.isfinite(value) for value in logged.values())
    assert ("train/residual" in logged) == ("train/failed" in logged) == (options is DEMO)


def test_an_implicit_gradient_reports_its_own_solve(tmp_path):
    network = {**DEMO["network"], "backward": {"name": "implicit", "max_products": 3}}
    run = trainer(tmp_path, max_epochs=1, enable_checkpointing=False)
    run.fit(module(network=network), loader(items(2)), loader(items(1)))
    assert float(run.callback_metrics["train/backward_evaluations"]) == 3
    assert torch.isfinite(run.callback_metrics["train/backward_residual"])


def test_the_late_weight_of_the_step_penalty_holds_in_the_last_fifth():
    rules = Training(step_penalty=0.1, late_step_penalty=1.0)
    flow, valid = torch.zeros(1, 2, 8, 8), torch.ones(1, 8, 8, dtype=torch.bool)
    estimate = Estimate([flow], (flow, flow), torch.tensor(2.0))
    losses = [
        flow_loss(estimate, flow, valid, gamma=0.8, rules=rules, late=is_late(step, 10)) for step in range(10)
    ]
    assert [round(float(loss), 6) for loss in losses] == [0.2] * 8 + [2.0] * 2


def test_check_18_resuming_at_an_epochs_end_is_exact(tmp_path):
    data, options = (loader(items(6)), loader(items(1))), {"max_epochs": 4}
    whole, half, resumed = module(), module(), module()
    trainer(tmp_path, **options, enable_checkpointing=False).fit(whole, *data)
    first = trainer(tmp_path, **options, enable_checkpointing=False, callbacks=[StopAfter(2)])
    first.fit(half, *data)
    first.save_checkpoint(tmp_path / "half.ckpt")
    trainer(tmp_path, **options, enable_checkpointing=False).fit(
        resumed, *data, ckpt_path=tmp_path / "half.ckpt", weights_only=True
    )
    assert any(not torch.equal(a, b) for a, b in zip(half.parameters(), resumed.parameters(), strict=True))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


class StopAfter(pl.Callback):
    def __init__(self, epochs):
        self.epochs = epochs

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


def test_testing_pads_scores_and_reports_each_pair_and_budget(tmp_path):
    model = module()
    data = items(3, (22, 30)) + items(1, (22, 30), "kitti")
    run = trainer(tmp_path)
    run.test(model, loader(data, 1), verbose=False)
    logged = run.callback_metrics
    flows, model = [], model.eval()
    with torch.no_grad():
        for batch in loader(data, 1):
            flows.append(model.test_step(batch, 0)["flow"])
    assert all(flow.shape == (1, 2, 22, 30) for flow in flows)
    metric = EndPointError()
    for flow, item in zip(flows[:3], data, strict=False):
        metric.update(flow, item["flow"][None], item["valid"][None])
    assert float(logged["test/synthetic/epe"]) == pytest.approx(float(metric.compute()), rel=1e-5)
    assert float(logged["test/synthetic/epe_at_4"]) == pytest.approx(float(logged["test/synthetic/epe"]))
    assert float(logged["test/synthetic/evaluations"]) == 4
    assert float(logged["test/kitti/evaluations"]) == 2
    assert {"test/kitti/0/epe_at_1", "reference/test/kitti/zero_flow_epe"} <= set(logged)
    assert not any(name.startswith("test/synthetic/2") for name in logged)


def test_prediction_returns_flow_of_the_pictures_size(tmp_path):
    found = trainer(tmp_path).predict(module(RAFT), loader(items(2, (21, 30))))
    assert found[0]["flow"].shape == (2, 2, 21, 30)


def test_weights_are_read_before_anything_else(tmp_path):
    first = module()
    torch.save(first.network.state_dict(), tmp_path / "weights.pth")
    torch.manual_seed(1)
    second = build(MODELS, {**DEMO, "weights": str(tmp_path / "weights.pth")}, "model")
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("network", {"name": "deq"}, "model.network.name: 'deq' is not known. Did you mean 'deq_flow'"),
        ("network", {"name": "raft", "variant": "tiny"}, "model.network.variant: .*tiny"),
        ("network", {"name": "deq_flow", "design": {"gmaa": True}}, "model.network.design.gmaa: .*'gma'"),
        ("network", {"name": "deq_flow", "correction": {"n": 9}}, "model.training.iterations: .*supervise"),
        ("training", {"iterations": []}, "model.training.iterations: needs at least one"),
        ("training", {"stale_start": 1.5}, "model.training.stale_start: expected a number from 0 to 1"),
        ("training", {"late_step_penalty": -1}, "model.training.late_step_penalty: expected a finite number"),
        ("evaluation", {"budgets": [0]}, r"model.evaluation.budgets\[0\]: expected a number from 1"),
        ("optim", {"learning_rate": 1}, "model.optim.learning_rate: "),
    ],
)
def test_mistakes_name_their_key(key, value, message):
    with pytest.raises(ConfigError, match=message):
        module(**{key: value})
