"""Build the embedded benchmark: each prediction trains one shard of it."""

from typing import Any

import pytorch_lightning as pl
import torch

from sevenfold.nas.digits.build import Build, Shard


class DigitsBuild(pl.LightningModule):
    """Train shards of ``digits-nb201`` and, once all are there, write the table.

    Items are those of ``datamodules.nas.DigitsShards``. The records are one for each shard and one with the
    mean final accuracies for the table.
    """

    def predict_step(self, item: tuple[Build, Shard | None], batch_idx: int) -> list[dict[str, Any]]:
        """Train a shard; the one that completes the build assembles the table."""
        build, shard = item
        records: list[dict[str, Any]] = []
        if shard is not None:
            with torch.inference_mode(False), torch.enable_grad():  # a prediction that trains
                build.run(shard)
            records.append({"key": shard.name})
        if not build.missing():
            records.append({"key": "table", "group": "table", **build.assemble()})
        return records
