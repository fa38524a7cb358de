"""``train.py`` with the toy family in its tables, for tests that start processes."""

import sys

from datamodules import DATAMODULES
from lightning_modules import MODELS
from train import main

if __name__ == "__main__":
    MODELS["toy"], DATAMODULES["toy"] = "toy:ToyModule", "toy:ToyData"
    sys.exit(main())
