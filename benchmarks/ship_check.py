"""Install the weights of a finished `configs/flow/ship.yaml`, and score the shipped model on real pairs.

python benchmarks/ship_check.py --install RUN [--last] [--carry flow]   # into sevenfold/flow/weights
python benchmarks/ship_check.py --pairs FOLDER [--weights raft-small.pth]   # the table on real pairs
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sevenfold.flow.shipping import install
from sevenfold.flow.studies.table import FlowTable

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--install", metavar="RUN", help="run folder whose schedule has ended")
    parser.add_argument("--last", action="store_true", help="the last weights, not their average")
    parser.add_argument("--carry", default="nothing", choices=("nothing", "flow", "state"))
    parser.add_argument("--pairs", metavar="FOLDER", help="real pairs with truth")
    parser.add_argument("--weights", metavar="FILE", help="official RAFT-small weights, for comparison")
    options = parser.parse_args()
    if options.install:
        card = install(options.install, "scenes", carry=options.carry, averaged=not options.last)
        print({key: value for key, value in card.items() if key != "calibration"})
    if options.pairs:
        others = {"raft_small": options.weights} if options.weights else {}
        study = FlowTable(
            estimators=["zero", "dis", "scenes", *others], weights=others, root=options.pairs, scenes=0
        )
        with tempfile.TemporaryDirectory() as folder:
            print(study.report(study.run_all(folder)))
