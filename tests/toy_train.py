"""``train.py`` with the toy family in its tables, for tests that start processes."""

import os
import sys

from callbacks.signals import StopOnSignal
from datamodules import DATAMODULES
from lightning_modules import MODELS
from sevenfold.studies import STUDIES
from train import main

MODELS["toy"], DATAMODULES["toy"], STUDIES["toy"] = "toy:ToyModule", "toy:ToyData", "toy:Draws"

if __name__ == "__main__":
    # How often a checkpoint is written is no option of a configuration; minutes are long for a test.
    StopOnSignal.__init__.__kwdefaults__["minutes"] = float(os.environ.get("TOY_MINUTES", "15"))
    sys.exit(main())
