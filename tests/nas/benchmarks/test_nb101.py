"""A3: the record file of NAS-Bench-101, written here and read back."""

import base64
import json
import struct
import subprocess
import sys

import numpy as np
import pytest

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.benchmarks.crc32c import crc32c, crc32c_short
from sevenfold.nas.benchmarks.ledger import Ledger
from sevenfold.nas.benchmarks.nb101 import decode, describe, pack
from sevenfold.nas.benchmarks.table import write_table
from sevenfold.nas.benchmarks.tfrecord import records
from sevenfold.nas.spaces.nb101 import NB101

SPACE = NB101()


def naive_crc32c(data: bytes) -> int:
    """Divide bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = naive_crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) % 2**32 + 0xA282EAD8) % 2**32)


def frame(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    return length + masked(length) + payload + masked(payload)


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def message(evaluations: np.ndarray, parameters: int) -> bytes:
    out = b""
    for row in evaluations:
        body = b"".join(bytes([8 * (i + 1) + 1]) + struct.pack("<d", v) for i, v in enumerate(row))
        body += b"\x32" + varint(7) + b"a/b/c-1"  # a checkpoint path, to be passed over
        out += b"\x0a" + varint(len(body)) + body
    return out + b"\x10" + varint(parameters) + b"\x19" + struct.pack("<d", 12.5)


def record(cell: int, cells: np.ndarray, epochs: int, evaluations: np.ndarray) -> bytes:
    bits, _, operations = SPACE.to_strings(cells[cell : cell + 1])[0].partition("|")
    name = SPACE.module_hashes(cells[cell : cell + 1])[0]
    metrics = base64.b64encode(message(evaluations, 1000 + 37 * cell)).decode()
    return json.dumps([name, epochs, bits, operations, metrics]).encode()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """20 different cells, 3 runs of 4 budgets each (the last cell: 2 of them), in shuffled order."""
    rng = np.random.default_rng(1)
    cells = SPACE.sample(rng, 60)
    _, first = np.unique(SPACE.keys(cells), return_index=True)
    cells = cells[np.sort(first)[:20]]
    truth = rng.random((20, 3, 4, 3, 5))
    truth[:, :, :, :, 0] = np.array([4, 12, 36, 108])[:, None] * np.array([0, 0.5, 1])
    order = [(c, r, b) for c in range(20) for r in range(3) for b in range(4) if (c, r) != (19, 2)]
    rng.shuffle(order)
    payloads, seen = [], {}
    for c, _, b in order:
        r = seen[c, b] = seen.get((c, b), -1) + 1
        payloads.append(record(c, cells, (4, 12, 36, 108)[b], truth[c, r, b]))
    path = tmp_path_factory.mktemp("nb101") / "nasbench.tfrecord"
    path.write_bytes(b"".join(frame(payload) for payload in payloads))
    return path, cells, truth, payloads


def test_crc32c_equals_the_definition_and_known_values():
    assert crc32c([b"123456789", bytes(32), b"\xff" * 32, b""]).tolist() == [
        0xE3069283,
        0x8A9136AA,
        0x62A8AB43,
        0,
    ]
    rng = np.random.default_rng(0)
    strings = [rng.bytes(int(n)) for n in rng.integers(0, 70, size=50)]
    expected = [naive_crc32c(string) for string in strings]
    assert crc32c(strings).tolist() == expected == [crc32c_short(string) for string in strings]
    assert crc32c([]).tolist() == []


def test_a3_records_round_trip(file):
    path, _, _, payloads = file
    for strict in (False, True):
        assert list(records(path, strict=strict)) == payloads


def test_a3_the_packed_form_has_every_number(file, tmp_path):
    path, cells, truth, _ = file
    description, arrays = pack(path, strict=True)
    write_table(tmp_path / "nb101.npz", description, arrays)
    bench = load_benchmark("nb101", root=str(tmp_path))
    assert (bench.epochs, bench.seeds, len(bench.archs)) == ((4, 12, 36, 108), (0, 1, 2), 20)
    for k, split in enumerate(("train", "val", "test"), 2):
        for metric, point in (("acc", 2), ("halfway_acc", 1)):
            curves = bench.curves(cells, split=split, metric=metric, seed="all")
            expected = 100 * truth[:, :, :, point, k]
            expected[19, 2] = np.nan
            np.testing.assert_allclose(curves.values, expected, rtol=1e-6)
    assert curves.counts() == {"values": 240, "missing": 4, "runs": 60, "empty": 1, "partial": 0}
    cost = bench.cost(cells, epoch=36, seed=1)
    np.testing.assert_allclose(cost, truth[:, 1, 2, 2, 1], rtol=1e-6)
    assert bench.property_of(cells, "params").tolist() == [1000 + 37 * c for c in range(20)]


def test_isomorphic_cells_are_found_and_budgets_are_separate_runs(file, tmp_path):
    path, cells, truth, _ = file
    write_table(tmp_path / "nb101.npz", *pack(path))
    bench = load_benchmark("nb101", root=str(tmp_path))
    pruned = SPACE.from_strings(SPACE.to_strings(cells))
    assert (pruned != cells).any()
    ask = {"split": "val", "metric": "acc", "epoch": 12, "seed": 0}
    assert np.array_equal(bench.query(pruned, **ask), bench.query(cells, **ask))
    ledger = Ledger(bench, split="val", metric="acc", seed=0)
    for archs, epoch in ((cells[:1], 12), (pruned[:1], 12), (cells[:1], 4)):
        ledger.query(archs, epoch=epoch)
    assert (ledger.spent, ledger.duplicates) == (1, 1)
    assert ledger.seconds == pytest.approx(truth[0, 0, :2, 2, 1].sum(), rel=1e-6)
    other = SPACE.sample(np.random.default_rng(99), 50)
    with pytest.raises(InputError, match="are not among the 20"):
        bench.query(other, **ask)


def test_a3_one_budget_only(file, tmp_path):
    _, cells, truth, _ = file
    path = tmp_path / "only108.tfrecord"
    path.write_bytes(b"".join(frame(record(c, cells, 108, truth[c, 0, 3])) for c in range(5)))
    description, arrays = pack(path)
    assert description["datasets"]["cifar10"]["epochs"] == [108]
    assert arrays["acc"].shape == (5, 1, 1, 3)
    np.testing.assert_allclose(arrays["acc"][:, 0, 0, 1], 100 * truth[:5, 0, 3, 2, 3], rtol=1e-6)


def test_a3_a_truncated_file_raises_with_the_byte_offset(file, tmp_path):
    path, _, _, payloads = file
    content = path.read_bytes()
    start = sum(len(payload) + 16 for payload in payloads[:3])
    for cut in (start + 5, start + 12, start + 40, start + len(payloads[3]) + 13):
        (tmp_path / "cut").write_bytes(content[:cut])
        with pytest.raises(InputError, match=f"truncated: the record at byte {start} ends behind byte {cut}"):
            pack(tmp_path / "cut")
    (tmp_path / "whole").write_bytes(content[:start])
    assert len(list(records(tmp_path / "whole"))) == 3


def test_a3_a_wrong_checksum_raises_in_strict_mode(file, tmp_path):
    path, _, _, payloads = file
    start = sum(len(payload) + 16 for payload in payloads[:7])
    for change, what in (
        (0, "length"),
        (9, "length"),
        (12 + 30, "record"),
        (12 + len(payloads[7]), "record"),
    ):
        content = bytearray(path.read_bytes())
        content[start + change] ^= 1
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(InputError, match=f"wrong checksum of the {what} at byte {start}$"):
            list(records(tmp_path / "bad", strict=True))
    assert len(list(records(tmp_path / "bad"))) == len(payloads)  # the checksum itself: not strict, not read


def test_a3_strict_mode_compares_the_names_of_cells(file, tmp_path):
    _, cells, truth, _ = file
    payload = json.loads(record(0, cells, 4, truth[0, 0, 0]))
    payload[0] = SPACE.module_hashes(cells[1:2])[0]
    (tmp_path / "x").write_bytes(frame(json.dumps(payload).encode()))
    pack(tmp_path / "x")
    with pytest.raises(InputError, match="by its graph"):
        pack(tmp_path / "x", strict=True)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{}", "no NAS-Bench-101 record"),
        (b"[1, 2]", "no NAS-Bench-101 record"),
        (b'["00", 4, "01", "a", "!!"]', "no NAS-Bench-101 record"),
        (json.dumps(["00", 4, "01", "a", base64.b64encode(b"\x0a\x05abc").decode()]).encode(), "ends inside"),
        (json.dumps(["00", 4, "01", "a", base64.b64encode(b"\x0b").decode()]).encode(), "wire type 3"),
        (b"\xff\xfe", "no NAS-Bench-101 record"),
    ],
)
def test_other_content_is_refused(payload, reason):
    with pytest.raises(InputError, match=reason):
        decode(payload)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text").write_bytes(b"this is a text of some length, not a record file at all")
    with pytest.raises(InputError, match="no TFRecord"):
        pack(tmp_path / "text")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(InputError, match="no records"):
        pack(tmp_path / "empty")
    with pytest.raises(InputError, match="does not exist"):
        pack(tmp_path / "absent")


def test_a3_no_tensorflow_is_needed(file):
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['google.protobuf'] = None\n"
        "from sevenfold.nas.benchmarks.nb101 import pack\n"
        "print(len(pack(sys.argv[1])[1]['acc']))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file[0])], capture_output=True, text=True)
    assert done.stdout.strip() == "20", done.stderr


@pytest.mark.slow
def test_the_packed_form_of_full_size_answers(tmp_path):
    """Records of the published number of cells; their graphs do not matter to loading, their keys do."""
    rows, rng = 423_624, np.random.default_rng(0)
    acc = rng.random((rows, 3, 4, 3), dtype=np.float32)
    arrays = {
        "archs": rng.integers(0, 2, size=(rows, 26), dtype=np.int8),
        "keys": rng.permutation(rows).astype(np.int64) << 20,
        "module_hash": rng.integers(0, 256, size=(rows, 16), dtype=np.uint8),
        "acc": acc,
        "halfway_acc": acc[::-1],
        "seconds": acc[..., 0],
        "params": np.arange(rows),
    }
    sample = SPACE.sample(rng, 1000)
    keys, first = np.unique(SPACE.keys(sample), return_index=True)
    arrays["keys"][: len(keys)] = keys
    write_table(tmp_path / "nb101.npz", describe([4, 12, 36, 108], 3), arrays, compressed=False)
    bench = load_benchmark("nb101", root=str(tmp_path))
    values = bench.query(sample[first], split="val", metric="acc", epoch=108, seed="mean")
    np.testing.assert_allclose(values, acc[: len(keys), :, 3, 1].mean(axis=1), rtol=1e-6)
