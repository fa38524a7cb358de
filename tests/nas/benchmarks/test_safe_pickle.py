"""A6: pickles that would run something are refused before they do."""

import bz2
import copyreg
import io
import os
import pickle
import struct
import subprocess
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.safe_pickle import UnsafePickleError, load, loads


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def text(word: str) -> bytes:
    return b"\x8c" + bytes([len(word)]) + word.encode()


def global_name(module: str, name: str) -> bytes:
    """Push module.name by opcode STACK_GLOBAL."""
    return text(module) + text(name) + b"\x93"


def payloads(mark: Path) -> dict[str, bytes]:
    """Pickles that create the file ``mark`` when a trusting unpickler reads them."""
    command = f"touch {mark}"
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    proto = b"\x80\x04"
    argument = b"X" + struct.pack("<I", len(command)) + command.encode() + b"\x85"  # a tuple of one
    python = b"X" + struct.pack("<I", len(code)) + code.encode() + b"\x85"
    return {
        "reduce": pickle.dumps(Call(os.system, command), protocol=2),
        "protocol 0": pickle.dumps(Call(os.system, command), protocol=0),
        "nested reduce": pickle.dumps({"a": [OrderedDict(b=Call(eval, code))]}, protocol=4),
        "reduce makes the function": proto
        + global_name("builtins", "getattr")
        + global_name("os", "path")  # a module is an attribute here
        + text("os")
        + b"\x86R"  # getattr(os.path, "os")
        + b"\x940"
        + global_name("builtins", "getattr")
        + b"h\x00"
        + text("system")
        + b"\x86R"
        + argument
        + b"R.",
        "stack global, names from the memo": proto + text("os") + b"\x940" + text("system") + b"\x940"
        b"h\x00h\x01\x93" + argument + b"R.",
        "stack global, name of an attribute": proto
        + global_name("collections", "_sys.modules.get")
        + b"0"
        + global_name("os", "system")
        + argument
        + b"R.",
        "inst": b"(S'" + command.encode() + b"'\nios\nsystem\n.",
        "obj": proto + b"(" + global_name("subprocess", "getoutput") + argument[:-1] + b"o.",
        "new object": proto
        + global_name("subprocess", "Popen")
        + b"("
        + b"".join(text(word) for word in ("touch", str(mark)))
        + b"t\x85R.",
        "build": proto + global_name("builtins", "exec") + python + b"R.",
        "hidden behind allowed calls": proto
        + global_name("collections", "OrderedDict")
        + b")R0"
        + global_name("os", "system")
        + argument
        + b"R.",
        "extension 1": proto + b"\x82\xf0" + argument + b"R.",
        "extension 4": proto + b"\x84" + struct.pack("<i", 240) + argument + b"R.",
    }


NAMES = sorted(payloads(Path("x")))


@pytest.fixture
def extension():
    """The code 240 means os.system, and has been used before (then it needs no look-up any more)."""
    copyreg.add_extension("os", "system", 240)
    assert pickle.loads(b"\x80\x04\x82\xf0.") is os.system
    yield
    copyreg.remove_extension("os", "system", 240)


@pytest.mark.parametrize("name", NAMES)
def test_a6_malicious_pickles_are_refused_before_anything_runs(name, tmp_path, extension):
    mark = tmp_path / "mark"
    payload = payloads(mark)[name]
    with pytest.raises(UnsafePickleError, match="refused") as error:
        loads(payload, "table.pickle")
    assert not mark.exists()
    assert "\n" not in str(error.value) and "table.pickle" in str(error.value)
    if not name.startswith(("inst", "obj", "new object", "reduce makes")):
        result = loads(payload, "table.pickle", trust=True)  # the payload is no dud
    else:
        try:
            result = pickle.loads(payload)
        except Exception as problem:
            pytest.fail(f"the payload does not work at all: {problem!r}")
    if isinstance(result, subprocess.Popen):
        result.wait()
    assert mark.exists()


