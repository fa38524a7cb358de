"""``train.py`` with the toy family in its tables, for tests that start processes."""

import sys

from datamodules import DATAMODULES
from lightning_modules import MODELS
from sevenfold.studies import STUDIES
from train import main

MODELS["toy"], DATAMODULES["toy"], STUDIES["toy"] = "toy:ToyModule", "toy:ToyData", "toy:Draws"

if __name__ == "__main__":
    sys.exit(main())
