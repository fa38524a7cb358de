"""``python -m sevenfold.flow``: the same as ``sevenfold flow``."""

import sys

from sevenfold.flow.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