def test_a6_an_unused_extension_code_is_refused(tmp_path):
    with pytest.raises(UnsafePickleError, match="extension code"):
        loads(b"\x80\x04\x82\xf1.", "table.pickle")


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("persistent id", b"\x80\x04\x8c\x01xQ."),
        ("persistent id", b"Px\n."),
        ("builtins.eval", b"cbuiltins\neval\n."),
        ("rot13", pickle.dumps(Call(__import__("codecs").encode, "uryyb", "rot13"))),
        ("numpy.load", b"cnumpy\nload\n."),
        ("type 'O8'", pickle.dumps(np.array([None, 1], object))),
        ("OrderedDict.fromkeys", b"\x80\x04" + global_name("collections", "OrderedDict.fromkeys") + b"."),
        ("attributes", b"\x80\x04" + global_name("numpy", "dtype") + b"}\x8c\x01ah\x00sb."),
        ("function", b"\x80\x04" + global_name("numpy", "ndarray") + b"K\x05\x85\x85R."),
    ],
)
def test_a6_other_tricks_are_refused_by_name(name, payload):
    payload = payload.replace(b"h\x00", b"K\x01")
    with pytest.raises(UnsafePickleError, match=name):
        loads(payload, "table.pickle")


def test_a6_a_forged_numpy_type_cannot_reach_memory():
    """A type of objects whose state hides that they are objects would turn bytes into pointers."""
    honest = pickle.dumps(np.dtype([("a", "O")]))
    forged = pickle.dumps(np.float64(1.0)).replace(b"f8", b"O8")
    for payload in (honest, forged):
        with pytest.raises(InputError, match="refused"):
            loads(payload, "table.pickle")


@pytest.mark.parametrize("protocol", range(2, 6))
def test_plain_content_is_read(protocol):
    content = {
        "a": OrderedDict([(("cifar10", 777), [1.5, None, True, "x", b"raw"])]),
        "scalars": [np.float64(0.25), np.int32(-3), np.float32(1.5)],
        "arrays": [np.arange(6.0).reshape(2, 3), np.arange(4, dtype=">i2"), np.arange(6).reshape(2, 3).T],
    }
    read = loads(pickle.dumps(content, protocol=min(protocol, 4)), "table.pickle")
    assert read["a"] == content["a"] and type(read["a"]) is OrderedDict
    for mine, theirs in zip(read["scalars"], content["scalars"], strict=True):
        assert mine == theirs and mine.dtype == theirs.dtype
    for mine, theirs in zip(read["arrays"], content["arrays"], strict=True):
        assert np.array_equal(mine, theirs) and mine.dtype == theirs.dtype.newbyteorder("=")


def test_names_of_old_and_new_numpy_are_the_same():
    new = pickle.dumps(np.float64(0.5), protocol=4)
    old = new.replace(b"\x8c\x16numpy._core.multiarray", b"\x8c\x15numpy.core.multiarray")
    old = old[:3] + struct.pack("<Q", struct.unpack("<Q", new[3:11])[0] - 1) + old[11:]
    assert old != new and loads(old, "x") == loads(new, "x") == 0.5


@pytest.mark.parametrize("content", [b"", b"\x80\x04]", b"not a pickle", pickle.dumps(list(range(99)))[:-9]])
def test_damage_is_bad_input(content):
    with pytest.raises(InputError, match="table.pickle"):
        loads(content, "table.pickle")


def test_compressed_files(tmp_path):
    stream = io.BytesIO(bz2.compress(pickle.dumps({"a": 1})))
    (tmp_path / "x.pickle.pbz2").write_bytes(stream.getvalue())
    assert load(tmp_path / "x.pickle.pbz2") == {"a": 1}
    (tmp_path / "y.pickle.pbz2").write_bytes(stream.getvalue()[:-4])
    with pytest.raises(InputError, match="y.pickle"):
        load(tmp_path / "y.pickle.pbz2")
    with pytest.raises(InputError, match=r"z\.pickle"):
        load(tmp_path / "z.pickle")
