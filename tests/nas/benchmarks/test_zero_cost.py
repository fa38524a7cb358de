"""Files of zero-cost proxies: any data set by its own name, anywhere."""

import gzip
import json
from pathlib import Path

import pytest

from sevenfold.errors import InputError
from sevenfold.nas import load_benchmark


def zipped(path: Path, content: object) -> str:
    with gzip.open(path, "wt") as stream:
        json.dump(content, stream)
    return str(path)


def test_a_data_set_that_is_not_known_has_its_own_name(tmp_path):
    cells = {f"({code}, 1, 2, 3, 4, 0)": {"val_accuracy": 40.0 + code, "snip": code} for code in range(3)}
    path = zipped(tmp_path / "mine.json.gz", {"ImageNet16-120": cells, "cifar100": cells})
    bench = load_benchmark("zc-nb201", path=path, dataset="imagenet16-120")
    assert bench.datasets == ("imagenet16-120", "cifar100/200")
    values = bench.query(bench.archs, split="val", metric="acc", epoch="last", seed="mean")
    assert sorted(values) == [40, 41, 42]
    assert sorted(bench.property_of(bench.archs, "snip")) == [0, 1, 2]
    micro = load_benchmark("zc-tnb-micro", path=path, dataset="cifar100")
    assert len(micro.archs) == 3


def test_a_file_without_accuracies_is_refused_by_name(tmp_path):
    path = zipped(tmp_path / "mine.json.gz", {"cifar10": {"(0, 1, 2, 3, 4, 0)": {"snip": 1.0}}})
    with pytest.raises(InputError, match="no architecture of 'cifar10' has a 'val_accuracy'"):
        load_benchmark("zc-nb201", path=path)
