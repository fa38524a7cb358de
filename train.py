"""The command line from a checkout: ``python train.py --config configs/flow/demo.yaml``.

The story of a run is in :mod:`sevenfold.main`; the wheel has the same command as ``sevenfold``.
"""

# PYTHON_ARGCOMPLETE_OK

import sys
from pathlib import Path

from sevenfold.main import main

if __name__ == "__main__":
    sys.exit(main(program=Path(__file__)))
