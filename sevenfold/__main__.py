"""``python -m sevenfold``: the same command line as ``train.py``."""

import sys
from pathlib import Path

FOLDER = str(Path(__file__).parent)
sys.path[:] = [place for place in sys.path if place != FOLDER]  # run as a script, its folder shadows packages

from sevenfold.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
