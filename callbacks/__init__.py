"""Callbacks and loggers, by the name a configuration calls them.

The run folder is no entry of the table: every run has it, so ``train.py`` adds it itself.
"""

from sevenfold.tables import ComponentTable

CALLBACKS = ComponentTable(
    {
        "checkpoint": "pytorch_lightning.callbacks:ModelCheckpoint",
        "cost": "callbacks.cost:Cost",
        "divergence": "callbacks.divergence:Divergence",
        "device_stats": "pytorch_lightning.callbacks:DeviceStatsMonitor",
        "early_stopping": "pytorch_lightning.callbacks:EarlyStopping",
        "ema": "pytorch_lightning.callbacks:EMAWeightAveraging",
        "flow_convergence": "callbacks.flow_convergence:FlowConvergence",
        "flow_images": "callbacks.flow_images:FlowImages",
        "flow_speed": "callbacks.flow_speed:FlowSpeed",
        "flow_writer": "callbacks.flow_writer:FlowWriter",
        "lr": "pytorch_lightning.callbacks:LearningRateMonitor",
        "noise_report": "callbacks.x11_noise_report:NoiseReport",
        "progress": "callbacks.progress:Progress",
        "throughput": "pytorch_lightning.callbacks:ThroughputMonitor",
        "timer": "pytorch_lightning.callbacks:Timer",
        "x11_report": "callbacks.x11_report:X11Report",
    },
    holds="callbacks",
)

LOGGERS = ComponentTable(
    {
        "csv": "callbacks.loggers:csv_logger",
        "mlflow": "callbacks.loggers:mlflow_logger",
        "tensorboard": "callbacks.loggers:tensorboard_logger",
        "wandb": "callbacks.loggers:wandb_logger",
    },
    holds="loggers",
    given=("run",),
    extras={"mlflow": "mlflow", "tensorboard": "tensorboard"},
)

STRATEGIES = ComponentTable(
    {
        "ddp": "callbacks.strategies:ddp",
        "fsdp": "callbacks.strategies:fsdp",
    },
    holds="strategies of several devices, where trainer.strategy is a mapping",
)
